"""What sites leave of the reference's rows while a call passes through them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from .mask import FigureMask
from .tokens import SiteTokens, Tokens


class RecordingComplete(Exception):  # noqa: N818 (a signal, not an error)
    """Ends a reference pass once its last site is recorded: the rest of the UNet is not needed."""


class Select(Protocol):
    """Chooses some of a site's tokens: (1, N, C) to (1, M, C), as a token mask does.

    `size` is the layer's height and width where it is known.
    """

    def __call__(self, tokens: Tensor, size: tuple[int, int] | None = None) -> Tensor: ...


class Recording:
    """Takes some rows' tokens, each row by itself.

    Args:
        selects: for each row its token mask, or None.
        rows: where they are among the call's rows; None if they are all of it, in order.
        last: name of the site after which all is recorded; None to run to the end.
        keep_inputs: record what a bank needs.
        dtype: the UNet's own type.
        count: how many rows the call has; None if that does not matter.

    Attributes:
        tokens: each row's, by site name.
        cut: whether a layer was given another number of rows (tiles, as HyperTile makes them).
    """

    def __init__(
        self,
        selects: Sequence[Select | None],
        rows: Sequence[int] | None = None,
        last: str | None = None,
        keep_inputs: bool = False,
        dtype: torch.dtype = torch.float32,
        count: int | None = None,
    ) -> None:
        self.selects, self.rows, self.last = selects, rows, last
        self.keep_inputs, self.dtype = keep_inputs, dtype
        self.count, self.cut = count, False
        self.tokens: list[Tokens] = [{} for _ in selects]
        self._given: Tensor | None = None

    @property
    def measures(self) -> bool:
        """Whether `take` wants to know a layer's size."""
        return any(each is not None for each in self.selects)

    def take(
        self,
        site: str,
        which: str,
        given: Tensor | None,
        output: Tensor,
        size: tuple[int, int] | None,
    ) -> None:
        """Takes what a site's projection was given (B, N, C) and what it answered (B, N, D).

        A transformer's is given nothing that could be kept instead.

        Raises:
            RecordingComplete: after the last site.
        """
        self.cut = self.cut or (self.count is not None and output.shape[0] != self.count)
        # One tensor for both unless a hypernetwork has made them differ.
        shared = which == "values" and given is self._given
        self._given = given if which == "keys" else None
        for position, tokens in enumerate(self.tokens):
            entry = tokens.setdefault(site, SiteTokens())
            select = self.selects[position]
            if isinstance(select, FigureMask):
                entry.background = select.background(output.shape[1], size)
            entry.outputs[which] = self._kept(output, position, size)
            if self.keep_inputs and given is not None:
                kept = entry.inputs["keys"] if shared else self._kept(given, position, size)
                # Where the host autocasts, the projection itself rounds what it is given.
                entry.inputs[which] = kept.to(self.dtype) if torch.is_autocast_enabled() else kept
        if site == self.last and {"keys", "values"} <= entry.outputs.keys():
            raise RecordingComplete

    def _kept(self, tokens: Tensor, position: int, size: tuple[int, int] | None) -> Tensor:
        """A row, and of it what a mask keeps: projections treat each token alone."""
        row, select = self._row(tokens, position), self.selects[position]
        return row if select is None else select(row, size)

    def _row(self, tokens: Tensor, position: int) -> Tensor:
        if self.rows is None:
            return tokens[position : position + 1].detach()
        row = self.rows[position] % tokens.shape[0]
        return tokens[row : row + 1].detach().clone()  # a view would keep all rows
