"""The host's global state and settings."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

# The host's own settings that LAFI reads or that its tests change.
HOST_OPTIONS = {
    "img2img_background_color": "#ffffff",
    "upcast_attn": False,
    "api_enable_requests": True,
    "infotext_skip_pasting": [],
    "samples_format": "png",
    "enable_pnginfo": True,
    "grid_save": True,
    "grid_extended_filename": False,
    "CLIP_stop_at_last_layers": 1,
}


class OptionInfo:
    """One setting of the settings page."""

    def __init__(
        self,
        default: Any = None,
        label: str = "",
        component: Any = None,
        component_args: Any = None,
        section: tuple[str, str] | None = None,
    ) -> None:
        self.default, self.label, self.section = default, label, section
        self.component, self.component_args = component, component_args
        self.comment_after = ""

    def info(self, text: str) -> OptionInfo:
        """Adds an explanation."""
        self.comment_after += text
        return self


class Options:
    """Values by name; a setting that nobody added does not exist."""

    data: dict[str, Any]
    data_labels: dict[str, OptionInfo]

    def __init__(self) -> None:
        vars(self)["data_labels"] = {key: OptionInfo(value) for key, value in HOST_OPTIONS.items()}
        vars(self)["data"] = dict(HOST_OPTIONS)

    def __getattr__(self, key: str) -> Any:
        if key in self.data:
            return self.data[key]
        if key in self.data_labels:
            return self.data_labels[key].default
        raise AttributeError(key)

    def __setattr__(self, key: str, value: Any) -> None:
        self.data[key] = value

    def add_option(self, key: str, info: OptionInfo) -> None:
        """Adds a setting; a value that was there before stays."""
        self.data_labels[key] = info
        self.data.setdefault(key, info.default)

    def set(self, key: str, value: Any) -> bool:
        """Changes a setting.

        Raises:
            KeyError: nobody added it.
        """
        self.data_labels[key]
        self.data[key] = value
        return True


class State:
    """Progress, and the user's wish to stop."""

    skipped = False
    interrupted = False
    stopping_generation = False
    sampling_step = 0
    sampling_steps = 0
    job = ""
    job_count = 0
    job_no = 0
    textinfo: str | None = None

    def interrupt(self) -> None:
        """Ends the job."""
        self.interrupted = True

    def skip(self) -> None:
        """Ends this picture."""
        self.skipped = True


opts = Options()
state = State()
cmd_opts = SimpleNamespace()
loaded_hypernetworks: list[Any] = []


def reset() -> None:
    """Everything as after the start; the objects stay the same."""
    vars(opts).update(vars(Options()))
    vars(state).clear()
    vars(cmd_opts).clear()
    loaded_hypernetworks.clear()
