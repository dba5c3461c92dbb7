"""The host's API."""

from __future__ import annotations

from typing import Any


class Api:
    """The host's routes; here the reader of `alwayson_scripts` alone."""

    def init_script_args(
        self,
        request: Any,
        default_script_args: list[Any],
        selectable_scripts: Any,
        selectable_idx: Any,
        script_runner: Any,
        *,
        input_script_args: Any = None,
    ) -> list[Any]:
        """All scripts' arguments: the page's defaults, and what a request gives."""
        script_args = list(default_script_args)
        for name, given in (request.alwayson_scripts or {}).items():
            script = next(
                each
                for each in script_runner.alwayson_scripts
                if each.title().lower() == name.lower()
            )
            if "args" in given:
                count = min(script.args_to - script.args_from, len(given["args"]))
                for index in range(count):
                    script_args[script.args_from + index] = given["args"][index]
        return script_args
