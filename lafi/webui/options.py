"""LAFI's section on the WebUI's settings page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

STOP_ON_ERROR = "lafi_stop_on_error"
REPLAY = "lafi_replay"
BANK_MB = "lafi_bank_mb"
BANK_PLACE = "lafi_bank_place"
BANK_FORM = "lafi_bank_form"
BATCHING = "lafi_batching"

# What the choices mean to the core.
PROJECTED = {"auto": None, "tokens": False, "keys and values": True}
AUTO, SEPARATE, ONE_BATCH = "auto", "separate", "one batch"

DEFAULTS: dict[str, Any] = {
    STOP_ON_ERROR: True,
    REPLAY: True,
    BANK_MB: 0,
    BANK_PLACE: "auto",
    BANK_FORM: AUTO,
    # Not auto: trials call the UNet more often than other extensions may expect, and pay only where
    # a GPU is left idle by a small batch.
    BATCHING: SEPARATE,
}


def register() -> None:
    """Adds the section. Called when the script is loaded, not when the page is built: without a
    page (``--nowebui``) requests may override the settings all the same."""
    import gradio as gr

    _add(
        STOP_ON_ERROR,
        "Stop generation on a LAFI error",
        "off: the picture is made without LAFI, and its infotext says so",
    )
    _add(
        REPLAY,
        "Keep the reference's recordings for later pictures",
        "the same reference then costs almost nothing in the next picture",
    )
    _add(
        BANK_MB,
        "Memory for recordings (MiB)",
        "0: what fits; --lafi-bank-mb on the command line goes before it",
        gr.Number,
        {"precision": 0, "minimum": 0},
    )
    _add(
        BANK_PLACE,
        "Place of recordings",
        "auto: on the GPU while there is room, else in main memory",
        gr.Radio,
        {"choices": ["auto", "gpu", "cpu"]},
    )
    _add(
        BANK_FORM,
        "Form of recordings",
        "keys and values: twice the memory, a little less time for each later picture; "
        "auto: where a run of them takes at most a tenth of the memory for recordings",
        gr.Radio,
        {"choices": list(PROJECTED)},
    )
    _add(
        BATCHING,
        "The reference's way through the model",
        "one batch: a row of the picture's own batch; saves time on GPUs that a small batch does "
        "not fill, needs more memory at once; auto: tried out on a GPU, else separate",
        gr.Radio,
        {"choices": [SEPARATE, ONE_BATCH, AUTO]},
    )


def _add(key: str, label: str, info: str, kind: Any = None, limits: Any = None) -> None:
    from modules import shared

    option = shared.OptionInfo(DEFAULTS[key], label, kind, limits, section=("lafi", "LAFI"))
    shared.opts.add_option(key, option.info(info))


def value(key: str) -> Any:
    """A setting of the section, by one of the names above."""
    from modules import shared

    return getattr(shared.opts, key)


def bank_bytes() -> int | None:
    """Bytes that the bank may hold; None for what fits."""
    from modules import shared

    flag = getattr(shared.cmd_opts, "lafi_bank_mb", None)
    mib = value(BANK_MB) or None if flag is None else flag
    return None if mib is None else int(mib) * 2**20


@contextmanager
def overridden(settings: Mapping[str, Any]) -> Iterator[None]:
    """The host's settings as a request overrides them, for what reads them once the host has taken
    them back; nothing is loaded for them."""
    from modules import shared

    data = shared.opts.data
    before = {key: data[key] for key in settings if key in data}
    try:
        data.update({key: settings[key] for key in before})
        yield
    finally:
        data.update(before)
