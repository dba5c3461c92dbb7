"""Where the picture's tokens stand among all tokens of a call."""

from __future__ import annotations

from typing import NamedTuple

from ...errors import LafiError


class Layout(NamedTuple):
    """Of one call.

    Attributes:
        text: tokens before the picture's.
        height, width: the picture's own, in tokens.
    """

    text: int
    height: int
    width: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width

    @property
    def tokens(self) -> int:
        """The picture's tokens."""
        return self.height * self.width

    def image(self, count: int) -> slice:
        """The picture's among a layer's tokens: all of them, or those after the text. What comes
        after them (other pictures that the host itself appends) belongs to neither.

        Raises:
            LafiError: `unsupported_model` where they cannot be there.
        """
        if count == self.tokens:
            return slice(0, count)
        if count < self.text + self.tokens:
            raise LafiError(
                "unsupported_model",
                f"a layer has {count} tokens; {self.text} of text and {self.tokens} of the picture "
                "were expected.",
                "Switch off what changes the number of tokens, or switch LAFI off.",
            )
        return slice(self.text, self.text + self.tokens)
