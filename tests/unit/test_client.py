"""The one client of a WebUI's API, against a small server of the test's own."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from lab.errors import LabError
from lab.host.client import Client
from lab.host.remote import RemoteHost

ANSWERS = {
    "/lafi/v1/version": (200, '{"version": "1.2.3"}'),
    "/broken": (500, '{"detail": "no"}'),
    "/page": (200, "<html>"),
}


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.seen.append((self.path, self.headers.get("Authorization"), None))
        self._answer(*ANSWERS.get(self.path, (404, '{"detail": "Not Found"}')))

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.seen.append((self.path, self.headers.get("Authorization"), json.loads(body)))
        self._answer(200, body)

    def do_PUT(self):
        self._echo()

    def do_DELETE(self):
        self._echo()

    def _echo(self):
        length = int(self.headers.get("Content-Length", 0))
        self._answer(200, json.dumps([self.command, self.path, self.rfile.read(length).decode()]))

    def _answer(self, status, text):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args):
        """Says nothing."""


@pytest.fixture
def server():
    made = HTTPServer(("127.0.0.1", 0), _Handler)
    made.seen = []
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def test_answers_come_whatever_they_are(server):
    client = Client(f"http://127.0.0.1:{server.server_port}/")
    assert client.try_get("/lafi/v1/version").body == {"version": "1.2.3"}
    assert client.try_get("/broken").status == 500
    assert client.try_get("/page").body == "<html>"
    assert client.post("/echo", {"a": 1}).body == {"a": 1}
    assert client.post("/echo").body == {}
    assert {login for _, login, _ in server.seen} == {None}
    assert client.ask("PUT", "/a%20b", [1]).body == ["PUT", "/a%20b", "[1]"]
    assert client.ask("DELETE", "/a").body == ["DELETE", "/a", ""]


def test_a_password_in_the_address_is_sent_and_not_shown(server):
    client = Client(f"http://me:p%40ss@127.0.0.1:{server.server_port}")
    client.try_get("/page")
    kind, token = server.seen[-1][1].split()
    assert (kind, base64.b64decode(token)) == ("Basic", b"me:p@ss")
    assert "me" not in client.url


def test_the_demonstrations_host_says_what_is_missing(server):
    host = RemoteHost(f"http://127.0.0.1:{server.server_port}")
    assert host.version == "1.2.3"
    assert host.call("/echo", {"a": 1}) == {"a": 1}
    for path, text in {
        "/sdapi/v1/txt2img": "start the WebUI with --api",
        "/lafi/v1/nothing": "LAFI is not installed",
        "/broken": r"refused \(500\).*no",
        "/page": "not as a WebUI does",
    }.items():
        with pytest.raises(LabError, match=text):
            host.call(path)
