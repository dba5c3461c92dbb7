"""Callbacks outside of script classes. What they raise is reported and swallowed, as in the host;
InterruptedException is no Exception, and passes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from . import errors

callbacks: defaultdict[str, list[Callable[..., Any]]] = defaultdict(list)


class CFGDenoiserParams:
    """What the host tells before each evaluation."""

    def __init__(
        self,
        x: Any,
        image_cond: Any,
        sigma: Any,
        sampling_step: int,
        total_sampling_steps: int,
        text_cond: Any,
        text_uncond: Any,
        denoiser: Any = None,
    ) -> None:
        self.x, self.image_cond, self.sigma = x, image_cond, sigma
        self.sampling_step, self.total_sampling_steps = sampling_step, total_sampling_steps
        self.text_cond, self.text_uncond, self.denoiser = text_cond, text_uncond, denoiser


def run(name: str, *args: Any) -> None:
    """Calls everyone who registered."""
    for callback in callbacks[name]:
        try:
            callback(*args)
        except Exception:  # noqa: PERF203 (each by itself)
            errors.report(f"Error executing callback {name}", exc_info=True)


def on_app_started(callback: Callable[..., Any]) -> None:
    """callback(demo, app)"""
    callbacks["app_started"].append(callback)


def on_before_ui(callback: Callable[..., Any]) -> None:
    """callback()"""
    callbacks["before_ui"].append(callback)


def on_cfg_denoiser(callback: Callable[..., Any]) -> None:
    """callback(CFGDenoiserParams)"""
    callbacks["cfg_denoiser"].append(callback)


def on_infotext_pasted(callback: Callable[..., Any]) -> None:
    """callback(infotext, params)"""
    callbacks["infotext_pasted"].append(callback)


def on_model_loaded(callback: Callable[..., Any]) -> None:
    """callback(sd_model)"""
    callbacks["model_loaded"].append(callback)


def on_script_unloaded(callback: Callable[..., Any]) -> None:
    """callback()"""
    callbacks["script_unloaded"].append(callback)


def on_ui_settings(callback: Callable[..., Any]) -> None:
    """callback()"""
    callbacks["ui_settings"].append(callback)


def cfg_denoiser_callback(params: CFGDenoiserParams) -> None:
    """Before each evaluation."""
    run("cfg_denoiser", params)


def model_loaded_callback(sd_model: Any) -> None:
    """After a checkpoint was loaded."""
    run("model_loaded", sd_model)


def script_unloaded_callback() -> None:
    """Before the scripts are loaded again."""
    run("script_unloaded")
