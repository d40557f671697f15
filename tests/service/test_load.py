"""Overload: what does not fit into the queue is refused at once, what is accepted is answered, and all is counted."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.helpers import Serve

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def flooded(serve_for_module: Serve, drawn: list[bytes]) -> tuple[Any, list[httpx.Response], dict[str, float]]:
    """A server with room for three pictures, its answers to two hundred requests from forty clients at once, and its
    metrics after these and two requests that were wrong."""
    server = serve_for_module("--queue", 3)
    with ThreadPoolExecutor(40) as pool:
        responses = list(pool.map(lambda number: server.predict(drawn[number % 4]), range(200)))
    server.predict(b"no picture")
    server.client.get("/nothing")
    return server, responses, server.metrics()


def test_what_does_not_fit_is_refused_and_the_rest_is_answered(flooded, drawn: list[bytes]) -> None:
    server, responses, _ = flooded
    counts = Counter(response.status_code for response in responses)
    assert set(counts) == {200, 429}
    for response in responses:
        if response.status_code == 429:
            assert int(response.headers["retry-after"]) >= 1
            assert response.json()["code"] == "busy"
    expected = [server.predict(picture).json() for picture in drawn]  # and afterwards all is as before
    for number, response in enumerate(responses):
        if response.status_code == 200:
            answer, single = response.json()["predictions"][0], expected[number % 4]["predictions"][0]
            assert answer["label"] == single["label"]
            assert answer["probabilities"] == pytest.approx(single["probabilities"], abs=1e-4)
    refused = sorted(line["seconds"] for line in server.log() if line.get("status") == 429)
    assert refused[len(refused) // 2] < 0.05


def test_everything_is_counted(flooded) -> None:
    server, responses, metrics = flooded
    by_outcome = Counter[str]()
    for name, value in metrics.items():
        if name.startswith("requests_total{"):
            by_outcome[name.partition('outcome="')[2].rstrip('"}')] += int(value)
    num_ok = sum(response.status_code == 200 for response in responses)
    assert by_outcome == {"ok": num_ok, "shed": 200 - num_ok, "refused": 2}  # and none failed
    assert metrics["requests_received_total"] == 203  # this one among them ...
    assert metrics["in_progress"] == 1  # ... which is not over
    assert metrics["request_duration_seconds_count"] == 202
    assert sum(value for name, value in metrics.items() if name.startswith("prediction_total{")) == num_ok
    assert metrics["batch_size_sum"] == num_ok
    assert metrics["batch_size_count"] <= num_ok
    digest = server.client.get("/v2/models/best").json()["versions"][0]
    assert any(name.startswith(f'model_info{{digest="{digest}') for name in metrics)


def test_an_answer_that_takes_too_long_is_given_up(serve: Serve, drawn: list[bytes]) -> None:
    server = serve("--deadline", 0.1)
    response = server.predict(*drawn * 16)  # 64 pictures
    assert (response.status_code, response.json()["code"]) == (503, "deadline")
    assert int(response.headers["retry-after"]) >= 1
    assert server.client.get("/v2/health/ready").status_code == 200
    assert server.metrics()['requests_total{code="503",outcome="shed"}'] == 1


def test_each_photo_of_a_request_takes_a_place(flooded, drawn: list[bytes]) -> None:
    server, _, _ = flooded
    assert server.predict(*drawn[:3]).status_code == 200
    assert server.predict(*drawn).status_code == 429


def test_bodies_together_are_bounded() -> None:
    from dogvscat.service.admission import Admission
    from dogvscat.service.limits import Limits
    from dogvscat.service.problem_details import RequestError

    admission = Admission(Limits(total_body_bytes=100))
    admission.hold(60)
    with pytest.raises(RequestError, match="too many large requests") as caught:
        admission.hold(60)
    assert caught.value.status == 503
    admission.release(120)
    admission.hold(100)
