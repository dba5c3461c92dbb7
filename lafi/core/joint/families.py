"""The transformers that are known, told apart by what holds their blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ...errors import LafiError
from ..site import DECODER, ENCODER, Site
from .layout import Layout
from .seam import Seam


@dataclass(frozen=True)
class Family:
    """One kind of transformer.

    Attributes:
        name: for messages.
        roots: attributes that hold its blocks, in the order of execution. Where there are two, the
            blocks of the second are the decoder; else the second half of all.
        seams: where a block calls its attention.
        text: (network, (B, L, D) text) -> tokens before the picture's.
        channels: (network) -> channels of the latent that it reads.
        patch: side of a token in latent cells.
        rotary: whether keys come to the attention before rotary positions, so that a reference can
            be put elsewhere.
        marks: what else it has, where others hold their blocks in the same way.
    """

    name: str
    roots: tuple[str, ...]
    seams: Callable[[Any], tuple[Seam, ...]]
    text: Callable[[Any, Tensor], int]
    channels: Callable[[Any], int]
    patch: int = 2
    rotary: bool = False
    marks: tuple[str, ...] = ()

    def fits(self, network: nn.Module) -> bool:
        """Whether a network is one."""
        lists = (*self.roots, *self.marks)
        return all(isinstance(getattr(network, each, None), nn.ModuleList) for each in lists)

    def size(self, height: int, width: int) -> tuple[int, int]:
        """A latent's height and width in tokens."""
        return -(-height // self.patch), -(-width // self.patch)

    def layout(self, network: nn.Module, x: Tensor, context: Tensor | None) -> Layout:
        """Of a call with a latent (B, C, h, w) and a text (B, L, D).

        Raises:
            LafiError: `unsupported_model` where the text is not given by name.
        """
        if context is None:
            raise LafiError(
                "unsupported_model",
                "the network is called without a text by name, so that its tokens cannot be told.",
                "Switch off what calls the model in its own way, or switch LAFI off.",
            )
        return Layout(self.text(network, context), *self.size(*x.shape[-2:]))

    def sites(self, network: nn.Module) -> Iterator[Site]:
        """All sites of a network.

        Raises:
            LafiError: `unsupported_model` where a block is not one of Python's.
        """
        blocks: list[tuple[str, nn.Module]] = [
            (f"{root}.{number}", block)
            for root in self.roots
            for number, block in enumerate(getattr(network, root))
        ]
        first = len(getattr(network, self.roots[0])) if len(self.roots) > 1 else len(blocks) // 2
        for number, (path, block) in enumerate(blocks):
            part = DECODER if number >= first else ENCODER
            for seam in self.seams(block):
                seam.functions()
                for call, name in enumerate(seam.calls):
                    yield Site(f"{path}.{name}", part, number, block, None, seam, call)


def _sd3(block: Any) -> tuple[Seam, ...]:
    dual = getattr(block.x_block, "x_block_self_attn", False)
    return (Seam(block, "forward", ("block_mixing",), calls=("attn", "attn2")[: 1 + dual]),)


def _padded(network: Any, context: Tensor) -> int:
    """Some of Lumina's kin make texts longer, up to a multiple."""
    multiple = getattr(network, "pad_tokens_multiple", None) or 1
    return -(-context.shape[1] // multiple) * multiple


FAMILIES = (
    # Flux and Chroma.
    Family(
        "Flux",
        ("double_blocks", "single_blocks"),
        lambda block: (Seam(block),),
        lambda network, context: context.shape[1],
        lambda network: network.in_channels // 4,
        rotary=True,
    ),
    Family(
        "SD3",
        ("joint_blocks",),
        _sd3,
        lambda network, context: context.shape[1] + getattr(network, "register_length", 0),
        lambda network: network.in_channels,
    ),
    # Lumina 2 and Z-Image; their keys come with their positions.
    Family(
        "Lumina",
        ("layers",),
        lambda block: (Seam(block.attention, function="attention_function"),),
        _padded,
        lambda network: network.in_channels,
        marks=("noise_refiner", "context_refiner"),
    ),
)


def find_family(network: nn.Module) -> Family | None:
    """The family of a network; None for none of them."""
    return next((each for each in FAMILIES if each.fits(network)), None)
