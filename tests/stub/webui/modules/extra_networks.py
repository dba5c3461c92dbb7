"""``<kind:name>`` in prompts, and who is told of them."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

from . import errors

extra_network_registry: dict[str, ExtraNetwork] = {}


class ExtraNetworkParams:
    """One of them: its parts between the colons."""

    def __init__(self, items: list[str] | None = None) -> None:
        self.items = items or []


class ExtraNetwork:
    """A kind, by name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def activate(self, p: Any, params_list: list[ExtraNetworkParams]) -> None:
        """Before each batch, and before each hires pass."""
        raise NotImplementedError

    def deactivate(self, p: Any) -> None:
        """At the end."""
        raise NotImplementedError


def register_extra_network(extra_network: ExtraNetwork) -> None:
    """Makes a kind known."""
    extra_network_registry[extra_network.name] = extra_network


def parse_prompt(prompt: str) -> tuple[str, dict[str, list[ExtraNetworkParams]]]:
    """The prompt without them, and what they ask for."""
    found: dict[str, list[ExtraNetworkParams]] = defaultdict(list)

    def take(match: re.Match[str]) -> str:
        found[match[1]].append(ExtraNetworkParams(match[2].split(":")))
        return ""

    return re.sub(r"<(\w+):([^>]+)>", take, prompt), found


def parse_prompts(prompts: list[str]) -> tuple[list[str], dict[str, Any] | None]:
    """The same of a batch; the first prompt alone decides what is asked for."""
    parsed = [parse_prompt(each) for each in prompts]
    return [each for each, _ in parsed], parsed[0][1] if parsed else None


def activate(p: Any, extra_network_data: dict[str, Any]) -> None:
    """Tells every kind, also those that are not asked for; what fails is reported."""
    for name, network in extra_network_registry.items():
        try:
            network.activate(p, extra_network_data.get(name, []))
        except Exception:  # noqa: PERF203 (each by itself)
            errors.report(f"activating extra network {name}", exc_info=True)


def deactivate(p: Any, extra_network_data: dict[str, Any]) -> None:
    """The same at the end."""
    for name, network in extra_network_registry.items():
        try:
            network.deactivate(p)
        except Exception:  # noqa: PERF203 (each by itself)
            errors.report(f"deactivating extra network {name}", exc_info=True)
