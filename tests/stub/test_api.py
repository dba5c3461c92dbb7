"""LAFI's own routes: who may call them, and what they answer to anything that is sent."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from .host import WebUI, reference

PATHS = {
    "GET /lafi/v1/version", "GET /lafi/v1/schema", "GET /lafi/v1/last-run",
    "POST /lafi/v1/bank/clear", "POST /lafi/v1/selftest", "POST /lafi/v1/validate",
    "GET /lafi/v1/characters", "GET /lafi/v1/characters/{name}",
    "PUT /lafi/v1/characters/{name}", "DELETE /lafi/v1/characters/{name}",
}  # fmt: skip


def password() -> bool:
    """Stands for the host's own check."""
    return True


def app_of_host(**options: Any) -> FastAPI:
    """An application with the host's own API."""
    app = FastAPI()
    app.add_api_route("/sdapi/v1/progress", lambda: None, methods=["GET"])
    app.add_api_route("/sdapi/v1/txt2img", lambda: None, methods=["POST"], **options)
    return app


def lafi_routes(app: FastAPI) -> dict[str, Any]:
    """LAFI's routes as the script adds them."""
    from lafi.webui import api

    api.register(app)
    ours = [each for each in app.routes if each.path.startswith("/lafi/")]
    return {f"{method} {each.path}": each for each in ours for method in each.methods}


def post(path: str, body: Any) -> tuple[int, Any]:
    """Status and answer of a route."""
    answer = lafi_routes(app_of_host())[f"POST /lafi/v1/{path}"].endpoint(body)
    if hasattr(answer, "status_code"):
        return answer.status_code, answer.content
    return 200, answer


def picture() -> str:
    """The reference in base64."""
    buffer = io.BytesIO()
    reference().save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def test_every_route_asks_for_what_the_host_asks_for(a1111: WebUI) -> None:
    routes = lafi_routes(app_of_host(dependencies=[password]))
    assert set(routes) == PATHS
    assert all(each.dependencies == [password] for each in routes.values())


def test_without_a_password_the_routes_are_open_as_the_host_is(a1111: WebUI) -> None:
    routes = lafi_routes(app_of_host())
    assert set(routes) == PATHS
    assert not any(each.dependencies for each in routes.values())


def test_without_the_hosts_api_there_are_no_routes(a1111: WebUI) -> None:
    assert lafi_routes(FastAPI()) == {}


def test_the_page_needs_no_route() -> None:
    root = Path(__file__).resolve().parents[2]
    for path in [*root.glob("javascript/*.js"), root / "lafi" / "webui" / "ui.py"]:
        assert "/v1" not in path.read_text("utf-8"), path


@pytest.mark.parametrize("address", [
    "http://127.0.0.1:1/hero.png", "https://example.org/hero.png", "HTTPS://EXAMPLE.ORG/HERO.PNG",
    "file:///etc/hostname", "/etc/hostname", "data:image/png,http://127.0.0.1:1/",
])  # fmt: skip
@pytest.mark.parametrize("field", ["image", "mask"])
def test_validate_fetches_no_address(a1111: WebUI, monkeypatch, address: str, field: str) -> None:
    monkeypatch.setattr("socket.socket", None)
    monkeypatch.setattr("builtins.open", None)
    status, answer = post("validate", {"image": picture(), field: address})
    assert status == 422
    assert [each["loc"] for each in answer] == [[field]]


def test_a_picture_is_made_of_sent_data_alone_as_well(a1111: WebUI, monkeypatch) -> None:
    monkeypatch.setattr("socket.socket", None)
    with pytest.raises(Exception, match="image: cannot be read as a picture"):
        a1111.txt2img({"image": "http://127.0.0.1:1/hero.png"})


@pytest.mark.parametrize(("fields", "acts"), [({}, True), ({"depth": 0}, False)], ids=str)
def test_validate_says_whether_anything_would_be_injected(a1111: WebUI, fields, acts) -> None:
    assert post("validate", {"image": picture(), **fields}) == (200, {"valid": True, "acts": acts})


@pytest.mark.parametrize(
    "body", [None, [], "text", 5, float("nan"), [{}], {}, {"\ud800": 1}], ids=ascii
)
@pytest.mark.parametrize("path", ["validate", "selftest"])
def test_any_body_gets_an_answer(a1111: WebUI, monkeypatch, path: str, body: Any) -> None:
    monkeypatch.setattr("lafi.webui.selftest.run", lambda **asked: asked)
    status, answer = post(path, body)
    if path == "selftest" and body in (None, {}):
        assert (status, answer) == (200, {"batch": 1, "stream": "noise", "size": 256})
        return
    assert status == 422
    assert answer[0]["loc"]
    json.dumps(answer, ensure_ascii=False, allow_nan=False).encode()


@pytest.mark.parametrize(("field", "value"), [
    ("batch", 0), ("batch", 9), ("batch", "1"), ("batch", 1.5), ("size", 100), ("size", 10**400),
    ("size", float("nan")), ("stream", "sideways"), ("steps", 5),
], ids=lambda value: str(value)[:12])  # fmt: skip
def test_a_self_test_names_what_is_wrong(a1111: WebUI, field: str, value: Any) -> None:
    status, answer = post("selftest", {field: value})
    assert status == 422
    assert [each["loc"] for each in answer] == [[field]]


def test_errors_answer_by_their_kind(a1111: WebUI) -> None:
    from lafi.errors import LafiError, invalid
    from lafi.webui import http

    bad = http.exception(invalid("mask", "is empty"))
    assert (bad.status_code, bad.detail) == (422, [{"loc": ["mask"], "msg": "is empty"}])
    late = http.exception(LafiError("empty_window", "no evaluation.", "Widen it."))
    assert late.status_code == 422
    assert late.detail == [{"loc": ["start"], "msg": "no evaluation. Widen it."}]
    other = http.exception(LafiError("no_model", "no checkpoint is loaded.", "Choose one."))
    assert (other.status_code, other.detail) == (500, "LAFI: no checkpoint is loaded. Choose one.")
