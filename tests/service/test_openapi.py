"""The description of the HTTP interface, for programs and for people: complete, and true."""

import re
from typing import Any

import pytest

from tests.helpers import plain_png

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def document(linear: Any) -> dict[str, Any]:
    return dict(linear.client.get("/openapi.json").json())


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, operation) for path, item in document["paths"].items() for method, operation in item.items()]


def test_every_operation_has_a_name_of_its_own(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == len(names)
    assert {"predict", "model", "infer", "infer_of_version", "model_ready"} <= set(names)


def test_parameters_in_paths_are_texts(document: dict[str, Any]) -> None:
    for path, _, operation in operations(document):
        in_path = {item["name"]: item for item in operation.get("parameters", []) if item["in"] == "path"}
        assert set(in_path) == set(re.findall(r"{(\w+)}", path))
        assert all(item["required"] and item["schema"] == {"type": "string"} for item in in_path.values())


def test_errors_have_the_form_that_is_described(document: dict[str, Any]) -> None:
    for path, _, operation in operations(document):
        for status, response in operation["responses"].items():
            if status < "400" or (status == "503" and "ready" in path):
                continue
            expected = (
                ("application/json", "ProtocolError")
                if path.startswith("/v2")
                else ("application/problem+json", "Problem")
            )
            ((media_type, content),) = response["content"].items()
            assert (media_type, content["schema"]) == (expected[0], {"$ref": f"#/components/schemas/{expected[1]}"})
    assert "ValidationError" not in str(document)


@pytest.mark.parametrize(
    ("path", "described", "options"),
    [
        ("/api/v1/predict", "/api/v1/predict", {"content": b""}),
        ("/api/v1/predict", "/api/v1/predict", {"content": b"x"}),
        ("/api/v1/predict", "/api/v1/predict", {"content": bytes(2_000_000)}),
        ("/api/v1/predict?explain=perhaps", "/api/v1/predict", {"content": plain_png("red")}),
        ("/api/v1/predict", "/api/v1/predict", {"headers": {"Origin": "http://evil.example"}}),
        ("/api/v1/predict", "/api/v1/predict", {"headers": {"Host": "evil.example"}}),
        ("/v2/models/none/infer", "/v2/models/{name}/infer", {"content": b"{}"}),
        ("/v2/models/none/versions/1/infer", "/v2/models/{name}/versions/{version}/infer", {"content": b"{}"}),
        ("/v2/models/NAME/infer", "/v2/models/{name}/infer", {"content": b"{}"}),
        ("/v2/models/NAME/infer", "/v2/models/{name}/infer", {"content": bytes(9_000_000)}),
    ],
)
def test_every_status_is_described(
    linear: Any, document: dict[str, Any], path: str, described: str, options: dict[str, Any]
) -> None:
    name = linear.client.get("/api/v1/model").json()["name"]
    response = linear.client.post(path.replace("NAME", name), **options)
    expected = document["paths"][described]["post"]["responses"][str(response.status_code)]
    assert response.headers["content-type"] in expected["content"]
    assert response.status_code >= 400


def test_the_page_for_people_needs_no_other_server(linear: Any, document: dict[str, Any]) -> None:
    response = linear.client.get("/docs")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert set(re.findall(r'(?:src|href)="([^"]*)"', response.text)) == {"icon.svg", "style.css", "openapi.json", "./"}
    assert "<script" not in response.text
    assert "//" not in response.text
    for path, method, operation in operations(document):
        assert f"{method.upper()} {path}" in response.text
        assert operation["summary"].replace("'", "&#x27;") in response.text
    assert "predictions[].heat_map" in response.text
