"""CLIP's own tokens: its byte pair encoding (Radford et al. 2021)."""

from __future__ import annotations

import functools
import itertools
import json
import re
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

LENGTH = 77
START, END = 49406, 49407
CLIP = Path(__file__).parents[1] / "model" / "clip"  # vocab.json, merges.txt, config.json

_WORDS = re.compile(r"'(?:s|t|re|ve|m|ll|d)|[^\W\d_]+|\d|(?:[^\s\w]|_)+")


class Tokenizer:
    """CLIP's byte pair encoding: lower case, start and end marks, padded with the end mark."""

    def __init__(self, folder: Path = CLIP) -> None:
        self._ids: dict[str, int] = json.loads((folder / "vocab.json").read_text("utf-8"))
        merges = (folder / "merges.txt").read_text("utf-8").splitlines()[1:]
        self._ranks = {tuple(line.split()): rank for rank, line in enumerate(merges)}

    def __call__(self, texts: Iterable[str]) -> Tensor:
        """Token ids (B, 77)."""
        rows = []
        for text in texts:
            ids = [i for word in _WORDS.findall(text.lower()) for i in self._word(word)]
            row = [START, *ids[: LENGTH - 2]]
            rows.append(row + [END] * (LENGTH - len(row)))
        return torch.tensor(rows)

    @functools.cache  # noqa: B019  a tokenizer lives as long as the process
    def _word(self, word: str) -> tuple[int, ...]:
        symbols = [_byte_symbols()[byte] for byte in word.encode()]
        symbols[-1] += "</w>"
        while len(symbols) > 1:
            pairs = [
                (self._ranks.get(pair, 10**9), i)
                for i, pair in enumerate(itertools.pairwise(symbols))
            ]
            rank, at = min(pairs)
            if rank == 10**9:
                break
            symbols[at : at + 2] = ["".join(symbols[at : at + 2])]
        return tuple(self._ids[symbol] for symbol in symbols)


@functools.cache
def _byte_symbols() -> dict[int, str]:
    # GPT-2's table: printable bytes stand for themselves, the others for characters from 256 on.
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    symbols = {byte: chr(byte) for byte in plain}
    others = (byte for byte in range(256) if byte not in symbols)
    return symbols | {byte: chr(256 + index) for index, byte in enumerate(others)}
