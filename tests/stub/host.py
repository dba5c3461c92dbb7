"""The stub as a test sees it: a WebUI with LAFI's script, and other people's scripts beside it."""

from __future__ import annotations

import gc
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from modules import (
    errors,
    extra_networks,
    script_callbacks,
    scripts,
    sd_models,
    shared,
    ui_extra_networks,
)
from modules.processing import (
    Processed,
    StableDiffusionProcessing,
    StableDiffusionProcessingTxt2Img,
    process_images,
)
from PIL import Image

from .models import CHECKPOINTS

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "lafi.py"


def reference(colour: tuple[int, int, int] = (200, 40, 60)) -> Image.Image:
    """A picture with a figure of some colour."""
    picture = Image.new("RGB", (128, 128), (20, 90, 160))
    picture.paste(colour, (40, 16, 88, 120))
    return picture


def load_script(path: Path = SCRIPT) -> ModuleType:
    """Runs a script, LAFI's own or another, as the host does; it registers its callbacks."""
    spec = importlib.util.spec_from_file_location(path.name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class WebUI:
    """A WebUI with LAFI.

    Args:
        kind: ``a1111`` or ``forge``.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        sd_models.model_data.sd_model = CHECKPOINTS[kind]()
        self.module = load_script()
        self.module.network.register()
        self.script = self.module.LafiScript()
        self.kept = self.module.kept
        self.runner = scripts.ScriptRunner()
        self.runner.add(self.script, 0)
        self.script.args_to = 1

    @property
    def unet(self) -> torch.nn.Module:
        """The UNet that samples."""
        model = sd_models.model_data.sd_model
        found: torch.nn.Module = (
            model.forge_objects.unet.model.diffusion_model
            if self.kind == "forge"
            else model.model.diffusion_model
        )
        return found

    def add(self, script: scripts.Script, *args: Any) -> None:
        """Another extension's script with its arguments; it runs after LAFI's."""
        position = 1 + sum(each.args_to - each.args_from for each in self.runner.alwayson_scripts)
        self.runner.add(script, position)
        script.args_to = position + len(args)
        script.stub_args = args  # type: ignore[attr-defined]

    def processing(
        self,
        lafi: Mapping[str, Any] | None = None,
        kind: type[StableDiffusionProcessing] = StableDiffusionProcessingTxt2Img,
        **fields: Any,
    ) -> Any:
        """A request that is not run yet; LAFI's fields, or None for LAFI off."""
        args: list[Any] = [{"enabled": False} if lafi is None else dict(lafi)]
        for script in self.runner.alwayson_scripts[1:]:
            args += [None] * (script.args_from - len(args)) + list(script.stub_args)
        return kind(scripts=self.runner, script_args=args, **fields)

    def txt2img(self, lafi: Mapping[str, Any] | None = None, **fields: Any) -> Processed:
        """Makes pictures; raises what reaches the user."""
        return process_images(self.processing(lafi, **fields))

    def injected(self, **fields: Any) -> Processed:
        """Pictures with the reference and otherwise LAFI's defaults."""
        return self.txt2img({"image": reference()}, **fields)

    @property
    def last_run(self) -> dict[str, Any]:
        """The report of the run that ended last."""
        return self.kept.reports.latest()

    def swallowed(self) -> list[BaseException]:
        """What hooks raised and the host swallowed."""
        return list(errors.exception_records)

    def close(self) -> None:
        """As the host does before it loads scripts again."""
        script_callbacks.script_unloaded_callback()
        script_callbacks.callbacks.clear()
        scripts.scripts_data.clear()
        extra_networks.extra_network_registry.clear()
        ui_extra_networks.extra_pages.clear()
        errors.exception_records.clear()
        self.kept.clear()
        sd_models.model_data.sd_model = None
        shared.reset()
        gc.collect()
