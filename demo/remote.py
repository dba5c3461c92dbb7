"""A running WebUI with LAFI installed, driven through its API."""

from __future__ import annotations

import base64
import io
import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from PIL import Image

from lafi.settings import LafiSettings

from .grid import DemoError
from .host import Request

SAMPLER_NAMES = {
    "euler": "Euler",
    "euler_ancestral": "Euler a",
    "dpmpp_2m": "DPM++ 2M",
    "heun": "Heun",
    "dpm_2": "DPM2",
    "dpmpp_sde": "DPM++ SDE",
}


class RemoteHost:
    """Makes pictures through the API of a WebUI.

    Args:
        url: its address, such as ``http://127.0.0.1:7860``.
        timeout: seconds to wait for one answer.

    Raises:
        DemoError: when nothing answers there, or LAFI is not installed.
    """

    def __init__(self, url: str, timeout: float = 600) -> None:
        if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
            raise DemoError(f"--url: {url} is no address like http://127.0.0.1:7860.")
        self.url, self.timeout = url.rstrip("/"), timeout
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
            fields = {"image": _encode(reference), **settings.changed()}
            payload["alwayson_scripts"] = {"LAFI": {"args": [fields]}}
        answer = self.call("/sdapi/v1/txt2img", payload)
        return _decode(answer["images"][0])

    def call(self, path: str, payload: dict | None = None) -> dict:
        """The answer to a GET, or with a payload to a POST."""
        data = None if payload is None else json.dumps(payload).encode()
        request = urllib.request.Request(
            self.url + path, data, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code == 404 and path.startswith("/lafi/"):
                raise DemoError(f"{self.url} answers, but LAFI is not installed there.") from None
            if error.code == 404:
                raise DemoError(f"{self.url} has no API; start the WebUI with --api.") from None
            text = error.read().decode(errors="replace")[:500]
            raise DemoError(f"{self.url}{path} refused ({error.code}): {text}") from None
        except json.JSONDecodeError:
            raise DemoError(f"{self.url}{path} answers, but not as a WebUI does.") from None
        except (OSError, ValueError) as error:
            raise DemoError(f"--url: no answer from {self.url} ({error}).") from None


def _encode(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def _decode(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB")
