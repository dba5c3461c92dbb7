"""A WebUI's API over HTTP: JSON in, JSON out."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    """What the host answered to a request: HTTP status and decoded body."""

    status: int
    body: Any

    def __repr__(self) -> str:
        return f"<Answer {self.status} {str(self.body)[:500]}>"


class Client:
    """Asks a running WebUI.

    Args:
        url: its address, with ``user:password@`` before the host if it wants a password.
        timeout: longest wait for one answer, in seconds.

    Raises:
        OSError: from every request, when nothing answers.
    """

    def __init__(self, url: str, timeout: float = 600) -> None:
        parts = urllib.parse.urlsplit(url.rstrip("/"))
        login, _, host = parts.netloc.rpartition("@")
        self.url, self.timeout = parts._replace(netloc=host).geturl(), timeout
        token = base64.b64encode(urllib.parse.unquote(login).encode()).decode()
        self.headers = {"Authorization": f"Basic {token}"} if login else {}

    def try_get(self, path: str) -> Answer:
        """The answer to a GET, whatever it is."""
        return self._send(urllib.request.Request(self.url + path, headers=self.headers))

    def post(self, path: str, body: dict[str, Any] | None = None) -> Answer:
        """The answer to a POST, whatever it is."""
        return self.ask("POST", path, body or {})

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        """The answer to a request of any method, whatever it is; without a body for None."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} | self.headers
        return self._send(urllib.request.Request(self.url + path, data, headers, method=method))

    def _send(self, request: urllib.request.Request) -> Answer:
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as response:
                status, text = response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                status, text = error.code, error.read()
        try:
            return Answer(status, json.loads(text))
        except ValueError:
            return Answer(status, text.decode(errors="replace"))
