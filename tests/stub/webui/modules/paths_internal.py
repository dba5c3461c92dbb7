"""Where the WebUI's folders lie."""

from __future__ import annotations

models_path = "models"
