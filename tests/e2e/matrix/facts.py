"""What a running WebUI has, asked of its API, so that scenarios can be chosen for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..client import WebUI

# The routes of the test extension; see `faults_extension`.
STATE = "/lafi-test/state"
# Agent Scheduler's: it is no script, and hosts list only extensions that have an address.
QUEUE = "/agent-scheduler/v1/queue"


@dataclass(frozen=True)
class Facts:
    """What the scenarios are chosen by.

    Attributes:
        samplers, schedulers, upscalers: names.
        checkpoints: titles, the loaded one left out.
        options: names of the host's options.
        scripts: the scripts' arguments as the host describes them, by (route, name).
        flags: the command line's flags that are set.
        fields: what the host's txt2img request knows.
        commits: the installed extensions' versions, by name.
        faults: whether the test extension is there.
        queue: whether Agent Scheduler is there.
        controls: the models of ControlNet, if that is installed.
        size: pixels of a picture's side.
    """

    samplers: tuple[str, ...] = ()
    schedulers: tuple[str, ...] = ()
    upscalers: tuple[str, ...] = ()
    checkpoints: tuple[str, ...] = ()
    options: frozenset[str] = frozenset()
    scripts: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)
    flags: dict[str, Any] = field(default_factory=dict)
    fields: frozenset[str] = frozenset()
    commits: dict[str, str] = field(default_factory=dict)
    faults: bool = False
    queue: bool = False
    controls: tuple[str, ...] = ()
    size: int = 256

    @property
    def forge(self) -> bool:
        """Whether the host is of the Forge family."""
        return any(each.startswith("forge_") for each in self.options)

    @classmethod
    def ask(cls, webui: WebUI) -> Facts:
        """Those of a running WebUI."""
        options = webui.get("/sdapi/v1/options")
        loaded = options.get("sd_model_checkpoint")
        models = [each["title"] for each in webui.get("/sdapi/v1/sd-models")]
        return cls(
            tuple(webui.samplers),
            tuple(each["name"] for each in webui.listed("/sdapi/v1/schedulers")),
            tuple(each["name"] for each in webui.get("/sdapi/v1/upscalers")),
            tuple(each for each in models if not loaded or loaded not in each),
            frozenset(options),
            {_key(each): each["args"] for each in webui.get("/sdapi/v1/script-info")},
            _flags(webui),
            frozenset(webui.txt2img_fields),
            {each["name"]: each["version"] for each in webui.listed("/sdapi/v1/extensions")},
            webui.has(STATE),
            webui.has(QUEUE),
            _controls(webui),
            webui.size,
        )

    def arguments(self, name: str, route: str, values: dict[str | int, Any]) -> list[Any]:
        """A script's arguments, some of them changed.

        Args:
            name: as the host lists it, in small letters.
            route: txt2img or img2img.
            values: by the arguments' labels, or by position.

        Raises:
            KeyError: the host has no such script, or it has no such argument.
        """
        known = self.scripts[route, name]
        given = [each["value"] for each in known]
        # Hosts differ in small letters and capitals.
        labels = [str(each["label"]).lower() for each in known]
        for label, value in values.items():
            if not isinstance(label, int) and label.lower() not in labels:
                raise KeyError(f"{name} has no argument {label}, but {labels}")
            place = label if isinstance(label, int) else labels.index(label.lower())
            # Some scripts show less on the page than they take.
            given += [None] * (place + 1 - len(given))
            given[place] = value
        return given

    def script(self, name: str, route: str, values: dict[str | int, Any]) -> dict[str, Any]:
        """The request's fields that run a selectable script; see `arguments`."""
        return {"script_name": name, "script_args": self.arguments(name, route, values)}


def _flags(webui: WebUI) -> dict[str, Any]:
    # Forge's own route fails under some of its flags.
    answer = webui.try_get("/sdapi/v1/cmd-flags")
    known = answer.body if answer.status == 200 else {}
    return {name: value for name, value in known.items() if value}


def _controls(webui: WebUI) -> tuple[str, ...]:
    answer = webui.try_get("/controlnet/model_list")
    models = answer.body["model_list"] if answer.status == 200 else []
    return tuple(name for name in models if name != "None")


def _key(script: dict[str, Any]) -> tuple[str, str]:
    return ("img2img" if script["is_img2img"] else "txt2img", script["name"])
