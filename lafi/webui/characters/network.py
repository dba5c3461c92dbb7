"""The extra network that the host calls for ``<lafi:…>`` in a prompt."""

from __future__ import annotations

from typing import Any

from modules import extra_networks

from .. import beginning
from . import tags


class LafiNetwork(extra_networks.ExtraNetwork):
    """Hands the host's word on to the run of its request."""

    def __init__(self) -> None:
        super().__init__(tags.NAME)

    def activate(self, p: Any, params_list: list[Any]) -> None:
        """Before each batch and each hires pass, whether their prompts have a tag or not."""
        beginning.call(p)

    def deactivate(self, p: Any) -> None:
        """After the last batch; the run ends by itself."""


def register() -> None:
    """Makes the tags known to the host."""
    extra_networks.register_extra_network(LafiNetwork())
