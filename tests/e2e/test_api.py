"""The routes, and how a request hands settings over."""

from __future__ import annotations

import re

from .pictures import REFERENCE

COUNTERS = ("evaluations", "recorded", "replayed", "reused", "injected", "skipped", "switched")


def test_version(webui) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", webui.get("/lafi/v1/version")["version"])


def test_schema_describes_every_field(webui) -> None:
    schema = webui.get("/lafi/v1/schema")
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False
    fields = schema["properties"]
    assert list(fields)[:4] == ["enabled", "image", "depth", "cutoff"]
    for field in fields.values():
        assert {"title", "description", "default"} <= set(field)
        # Pictures may be one or a list.
        assert ("type" in field) != ("oneOf" in field)


def test_the_host_lists_the_fields_as_the_scripts_arguments(webui) -> None:
    scripts = [each for each in webui.get("/sdapi/v1/script-info") if each["name"] == "lafi"]
    assert {script["is_img2img"] for script in scripts} == {False, True}
    count = len(webui.get("/lafi/v1/schema")["properties"])
    assert [len(script["args"]) for script in scripts] == [count, count]


def test_validate(webui) -> None:
    assert webui.post("/lafi/v1/validate", {"image": REFERENCE}).body == {
        "valid": True,
        "acts": True,
    }
    off = webui.post("/lafi/v1/validate", {"enabled": False})
    assert (off.status, off.body["acts"]) == (200, False)


def test_last_run_tells_what_happened(webui, injected) -> None:
    run = injected().run
    assert run["version"] == webui.get("/lafi/v1/version")["version"]
    assert run["host"]
    assert run["family"]
    assert run["description"]
    assert re.fullmatch(r"[0-9a-f]{12}", run["references"][0]["hash"])
    assert run["error"] is None
    assert run["seconds"] > 0
    assert run["bank"]["recordings"] > 0
    (first,) = run["passes"]
    assert first["name"] == "first"
    assert all(isinstance(first[name], int) and first[name] >= 0 for name in COUNTERS)
    assert first["evaluations"] == first["injected"] + first["skipped"]
    assert first["reference_seconds"] > 0
    assert first["reference_bytes"] > 0
    assert first["peak_bytes"] >= first["reference_bytes"]


def test_a_data_url_is_the_same_reference(webui, injected) -> None:
    result = webui.generate({"image": f"data:image/png;base64,{REFERENCE}"})
    assert result.picture == injected().picture


def test_positional_arguments_equal_fields_by_name(webui) -> None:
    by_name = {"image": REFERENCE, "depth": 60, "cutoff": 70, "start": 10, "strength": 1.5}
    one = webui.generate(by_name)
    other = webui.generate([True, *by_name.values()])
    assert one.picture == other.picture
    assert one.parameters == other.parameters
    assert one.run["settings"] == other.run["settings"]
