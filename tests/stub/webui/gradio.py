"""The part of gradio that LAFI uses: components keep their arguments and the events they get."""

from __future__ import annotations

from typing import Any

__version__ = "3.41.2"


class Component:
    """Base of all: `events` are (name, arguments) in the order of connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args, self.kwargs = args, kwargs
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.value = kwargs.get("value", args[0] if args else None)
        self.label: str | None = kwargs.get("label")
        self.elem_id: str | None = kwargs.get("elem_id")
        self.do_not_save_to_config = False

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def _on(self, name: str, kwargs: dict[str, Any]) -> None:
        self.events.append((name, kwargs))

    def change(self, **kwargs: Any) -> None:
        """When the value changes."""
        self._on("change", kwargs)

    def click(self, **kwargs: Any) -> Any:
        """When it is clicked; what comes after is kept as well."""
        self._on("click", kwargs)
        return self

    def then(self, **kwargs: Any) -> Any:
        """After the event before."""
        self._on("then", kwargs)
        return self

    def input(self, **kwargs: Any) -> None:
        """When the user changes the value."""
        self._on("input", kwargs)

    def release(self, **kwargs: Any) -> None:
        """When a slider is let go."""
        self._on("release", kwargs)

    def upload(self, **kwargs: Any) -> None:
        """When a file arrives."""
        self._on("upload", kwargs)

    def clear(self, **kwargs: Any) -> None:
        """When the user empties it."""
        self._on("clear", kwargs)


class Accordion(Component):
    """See gradio."""


class Button(Component):
    """See gradio."""


class Checkbox(Component):
    """See gradio."""


class Column(Component):
    """See gradio."""


class Dropdown(Component):
    """See gradio."""


class File(Component):
    """See gradio."""


class Group(Component):
    """See gradio."""


class HTML(Component):
    """See gradio."""


class Image(Component):
    """See gradio."""


class Markdown(Component):
    """See gradio."""


class Number(Component):
    """See gradio."""


class Radio(Component):
    """See gradio."""


class Row(Component):
    """See gradio."""


class Slider(Component):
    """See gradio; minimum, maximum, value."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "value" not in kwargs:
            self.value = args[2] if len(args) > 2 else None


class State(Component):
    """See gradio."""


class TextArea(Component):
    """See gradio."""


class Textbox(Component):
    """See gradio."""


class Error(Exception):
    """What the page shows of a failure."""


def update(**kwargs: Any) -> dict[str, Any]:
    """What an event's function answers to change more than a value."""
    return {"__type__": "update", **kwargs}
