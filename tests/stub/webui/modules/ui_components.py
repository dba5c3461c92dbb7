"""Controls of the host's own."""

from __future__ import annotations

from typing import Any

import gradio as gr


class InputAccordion(gr.Checkbox):
    """An accordion that is also a checkbox."""

    def __init__(self, value: bool, **kwargs: Any) -> None:
        super().__init__(value, **kwargs)
        self.accordion = gr.Accordion(open=value, **kwargs)

    def extra(self) -> Any:
        """The place beside its label."""
        return gr.Column()
