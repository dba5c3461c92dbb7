"""What the rows of one call see beside their own tokens, at every site."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..regions import Region
from .report import ReferenceReport
from .tokens import Tokens


class Row(NamedTuple):
    """One row of a call of the UNet.

    Attributes:
        cond: whether it is a cond row.
        picture: whose row it is, in its batch.
        part: which of the picture's rows of its kind: the tile, the part of a prompt with AND.
    """

    cond: bool
    picture: int = 0
    part: Hashable = 0


# Some rows of a batch. Slices where they stand side by side (a view, no copy), else index tensors
# on the batch's own device: a mask of booleans would make a GPU wait for the CPU whenever used.
Rows = slice | Tensor


@dataclass(frozen=True)
class Seen:
    """A source's tokens as some rows see them.

    Attributes:
        tokens: of all sites.
        weight: on its keys; 1 is plain concatenation. A tensor (b, 1, 1) has one for each row.
        region: where in the picture they see it; None for everywhere.
        muted: whether nothing of its background comes through (see `Extra`).
        counts: told that it is seen.
    """

    tokens: Tokens
    weight: float | Tensor = 1.0
    region: Region | None = None
    muted: bool = False
    counts: ReferenceReport | None = None

    @property
    def plain(self) -> bool:
        """Whether nothing but concatenation is needed."""
        simple = self.region is None and not self.muted
        return simple and not isinstance(self.weight, Tensor) and self.weight == 1


@dataclass(frozen=True)
class Sight:
    """Some rows of a call, and what all of them see.

    Attributes:
        rows: which; None for all.
    """

    rows: Rows | None
    seen: tuple[Seen, ...]

    @property
    def plain(self) -> bool:
        """Whether the layer's own attention can be asked, with longer keys and values."""
        return all(each.plain for each in self.seen)


@dataclass(frozen=True)
class Injection:
    """A call in which some rows see references.

    Attributes:
        count: rows of the call.
        sights: the rows that see something; no row is in two.
        others: the rows that the layer answers by itself; None for none of them.
    """

    count: int
    sights: tuple[Sight, ...]
    others: Rows | None = None

    @property
    def whole(self) -> Sight | None:
        """The one sight of all rows that the layer's own attention can be asked for."""
        first = self.sights[0]
        return first if self.others is None and first.rows is None and first.plain else None

    def merge(self, injected: Sequence[Tensor], others: Tensor) -> Tensor:
        """Each sight's rows (b, N, D), and the others', in the call's order (B, N, D)."""
        if self.others is None and self.sights[0].rows is None:
            return injected[0]
        result = others.new_empty((self.count, *injected[0].shape[1:]))
        if self.others is not None:
            result[self.others] = others
        for sight, each in zip(self.sights, injected, strict=True):
            result[sight.rows] = each.to(result.dtype)
        return result


def rows_at(rows: Sequence[int], device: torch.device) -> Rows:
    """Rows by their numbers, of which there is at least one."""
    if list(rows) == list(range(rows[0], rows[-1] + 1)):
        return slice(rows[0], rows[-1] + 1)
    return torch.tensor(rows, device=device)


def take_rows(kwargs: dict[str, Any], rows: Rows, batch: int) -> dict[str, Any]:
    """A call's keyword arguments for some of its rows."""
    return {
        name: value[rows] if isinstance(value, Tensor) and value.shape[:1] == (batch,) else value
        for name, value in kwargs.items()
    }


def inject(
    rows: Sequence[Row], offers: Sequence[Seen], fidelity: float, device: torch.device
) -> Injection | None:
    """What the rows of a call see of some sources; None if no row sees any.

    Args:
        offers: the sources as the cond rows see them.
        fidelity: see `Plan`.
    """
    cond, uncond = ([number for number, row in enumerate(rows) if row.cond is each]
                    for each in (True, False))  # fmt: skip
    if fidelity == 1 and uncond:
        if not cond:
            return None
        sight = Sight(rows_at(cond, device), tuple(offers))
        return Injection(len(rows), (sight,), rows_at(uncond, device))
    shares = [1 if row.cond else 1 - fidelity for row in rows]
    seen = (replace(each, weight=_weight(each.weight, shares, device)) for each in offers)
    return Injection(len(rows), (Sight(None, tuple(seen)),))


def inject_each(
    offers: Sequence[Sequence[Seen]], device: torch.device, whole: bool
) -> Injection | None:
    """The same where rows see different tokens.

    Args:
        offers: what each row sees.
        whole: let the layer answer for all rows: what it gives those that see nothing is then
            bit-equal to a plain call's, since no kernel meets another number of rows.
    """
    found: dict[Hashable, list[int]] = {}
    for number, seen in enumerate(offers):
        alike = tuple((id(each.tokens), each.weight, each.muted) for each in seen)
        found.setdefault(alike, []).append(number)
    others = found.pop((), [])
    if not found:
        return None
    sights = tuple(
        Sight(rows_at(numbers, device), tuple(offers[numbers[0]])) for numbers in found.values()
    )
    left = range(len(offers)) if whole else others
    return Injection(len(offers), sights, rows_at(left, device) if left else None)


def _weight(
    strength: float | Tensor, shares: Sequence[float], device: torch.device
) -> float | Tensor:
    """Of each row; one number where they are all alike."""
    if len(set(shares)) == 1:
        return strength * shares[0]
    weights = torch.tensor([float(strength) * share for share in shares], device=device)
    return weights.view(-1, 1, 1)
