"""Requests and answers of `/api/v1`: their form, and that the answers are those of the predictor."""

import base64
import json
import math
import re
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from PIL import Image

import dogvscat.service.server
from dogvscat.bundle.folder import DEFAULT_BUNDLE
from dogvscat.bundle.predict.prediction import Prediction
from dogvscat.bundle.predict.predictor import Predictor
from tests.helpers import LinearBundle, Serve, metrics_with, plain_png

pytestmark = pytest.mark.slow

FORM = "multipart/form-data; boundary=edge"


def form(*names: str, data: bytes = b"x", end: bytes = b"--edge--\r\n") -> bytes:
    parts = [
        f'--edge\r\nContent-Disposition: form-data; name="f"; filename="{name}"\r\n\r\n'.encode() for name in names
    ]
    return b"".join(part + data + b"\r\n" for part in parts) + end


def test_answers_are_the_predictors(best, drawn: list[bytes]) -> None:
    expected = Predictor.load().predict(drawn)
    together = best.predict(*drawn).json()["predictions"]
    alone = [best.predict(picture).json()["predictions"][0] for picture in drawn]
    for answer, single, prediction in zip(together, alone, expected, strict=True):
        assert isinstance(prediction, Prediction)
        assert answer["label"] == single["label"] == prediction.label
        assert answer["reason"] == single["reason"] == prediction.reason
        assert answer["probabilities"] == pytest.approx(prediction.probabilities, abs=1e-4)
        assert single["probabilities"] == pytest.approx(prediction.probabilities, abs=1e-4)
        assert answer["neither"] == pytest.approx(prediction.neither, abs=1e-4)
        assert sum(answer["probabilities"].values()) == pytest.approx(1.0)
    assert [answer["name"] for answer in together] == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]
    model = best.client.get("/api/v1/model").json()
    version = Predictor.load().bundle.digest[:12]
    expected_model = {"name": "best", "version": version, "id": f"best@{version}"}
    assert best.predict(drawn[0]).json()["model"] == {key: model[key] for key in expected_model} == expected_model


def test_a_network_at_chance_is_unsure_of_everything_and_says_so(
    serve: Serve, linear_bundle: LinearBundle, tmp_path: Path
) -> None:
    server = serve("--model", linear_bundle(tmp_path / "guesses", metrics=metrics_with(0.4)))
    (answer,) = server.predict(plain_png("red")).json()["predictions"]
    assert (answer["label"], answer["reason"]) == ("unsure", "at_chance")
    assert answer["probabilities"]["dog"] > 0.99
    model = server.client.get("/api/v1/model").json()
    (warning,) = model["warnings"]
    assert model["at_chance"] is True
    assert warning.startswith("This network is no better than guessing: its accuracy on 9 validation photos is 60.0%")
    assert server.stderr().count(warning) == 1


def test_photographs_are_told_apart(best, photographs: list[Path]) -> None:
    answers = best.predict(*(path.read_bytes() for path in photographs)).json()["predictions"]
    expected = Predictor.load().predict(photographs)
    assert [answer["label"] for answer in answers] == [p.label for p in expected if isinstance(p, Prediction)]


def test_answers_are_what_one_works_out_by_hand(linear) -> None:
    for red, blue in ((255, 0), (0, 255), (150, 99)):
        (answer,) = linear.predict(plain_png((red, 7, blue))).json()["predictions"]
        assert answer["probabilities"]["dog"] == pytest.approx(1 / (1 + math.exp(-8 * (red - blue) / 255)), abs=1e-5)
        assert answer["neither"] is None
        assert "heat_map" not in answer


def test_a_heat_map_is_a_picture_to_lay_over_the_photo(linear) -> None:
    photo = Image.new("RGB", (64, 32), (90, 7, 90))
    photo.paste((255, 0, 0), (32, 16, 64, 32))  # the only thing that speaks for a dog, in the lower right quarter
    data = BytesIO()
    photo.save(data, "PNG")
    (answer,) = linear.predict(data.getvalue(), explain="true").json()["predictions"]
    assert answer["label"] == "dog"
    kind, _, data = answer["heat_map"].partition(",")
    assert kind == "data:image/png;base64"
    with Image.open(BytesIO(base64.b64decode(data))) as picture:
        assert picture.mode == "RGBA"
        assert picture.size == (32, 32)
        opacity = np.asarray(picture)[..., 3]  # (32, 32)
    assert opacity[24, 24] > 100 > 20 > opacity[4, 4]


def test_a_bad_picture_among_good_ones_has_its_error_in_its_place(linear) -> None:
    response = linear.predict(plain_png((255, 0, 0)), b"no picture", plain_png((0, 0, 255)))
    first, bad, last = response.json()["predictions"]
    assert response.status_code == 200
    assert (first["label"], last["label"]) == ("dog", "cat")
    assert bad == {
        "name": "1.jpg",
        "error": {
            "code": "unsupported_format",
            "message": "is not a picture of a known format",
            "hint": "Photos may be JPEG, PNG, WEBP, GIF, BMP, TIFF, AVIF.",
        },
    }


def huge_gif() -> bytes:
    return (
        b"GIF89a"
        + (20_000).to_bytes(2, "little") * 2
        + b"\0\0\0,"
        + bytes(4)
        + b"\x20\x4e\x20\x4e\0\x02\x02\x44\x01\0;"
    )


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b"", "image/jpeg", 400, "empty"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "image/jpeg", 400, "unreadable"),
        (huge_gif(), "image/gif", 413, "too_large"),
        (bytes(1024 * 1024 + 1), "image/jpeg", 413, "too_large"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml", 415, "unsupported_format"),
        (b"http://localhost/cat.jpg", "text/plain", 415, "unsupported_format"),
        (b"\0\0\0\x18ftypheic", "image/heic", 415, "unsupported_format"),
        (b"\xff\x0a" + bytes(40), "image/jxl", 415, "unsupported_format"),
        (b"x=1", "application/x-www-form-urlencoded", 415, "unsupported_format"),
        (form("a.jpg"), FORM, 415, "unsupported_format"),
        (form("a.jpg", data=b""), FORM, 400, "empty"),
        (form(), FORM, 422, "form"),
        (form("a.jpg", end=b""), FORM, 422, "form"),
        (b"nothing of a form", FORM, 422, "form"),
        (form("a.jpg"), "multipart/form-data", 422, "form"),
        (form("a.jpg"), "multipart/form-data; boundary=" + "x" * 300, 422, "form"),
        (b'--edge\r\nContent-Disposition: form-data; name="url"\r\n\r\nhttp://x/\r\n--edge--', FORM, 422, "form"),
        (form(*["a.jpg"] * 65), FORM, 413, "too_many"),
    ],
)
def test_a_request_that_cannot_be_answered_is_a_problem(linear, body: bytes, kind: str, status: int, code: str) -> None:
    response = linear.client.post("/api/v1/predict", content=body, headers={"Content-Type": kind})
    problem = response.json()
    assert (response.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert response.headers["content-type"] == "application/problem+json"
    assert set(problem) >= {"type", "title", "detail"}


def test_the_content_decides_not_the_type(linear) -> None:
    for kind in ("text/html", "application/json", "image/gif"):
        response = linear.client.post("/api/v1/predict", content=plain_png((255, 0, 0)), headers={"Content-Type": kind})
        assert response.json()["predictions"][0]["label"] == "dog"


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>.jpg",
        'a"b;c=d.jpg',
        "line\r\nbreak.jpg",
        "../../etc/passwd",
        "C:/autoexec.bat",
        "кот 猫 🐕 e\u0301.jpg",
        "\u202egpj.exe",
        "'; DROP TABLE photos; --",
        "x" * 3000,
    ],
)
def test_names_come_back_as_they_were_sent(linear, name: str) -> None:
    picture = plain_png((255, 0, 0))
    in_form = linear.client.post("/api/v1/predict", files=[("files", (name, picture)), ("files", ("b", picture))])
    assert in_form.json()["predictions"][0]["name"] == name
    for sent in (name, f"\t\x01{name}"):
        assert linear.predict(picture, name=sent).json()["predictions"][0]["name"] == sent
        assert linear.predict(b"bad", name=sent).json()["name"] == sent


def test_wrong_queries_paths_and_methods(linear) -> None:
    wrong = linear.client.post("/api/v1/predict?explain=perhaps", content=b"x")
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid")
    misspelled = linear.client.post("/api/v1/predict?expain=true", content=b"x")
    assert (misspelled.status_code, "query.expain" in misspelled.json()["detail"]) == (422, True)
    assert linear.client.get("/nothing/<b>").json()["status"] == 404
    response = linear.client.get("/api/v1/predict")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert linear.client.get("/..%2f..%2fetc/passwd").status_code == 404


def test_the_example_in_the_docstring_of_run_prints_what_it_says() -> None:
    command = [sys.executable, "-W", "error", "-m", "doctest", "-v", dogvscat.service.server.__file__]
    process = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert process.returncode == 0, process.stdout
    assert re.search(r"^10 passed( and 0 failed)?\.$", process.stdout, re.MULTILINE)  # shorter since Python 3.13


def test_the_model_says_what_its_card_says(best) -> None:
    document, card = best.client.get("/api/v1/model").json(), json.loads((DEFAULT_BUNDLE / "card.json").read_text())
    assert document["name"] == "best"
    for name in ("class_names", "threshold", "unsure_low", "neither_limit", "metrics", "known_failures", "image_size"):
        assert document[name] == card[name]
    assert document["limits"]["body_bytes"] == 32 * 1024 * 1024


def resolved(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "components": document["components"]}


def test_the_description_for_programs_holds(linear) -> None:
    document = linear.client.get("/openapi.json").json()
    responses = document["paths"]["/api/v1/predict"]["post"]["responses"]
    good = linear.predict(plain_png((255, 0, 0)), b"bad", explain="true").json()
    jsonschema.validate(good, resolved(responses["200"]["content"]["application/json"]["schema"], document))
    for body, status in ((b"bad", "415"), (b"", "400")):
        schema = responses[status]["content"]["application/problem+json"]["schema"]
        jsonschema.validate(linear.predict(body).json(), resolved(schema, document))
    assert {"400", "413", "415", "422", "429", "503"} <= set(responses)


def test_every_reference_in_the_description_leads_somewhere(linear) -> None:
    text = linear.client.get("/openapi.json").text
    references = set(re.findall(r'"\$ref":\s*"([^"]+)"', text))
    assert {"#/components/schemas/PictureAnswer", "#/components/schemas/Predictions"} <= references
    for reference in references:
        node = json.loads(text)
        for key in reference.removeprefix("#/").split("/"):
            assert key in node, f"{reference} leads nowhere"
            node = node[key]


def test_a_request_of_the_open_inference_protocol_is_described(linear) -> None:
    document = linear.client.get("/openapi.json").json()
    body = document["paths"]["/v2/models/{name}/infer"]["post"]["requestBody"]["content"]["application/json"]
    schema = resolved(body["schema"], document)
    tensor = {"name": "pixels", "shape": [1, 32, 32, 3], "datatype": "UINT8", "data": [0] * 3072}
    jsonschema.validate({"inputs": [tensor], "outputs": [{"name": "label"}]}, schema)
    del tensor["data"]
    with pytest.raises(jsonschema.ValidationError, match="'data' is a required property"):
        jsonschema.validate({"inputs": [tensor]}, schema)


@pytest.mark.parametrize("path", ["/", "/page.js", "/api/v1/model", "/metrics", "/nothing", "/v2/health/live"])
def test_every_answer_has_safe_headers(linear, path: str) -> None:
    headers = linear.client.get(path, headers={"Origin": "http://elsewhere.example"}).headers
    assert headers["content-security-policy"].startswith("default-src 'none'; ")
    assert "unsafe" not in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert not [name for name in headers if name.startswith("access-control")]
    assert "server" not in headers


def test_names_in_answers_cannot_change_a_terminal(best, drawn: list[bytes]) -> None:
    name = "a\x9b31m\x7f\u202egpj.exe"
    response = best.client.post("/api/v1/predict", params={"name": name}, content=drawn[0])
    assert response.json()["predictions"][0]["name"] == name
    assert response.text.isprintable()
    refused = best.client.post("/api/v1/predict", params={"name": name}, content=b"no photo")
    assert refused.json()["name"] == name
    assert refused.text.isprintable()
