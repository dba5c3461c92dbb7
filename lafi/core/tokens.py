"""What the reference leaves at the sites: the tokens that the target will see."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from torch import Tensor, nn


@dataclass
class SiteTokens:
    """The reference in one site, under ``to_k`` and ``to_v``.

    Attributes:
        inputs: (1, M, C) what the projection was given; kept for a bank.
        outputs: (1, M, D) what it answered; projected from `inputs` when absent.
        background: how many of the M tokens, the last ones, are not the figure's.
        arrival: to be called before they are used, where they are still being copied.
    """

    inputs: dict[str, Tensor] = field(default_factory=dict)
    outputs: dict[str, Tensor] = field(default_factory=dict)
    background: int = 0
    arrival: Callable[[], None] | None = None

    def tensors(self) -> Iterator[Tensor]:
        """Each one once: keys and values usually share their input."""
        return iter({id(t): t for t in (*self.inputs.values(), *self.outputs.values())}.values())

    def nbytes(self) -> int:
        """Bytes of all tensors."""
        return sum(each.numel() * each.element_size() for each in self.tensors())

    def mapped(self, change: Callable[[Tensor], Tensor]) -> SiteTokens:
        """The same with every tensor changed, once."""
        changed = {id(t): change(t) for t in self.tensors()}
        return SiteTokens(
            {which: changed[id(t)] for which, t in self.inputs.items()},
            {which: changed[id(t)] for which, t in self.outputs.items()},
            self.background,
        )

    def receive(self) -> None:
        """Waits until they have arrived."""
        if self.arrival is not None:
            self.arrival()
            self.arrival = None

    def projected(self, which: str, module: nn.Module, like: Tensor) -> Tensor:
        """Keys or values (1, M, D), by `module` where they were not recorded."""
        self.receive()
        if which not in self.outputs:
            self.outputs[which] = module(self.inputs[which].to(like))
            self.settle()
        return self.outputs[which]

    def settle(self) -> None:
        """Lets go of the inputs where nothing more is projected from them."""
        if {"keys", "values"} <= self.outputs.keys():
            self.inputs = {}


# The reference in each site, by the site's name.
Tokens = dict[str, SiteTokens]


def nbytes(tokens: Tokens) -> int:
    """Bytes of all sites."""
    return sum(each.nbytes() for each in tokens.values())
