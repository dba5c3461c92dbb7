"""A WebUI seen through its API. Knows no host by name: what differs is asked of the host."""

from __future__ import annotations

import base64
import io
import json
import re
import threading
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lab.host.client import Answer, Client
from lafi.webui.options import DEFAULTS

SEED = 7
# Not every host's API lists extensions' options; then they are at their defaults.
UNLISTED = DEFAULTS | {
    "ad_script_names": "dynamic_prompting,dynamic_thresholding,lora_block_weight,negpip,"
    "wildcard_recursive,wildcards",
}


class Picture:
    """Decoded pixels (H, W, 3); equal if all of them are."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = pixels

    @classmethod
    def decode(cls, text: str) -> Picture:
        """From base64 or a data URL."""
        with Image.open(io.BytesIO(base64.b64decode(text.rpartition(",")[2]))) as picture:
            return cls(np.asarray(picture.convert("RGB")))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Picture) and np.array_equal(self.pixels, other.pixels)

    def __hash__(self) -> int:
        return hash(self.pixels.tobytes())

    def __repr__(self) -> str:
        height, width, _ = self.pixels.shape
        return f"<Picture {width}x{height} {hash(self):x}>"

    def distance(self, other: Picture) -> float:
        """Mean absolute difference, of 255."""
        return float(np.abs(self.pixels.astype(float) - other.pixels).mean())

    def columns(self, first: int, last: int) -> Picture:
        """The part from column `first` up to, not including, `last`."""
        return Picture(self.pixels[:, first:last])


@dataclass(frozen=True)
class Result:
    """What one generation gave.

    Attributes:
        pictures: one or more.
        infotexts: generation parameters, one for each picture.
        run: LAFI's report of its latest run; of an earlier one if LAFI did nothing in this one.
    """

    pictures: list[Picture]
    infotexts: list[str]
    run: dict[str, Any]

    @property
    def picture(self) -> Picture:
        """The first picture."""
        return self.pictures[0]

    def total(self, counter: str) -> int:
        """A counter of LAFI's report, summed over the passes."""
        return sum(each[counter] for each in self.run["passes"])

    @property
    def sites(self) -> list[str]:
        """The layers that injected in the first pass."""
        return self.run["passes"][0]["sites"]

    @property
    def parameters(self) -> list[str]:
        """The infotexts without the run's name, which is another one each time."""
        return [re.sub(r"LAFI run: [0-9a-f]+", "LAFI run", text) for text in self.infotexts]

    def lafi_keys(self) -> set[str]:
        """LAFI's keys in the first picture's infotext."""
        return set(re.findall(r"\b(LAFI [a-z0-9_ ]+):", self.infotexts[0]))


class WebUI(Client):
    """A running WebUI.

    Args:
        url: its address, with ``user:password@`` before the host if it wants a password.
        size: width and height of a picture in pixels.
        steps: sampling steps of a picture.
        scheduler: schedule type of a picture; None for the host's own choice.
        timeout: longest wait for one answer, in seconds.
    """

    def __init__(
        self,
        url: str,
        size: int,
        steps: int,
        scheduler: str | None = None,
        timeout: float = 600,
    ) -> None:
        super().__init__(url, timeout)
        self.size, self.steps, self.scheduler = size, steps, scheduler

    def stranger(self) -> WebUI:
        """The same WebUI for somebody who has no password."""
        return WebUI(self.url, self.size, self.steps, self.scheduler, self.timeout)

    # ---- requests -----------------------------------------------------------------------------

    def get(self, path: str) -> Any:
        """The body of a GET that must succeed."""
        answer = self.try_get(path)
        assert answer.status == 200, f"GET {path}: {answer}"
        return answer.body

    def listed(self, path: str) -> list[Any]:
        """The body of a GET; empty if the host has no such route."""
        answer = self.try_get(path)
        return answer.body if answer.status == 200 else []

    def has(self, path: str) -> bool:
        """Whether a GET succeeds; also while the host starts and answers nothing."""
        request = urllib.request.Request(self.url + path, headers=self.headers)
        try:
            return super()._send(request).status == 200
        except OSError:
            return False

    def _send(self, request: urllib.request.Request) -> Answer:
        try:
            return super()._send(request)
        except OSError as error:
            # No other test can say more.
            pytest.exit(f"{self.url} does not answer: {error}", returncode=1)

    # ---- pictures -----------------------------------------------------------------------------

    def request(self, lafi: Any = None, route: str = "txt2img", **payload: Any) -> Answer:
        """Asks for pictures.

        Args:
            lafi: LAFI's fields by name, or a list of positional arguments; None leaves the
                extension out of the request.
            route: txt2img or img2img.
            payload: fields of the host's request, beside the defaults; None leaves a default out.
        """
        return self.post(f"/sdapi/v1/{route}", self.body(lafi, **payload))

    def body(self, lafi: Any = None, **payload: Any) -> dict[str, Any]:
        """What `request` sends."""
        body = {
            "prompt": "a knight walking in a forest",
            "negative_prompt": "blurry",
            "seed": SEED,
            "steps": self.steps,
            "width": self.size,
            "height": self.size,
            "cfg_scale": 7,
            "sampler_name": self.sampler,
            "scheduler": self.scheduler,
            "save_images": False,
        } | payload
        body = {name: value for name, value in body.items() if value is not None}
        if lafi is not None:
            args = lafi if isinstance(lafi, list) else [lafi]
            body["alwayson_scripts"] = body.get("alwayson_scripts", {}) | {"LAFI": {"args": args}}
        return body

    def generate(self, lafi: Any = None, route: str = "txt2img", **payload: Any) -> Result:
        """Makes pictures, which must succeed; see `request`."""
        answer = self.request(lafi, route, **payload)
        assert answer.status == 200, answer
        info = json.loads(answer.body["info"])
        # Grids stand before the pictures; what other extensions add stands behind them.
        first, count = info.get("index_of_first_image", 0), len(info["all_seeds"])
        pictures = [Picture.decode(each) for each in answer.body["images"][first : first + count]]
        return Result(pictures, info["infotexts"][first:], self.last_run())

    @contextmanager
    def generating(self, lafi: Any = None, **payload: Any) -> Iterator[list[Answer]]:
        """A generation in the background; entered once it samples, left once it has answered.

        Gives a list that holds the answer afterwards.
        """
        answers: list[Answer] = []
        thread = threading.Thread(target=lambda: answers.append(self.request(lafi, **payload)))
        thread.start()
        try:
            while thread.is_alive() and not self._sampling():
                time.sleep(0.1)
            yield answers
        finally:
            thread.join()

    def _sampling(self) -> bool:
        progress = self.get("/sdapi/v1/progress?skip_current_image=true")
        return progress["state"]["sampling_step"] >= 2

    @contextmanager
    def options(self, **values: Any) -> Iterator[None]:
        """The host's options changed for a while, in memory alone.

        One request's own override is not enough: hosts take back only what their file has.
        """
        before = self._values(values)
        self._set(values)
        try:
            yield
        finally:
            self._set(before)

    @contextmanager
    def lasting_options(self, **values: Any) -> Iterator[None]:
        """The same through the host's settings file, for options that only then take effect."""
        before = self._values(values)
        assert self.post("/sdapi/v1/options", values).status == 200
        try:
            yield
        finally:
            assert self.post("/sdapi/v1/options", before).status == 200

    def _values(self, names: Iterable[str]) -> dict[str, Any]:
        known = UNLISTED | self.get("/sdapi/v1/options")
        return {name: known[name] for name in names}

    def _set(self, values: dict[str, Any]) -> None:
        lasting = {"override_settings": values, "override_settings_restore_afterwards": False}
        self.generate(steps=1, width=64, height=64, **lasting)

    # ---- what the host is ---------------------------------------------------------------------

    @cached_property
    def samplers(self) -> dict[str, dict[str, Any]]:
        """The options of all samplers that the host lists, by the samplers' names."""
        return {each["name"]: each["options"] for each in self.get("/sdapi/v1/samplers")}

    @cached_property
    def sampler(self) -> str:
        """The sampler of most pictures: an ancestral one, which draws noise while it samples."""
        return "Euler a" if "Euler a" in self.samplers else next(iter(self.samplers))

    @cached_property
    def txt2img_fields(self) -> set[str]:
        """The fields that the host's txt2img request knows."""
        schemas = self.get("/openapi.json")["components"]["schemas"]
        return set(schemas["StableDiffusionProcessingTxt2Img"]["properties"])

    # ---- LAFI's own routes --------------------------------------------------------------------

    def last_run(self) -> dict[str, Any]:
        """LAFI's report of its latest run."""
        return self.get("/lafi/v1/last-run")

    def clear_bank(self) -> int:
        """Forgets all recordings; says how many bytes that freed."""
        answer = self.post("/lafi/v1/bank/clear")
        assert answer.status == 200, answer
        return answer.body["freed"]

    def library(self, method: str, name: str = "", body: Any = None) -> Answer:
        """The answer of the library of characters; the name as it stands in an address."""
        path = "/lafi/v1/characters" + (f"/{name.replace(' ', '%20')}" if name else "")
        return self.ask(method, path, body)
