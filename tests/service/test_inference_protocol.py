"""The Open Inference Protocol, held to the schemas that its authors publish."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from dogvscat.bundle.predict.predictor import Predictor
from dogvscat.photos.decoding.decoder import decode
from dogvscat.service.app import model_name
from tests.helpers import LinearBundle

pytestmark = pytest.mark.slow

SIZE = 32


def _object(required: tuple[str, ...], **properties: object) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": properties}


def _list(items: object) -> dict[str, Any]:
    return {"type": "array", "items": items}


TEXT, WHOLE = {"type": "string"}, {"type": "integer"}
DATA = {"anyOf": [{"$ref": "#/$defs/tensor_data"}, {"type": "number"}, TEXT, {"type": "boolean"}]}
TENSOR = ("name", "shape", "datatype", "data")
# What this needs of components.schemas in specification/protocol/open_inference_rest.yaml of
# https://github.com/kserve/open-inference-protocol, commit 18d5991e9e45. Other properties are allowed there.
SCHEMAS: dict[str, Any] = {
    "tensor_data": _list(DATA),
    "metadata_tensor": _object(("name", "datatype", "shape"), name=TEXT, datatype=TEXT, shape=_list(WHOLE)),
    "metadata_server_response": _object(
        ("name", "version", "extensions"), name=TEXT, version=TEXT, extensions=_list(TEXT)
    ),
    "metadata_model_response": _object(
        ("name", "platform"),
        name=TEXT,
        versions=_list(TEXT),
        platform=TEXT,
        inputs=_list({"$ref": "#/$defs/metadata_tensor"}),
        outputs=_list({"$ref": "#/$defs/metadata_tensor"}),
    ),
    "request_input": _object(
        TENSOR, name=TEXT, shape=_list(WHOLE), datatype=TEXT, data={"$ref": "#/$defs/tensor_data"}
    ),
    "request_output": _object(("name",), name=TEXT),
    "inference_request": _object(
        ("inputs",),
        id=TEXT,
        inputs=_list({"$ref": "#/$defs/request_input"}),
        outputs=_list({"$ref": "#/$defs/request_output"}),
    ),
    "response_output": _object(
        TENSOR, name=TEXT, shape=_list(WHOLE), datatype=TEXT, data={"$ref": "#/$defs/tensor_data"}
    ),
    "inference_response": _object(
        ("model_name", "outputs"),
        model_name=TEXT,
        model_version=TEXT,
        id=TEXT,
        outputs=_list({"$ref": "#/$defs/response_output"}),
    ),
    "inference_error_response": _object(("error",), error=TEXT),  # its authors forgot to require `error`
}


def check(document: object, schema: str) -> Any:
    jsonschema.validate(document, {"$defs": SCHEMAS, "$ref": f"#/$defs/{schema}"})
    return document


def request(pixels: np.ndarray, **more: object) -> dict[str, Any]:
    tensor = {"name": "pixels", "shape": list(pixels.shape), "datatype": "UINT8", "data": pixels.ravel().tolist()}
    return {"inputs": [tensor], **more}


def uniform(*colors: tuple[int, int, int]) -> np.ndarray:
    return np.stack([np.full((SIZE, SIZE, 3), color, np.uint8) for color in colors])  # (num, SIZE, SIZE, 3)


@pytest.fixture
def infer(linear) -> Callable[..., Any]:
    return lambda document: linear.client.post("/v2/models/untouched/infer", json=document)


def test_what_the_server_says_about_itself(linear) -> None:
    for path in ("/v2", "/v2/"):
        assert check(linear.client.get(path).json(), "metadata_server_response")["name"] == "dogvscat"
    assert linear.client.get("/v2/health/live").json() == {"live": True}
    assert linear.client.get("/v2/health/ready").json() == {"live": True, "ready": True, "killed_decoders": 0}


def test_what_it_says_about_the_model(linear) -> None:
    document = check(linear.client.get("/v2/models/untouched").json(), "metadata_model_response")
    (version,) = document["versions"]
    assert document["inputs"] == [{"name": "pixels", "datatype": "UINT8", "shape": [-1, SIZE, SIZE, 3]}]
    assert [output["name"] for output in document["outputs"]] == ["label", "reason", "probabilities"]
    assert linear.client.get(f"/v2/models/untouched/versions/{version}").json() == document
    assert linear.client.get("/v2/models/untouched/ready").json() == {"name": "untouched", "ready": True}
    assert linear.client.get(f"/v2/models/untouched/versions/{version}/ready").json()["ready"] is True
    for path in ("other", "other/ready", "untouched/versions/7", "untouched/versions/7/ready", "..%2funtouched"):
        response = linear.client.get(f"/v2/models/{path}")
        assert response.status_code == 404
        check(response.json(), "inference_error_response")


def test_answers_for_tensors(infer: Callable[..., Any]) -> None:
    pixels = uniform((255, 0, 0), (0, 0, 255))
    infer_request = check(request(pixels, id="42"), "inference_request")
    flat = check(infer(infer_request).json(), "inference_response")
    nested = request(pixels)
    nested["inputs"][0]["data"] = pixels.tolist()
    check(nested, "inference_request")
    outputs = {output["name"]: output for output in flat["outputs"]}
    assert (flat["id"], flat["model_name"]) == ("42", "untouched")
    assert (outputs["label"]["shape"], outputs["label"]["data"]) == ([2], ["dog", "cat"])
    assert outputs["probabilities"]["shape"] == [2, 2]
    cat, dog = 1 / (1 + np.exp(8.0)), 1 / (1 + np.exp(-8.0))  # the logits are 8 and -8
    assert outputs["probabilities"]["data"] == pytest.approx([cat, dog, dog, cat], abs=1e-6)
    assert infer(nested).json()["outputs"] == flat["outputs"]
    (only,) = infer(request(pixels, outputs=[{"name": "label"}])).json()["outputs"]
    assert only == outputs["label"]


def test_a_network_with_the_output_neither_returns_it(best, drawn: list[bytes]) -> None:
    predictor = Predictor.load()
    pixels = np.stack([decode(picture, "drawn", predictor.card.image_size) for picture in drawn])
    response = best.client.post("/v2/models/best/infer", json=request(pixels))
    outputs = {output["name"]: output["data"] for output in check(response.json(), "inference_response")["outputs"]}
    expected = predictor.predict_pixels(pixels, ["", "", "", ""])
    assert outputs["label"] == [prediction.label for prediction in expected]
    assert outputs["reason"] == [prediction.reason or "" for prediction in expected]
    assert outputs["neither"] == pytest.approx([prediction.neither for prediction in expected], abs=1e-4)


def _changed(**changes: object) -> dict[str, Any]:
    document = request(uniform((1, 2, 3)))
    document["inputs"][0].update(changes)
    return document


NUM = SIZE * SIZE * 3


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({}, "inputs: Field required"),
        ([], "object"),
        ({"inputs": []}, "expected one input named 'pixels', received []"),
        (_changed(name="photo"), "expected one input named 'pixels', received ['photo']"),
        (_changed(datatype="FP32"), "pixels should be UINT8, received FP32"),
        (_changed(shape=[SIZE, SIZE, 3]), "the shape of pixels should be [1 to 16, 32, 32, 3], received [32, 32, 3]"),
        (_changed(shape=[0, SIZE, SIZE, 3], data=[]), "received [0, 32, 32, 3]"),
        (_changed(shape=[17, SIZE, SIZE, 3]), "received [17, 32, 32, 3]"),
        (_changed(data=[1] * (NUM - 1)), "the data of pixels has the shape [3071]"),
        (_changed(data=[256] * NUM), "lies between 256 and 256, expected 0 to 255"),
        (_changed(data=[-1] * NUM), "lies between -1 and -1"),
        (_changed(data=[0.5] * NUM), "should be whole numbers"),
        (_changed(data=["1"] * NUM), "should be whole numbers"),
        (_changed(data=[10**30] * NUM), "should be whole numbers"),
        (_changed(data=[[1, 2], [3]]), "ragged"),
        (_changed(data=[None] * NUM), "should be whole numbers"),
        (request(uniform((1, 2, 3)), outputs=[{"name": "logit"}]), "there is no output 'logit'"),
    ],
)
def test_requests_that_ask_for_the_impossible(infer: Callable[..., Any], document: object, reason: str) -> None:
    response = infer(document)
    assert response.status_code == 400
    assert reason in check(response.json(), "inference_error_response")["error"]


def test_what_is_not_json(linear) -> None:
    for body in (b"", b"{", b"[" * 100_000, b"\xff\xfe", b'{"inputs": NaN}'):
        response = linear.client.post("/v2/models/untouched/infer", content=body)
        assert response.status_code == 400
        check(response.json(), "inference_error_response")
    large = linear.client.post("/v2/models/untouched/infer", content=b" " * 500_000)
    assert large.status_code == 413
    check(large.json(), "inference_error_response")


def test_the_bundle_folder_of_a_run_is_named_by_its_run(linear_bundle: LinearBundle, tmp_path: Path) -> None:
    run_dir = linear_bundle(tmp_path / "fast-1" / "bundle").parent
    assert model_name(Predictor.load(run_dir)) == "fast-1"
    assert model_name(Predictor.load(linear_bundle(tmp_path / "other"))) == "other"
