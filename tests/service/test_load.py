"""Overload: what does not fit into the queue is refused at once, what is accepted is answered, and all is counted."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count
from typing import Any

import httpx
import pytest

from dogvscat.service.admission import Admission
from dogvscat.service.limits import Limits
from dogvscat.service.pace import Pace, Paces
from dogvscat.service.problem_details import RequestError
from tests.helpers import Serve


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


@pytest.mark.slow
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


@pytest.mark.slow
def test_everything_is_counted(flooded) -> None:
    server, responses, metrics = flooded
    by_outcome = Counter[str]()
    for name, value in metrics.items():
        if name.startswith("dogvscat_requests_total{"):
            by_outcome[name.partition('outcome="')[2].rstrip('"}')] += int(value)
    num_ok = sum(response.status_code == 200 for response in responses)
    assert by_outcome == {"ok": num_ok, "shed": 200 - num_ok, "refused": 2}  # and none failed
    assert metrics["dogvscat_requests_received_total"] == 203  # this one among them ...
    assert metrics["dogvscat_in_progress"] == 1  # ... which is not over
    assert metrics["dogvscat_request_duration_seconds_count"] == 202
    assert sum(value for name, value in metrics.items() if name.startswith("dogvscat_prediction_total{")) == num_ok
    assert metrics["dogvscat_batch_size_sum"] == num_ok
    assert metrics["dogvscat_batch_size_count"] <= num_ok
    digest = server.client.get("/v2/models/best").json()["versions"][0]
    assert any(name.startswith(f'dogvscat_model_info{{digest="{digest}') for name in metrics)


@pytest.mark.slow
def test_an_answer_that_takes_too_long_is_given_up(serve: Serve, drawn: list[bytes]) -> None:
    server = serve("--deadline", 0.1)
    response = server.predict(*drawn * 16)  # 64 pictures
    assert (response.status_code, response.json()["code"]) == (503, "deadline")
    assert int(response.headers["retry-after"]) >= 1
    assert server.client.get("/v2/health/ready").status_code == 200
    assert server.metrics()['dogvscat_requests_total{code="503",outcome="shed"}'] == 1
    assert server.metrics()["dogvscat_missed_deadlines_total"] == 1


@pytest.mark.slow
def test_what_is_accepted_is_answered_in_time(serve: Serve, drawn: list[bytes]) -> None:
    """The queue has room for everything, but not the deadline: the photos would take several times as long."""
    server = serve("--deadline", 4, "--queue", 10_000)
    with ThreadPoolExecutor(60) as pool:
        responses = list(pool.map(lambda _: server.predict(*drawn * 4), range(120)))  # 1,920 photos
    counts = Counter(response.status_code for response in responses)
    assert set(counts) == {200, 429}
    assert server.metrics()["dogvscat_missed_deadlines_total"] == 0
    for response in responses:
        if response.status_code == 429:
            assert 1 <= int(response.headers["retry-after"]) <= 4
            assert "might not be ready within 4 seconds" in response.json()["detail"]


@pytest.mark.slow
def test_each_photo_of_a_request_takes_a_place(flooded, drawn: list[bytes]) -> None:
    server, _, _ = flooded
    assert server.predict(*drawn[:3]).status_code == 200
    assert server.predict(*drawn).status_code == 429


def test_bodies_together_are_bounded() -> None:
    admission = Admission(Limits(total_body_bytes=100), Paces(1, 0.0))
    admission.hold(60)
    with pytest.raises(RequestError, match="too many large requests") as caught:
        admission.hold(60)
    assert caught.value.status == 503
    admission.release(120)
    admission.hold(100)


def number_admitted(admission: Admission, num_photos: int = 1, explain: bool = False) -> tuple[int, RequestError]:
    """How many requests find a place, and why the next one does not."""
    with ExitStack() as stack:
        for number in count():
            try:
                stack.enter_context(admission.queue_places(num_photos, explain=explain))
            except RequestError as error:
                return number, error
    raise AssertionError


def test_the_queue_is_half_as_long_as_the_deadline_allows() -> None:
    admission = Admission(Limits(queue_length=10_000, answer_seconds=10.0), Paces(2, network_seconds=0.0625))
    number, error = number_admitted(admission)
    assert number == 80  # five seconds
    assert (error.status, error.code, error.retry_seconds) == (429, "busy", 5)
    assert number_admitted(admission, explain=True)[0] == 40  # a heat map takes as long again, until one is measured
    for seconds in (0.5,) * 100:
        admission.paces.decoding.note(seconds)  # two at a time
    assert number_admitted(admission)[0] == 16
    assert number_admitted(admission, num_photos=16)[0] == 1
    assert admission.num_queued == admission.num_heat_maps == 0


def test_a_request_that_finds_the_queue_empty_is_let_in() -> None:
    """Its time corrects an estimate that has become too high."""
    admission = Admission(Limits(answer_seconds=10.0), Paces(2, network_seconds=100.0))
    assert number_admitted(admission, num_photos=64)[0] == 1
    admission.check()
    with admission.queue_places(1), pytest.raises(RequestError, match="a photo is waiting"):
        admission.check()


def test_an_estimate_rises_quickly_and_falls_slowly() -> None:
    pace = Pace(0.01)
    pace.note(2.0, num_photos=2)
    assert pace.seconds_per_photo == pytest.approx(0.505)
    pace.note(0.01)
    assert pace.seconds_per_photo == pytest.approx(0.4555)
    with pytest.raises(ZeroDivisionError), pace.measured():
        raise ZeroDivisionError
    assert pace.seconds_per_photo == pytest.approx(0.9 * 0.4555, rel=0.01)
