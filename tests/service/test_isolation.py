"""No client gets another one's answer: many at once, good and bad, some of which leave in the middle."""

import math
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.helpers import Color, LinearBundle, Serve, plain_png

pytestmark = pytest.mark.slow


def test_each_gets_the_answer_for_its_own_picture(linear) -> None:
    rng = np.random.default_rng(0)
    colors: list[Color] = [tuple(map(int, color)) for color in rng.integers(0, 256, (300, 3))]  # type: ignore[misc]

    def ask(number: int) -> str:
        name = f"{number}.png"
        if number % 10 == 3:
            assert linear.predict(b"no picture", name=name).json()["name"] == name
            return "bad"
        if number % 10 == 7:
            leave(linear.port, plain_png(colors[number]))
            return "left"
        files = [("files", (name, plain_png(colors[number]))), ("files", (f"bad {number}", b"x"))]
        answer, bad = patient(linear, files).json()["predictions"]
        red, _, blue = colors[number]
        assert answer["name"] == name
        assert answer["probabilities"]["dog"] == pytest.approx(1 / (1 + math.exp(-8 * (red - blue) / 255)), abs=1e-4)
        assert bad["name"] == f"bad {number}"
        return "good"

    with ThreadPoolExecutor(24) as pool:
        kinds = Counter(pool.map(ask, range(len(colors))))
    assert kinds == {"good": 240, "bad": 30, "left": 30}


def patient(server, files: list[Any]) -> httpx.Response:
    """Ask again where the queue is full."""
    for _ in range(100):
        response = server.client.post("/api/v1/predict", files=files)
        if response.status_code != 429:
            return response
    raise AssertionError("the queue stays full")


def leave(port: int, picture: bytes) -> None:
    """Send half of a request, or all of it, and go away without listening."""
    head = f"POST /api/v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(picture)}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(head + picture[: len(picture) // (1 + len(picture) % 2)])


def nan_for_black(linear: bytes) -> bytes:
    """The linear graph, adding 0 * log(sum of all pixels): nothing for any picture but a black one, which gives NaN."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load_from_string(linear)
    graph = model.graph
    graph.node[-1].output[0] = "sum"
    graph.initializer.append(numpy_helper.from_array(np.array([1], np.int64), "axes"))
    graph.initializer.append(numpy_helper.from_array(np.array(0.0, np.float32), "zero"))
    graph.node.extend(
        [
            helper.make_node("ReduceSum", ["flat", "axes"], ["brightness"], keepdims=1),
            helper.make_node("Log", ["brightness"], ["log"]),
            helper.make_node("Mul", ["log", "zero"], ["nothing"]),
            helper.make_node("Add", ["sum", "nothing"], ["logit"]),
        ]
    )
    assert graph.output[0].type.tensor_type.elem_type == TensorProto.FLOAT
    return model.SerializeToString()


def test_a_picture_that_breaks_the_network_breaks_its_own_answer_only(
    serve: Serve, linear_bundle: LinearBundle, untouched_bundle: Path, tmp_path: Path
) -> None:
    graph = nan_for_black((untouched_bundle / "model.onnx").read_bytes())
    server = serve("--model", linear_bundle(tmp_path / "breaks", graph=graph))
    colors: list[Color] = [(0, 0, 0), (255, 0, 0), (0, 0, 255)]

    def ask(number: int) -> tuple[int, str | None]:
        response = server.predict(plain_png(colors[number % 3]))
        return response.status_code, response.json().get("predictions", [{}])[0].get("label")

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(120)))
    assert Counter(answers[0::3]) == {(500, None): 40}
    assert Counter(answers[1::3]) == {(200, "dog"): 40}
    assert Counter(answers[2::3]) == {(200, "cat"): 40}
    largest = [
        size
        for size in (1, 2, 4, 8)
        if server.metrics()[f'dogvscat_batch_size_bucket{{le="{size}.0"}}'] < batches(server)
    ]
    assert largest, "no two pictures ever went together, so nothing was tested"
    tracebacks = [line["traceback"] for line in server.log() if "traceback" in line]
    assert len(tracebacks) == 40
    assert all("finite logits" in text for text in tracebacks)


def batches(server) -> float:
    return server.metrics()["dogvscat_batch_size_count"]
