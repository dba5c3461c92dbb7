"""Scripts, and the runner that calls their hooks. What a hook raises is reported and swallowed."""

from __future__ import annotations

from typing import Any

from . import errors

AlwaysVisible = object()
# What the host found on disk: objects with `script_class` and `module`.
scripts_data: list[Any] = []


class Script:
    """Base of all scripts."""

    args_from = args_to = 0
    filename = "stub"
    infotext_fields: Any = None
    paste_field_names: Any = None

    def elem_id(self, item_id: str) -> str:
        """An id of an element of the page."""
        return f"script_txt2img_{self.title()}_{item_id}"

    def title(self) -> str:
        """Its name."""
        raise NotImplementedError

    def before_process(self, p: Any, *args: Any) -> None:
        """At the very start."""

    def process(self, p: Any, *args: Any) -> None:
        """Once, before the first picture."""

    def process_batch(self, p: Any, *args: Any, **kwargs: Any) -> None:
        """Before each batch."""

    def process_before_every_sampling(self, p: Any, *args: Any, **kwargs: Any) -> None:
        """Before each pass."""

    def postprocess_batch(self, p: Any, *args: Any, **kwargs: Any) -> None:
        """After each batch."""

    def postprocess_image(self, p: Any, pp: PostprocessImageArgs, *args: Any) -> None:
        """After each picture."""

    def postprocess(self, p: Any, processed: Any, *args: Any) -> None:
        """Once, at the end."""


class PostprocessImageArgs:
    """A picture that scripts may replace."""

    def __init__(self, image: Any) -> None:
        self.image = image


class ScriptRunner:
    """The scripts of one tab."""

    def __init__(self) -> None:
        self.alwayson_scripts: list[Any] = []

    def add(self, script: Any, position: int) -> None:
        """Adds a script whose arguments begin at `position`."""
        script.args_from = position
        self.alwayson_scripts.append(script)

    def _run(self, name: str, p: Any, *first: Any, **kwargs: Any) -> None:
        for script in self.alwayson_scripts:
            try:
                args = p.script_args[script.args_from : script.args_to]
                getattr(script, name)(p, *first, *args, **kwargs)
            except Exception:  # noqa: PERF203 (each by itself)
                errors.report(f"Error running {name}: {script.filename}", exc_info=True)

    def before_process(self, p: Any) -> None:
        """See Script."""
        self._run("before_process", p)

    def process(self, p: Any) -> None:
        """See Script."""
        self._run("process", p)

    def process_batch(self, p: Any, **kwargs: Any) -> None:
        """See Script."""
        self._run("process_batch", p, **kwargs)

    def process_before_every_sampling(self, p: Any, **kwargs: Any) -> None:
        """See Script."""
        self._run("process_before_every_sampling", p, **kwargs)

    def postprocess_batch(self, p: Any, images: Any, **kwargs: Any) -> None:
        """See Script."""
        self._run("postprocess_batch", p, images=images, **kwargs)

    def postprocess_image(self, p: Any, pp: PostprocessImageArgs) -> None:
        """See Script."""
        self._run("postprocess_image", p, pp)

    def postprocess(self, p: Any, processed: Any) -> None:
        """See Script."""
        self._run("postprocess", p, processed)
