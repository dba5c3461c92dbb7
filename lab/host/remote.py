"""A running WebUI with LAFI installed, driven through its API."""

from __future__ import annotations

import base64
import io
import urllib.parse
from typing import Any

from PIL import Image

from lafi.settings import LafiSettings

from ..errors import LabError
from .client import Client
from .embedded import Request

SAMPLER_NAMES = {
    "euler": "Euler",
    "euler_ancestral": "Euler a",
    "dpmpp_2m": "DPM++ 2M",
    "heun": "Heun",
    "dpm_2": "DPM2",
    "dpmpp_sde": "DPM++ SDE",
}


class RemoteHost(Client):
    """Makes pictures through the API of a WebUI.

    Args:
        url: its address, such as ``http://127.0.0.1:7860``.
        timeout: seconds to wait for one answer.

    Raises:
        LabError: when nothing answers there, or LAFI is not installed.
    """

    def __init__(self, url: str, timeout: float = 600) -> None:
        if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
            raise LabError(f"--url: {url} is no address like http://127.0.0.1:7860.")
        super().__init__(url, timeout)
        self.version = self.call("/lafi/v1/version")["version"]

    def generate(
        self, request: Request, settings: LafiSettings | None, reference: Image.Image | None
    ) -> Image.Image:
        """One picture, from ``/sdapi/v1/txt2img``."""
        payload: dict[str, Any] = {
            "prompt": request.prompt,
            "negative_prompt": request.negative,
            "seed": request.seed,
            "steps": request.steps,
            "width": request.size,
            "height": request.size,
            "cfg_scale": request.scale,
            "sampler_name": SAMPLER_NAMES[request.sampler],
        }
        if settings is not None and reference is not None:
            fields = {"image": to_base64(reference), **settings.changed()}
            payload["alwayson_scripts"] = {"LAFI": {"args": [fields]}}
        answer = self.call("/sdapi/v1/txt2img", payload)
        return _decode(answer["images"][0])

    def call(self, path: str, payload: dict | None = None) -> Any:
        """The body of the answer to a GET, or with a payload to a POST."""
        try:
            answer = self.try_get(path) if payload is None else self.post(path, payload)
        except (OSError, ValueError) as error:
            raise LabError(f"--url: no answer from {self.url} ({error}).") from None
        if answer.status == 404 and path.startswith("/lafi/"):
            raise LabError(f"{self.url} answers, but LAFI is not installed there.")
        if answer.status == 404:
            raise LabError(f"{self.url} has no API; start the WebUI with --api.")
        if answer.status != 200:
            text = str(answer.body)[:500]
            raise LabError(f"{self.url}{path} refused ({answer.status}): {text}")
        if isinstance(answer.body, str):
            raise LabError(f"{self.url}{path} answers, but not as a WebUI does.")
        return answer.body


def to_base64(picture: Image.Image) -> str:
    """A picture as the API takes it."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def _decode(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB")
