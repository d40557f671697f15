"""Photos that cost more than is allowed: one error each, a new process, and equal answers for everybody else.

The photos are harmless, and the limits lowered.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers import Serve, encoded

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not Path("/proc/self/task").exists(), reason="looks for processes in /proc, which only Linux has"
    ),
]

SCRIPT = """
from pathlib import Path
from dogvscat.photos.isolation.pool import DecoderLimits
from dogvscat.service.server import ServiceSettings, run
from dogvscat.service.sockets import bind, url_of
bound = bind("127.0.0.1", 0)
limits = DecoderLimits(cpu_seconds=0.1, memory_bytes=40_000_000)
settings = ServiceSettings(Path({model!r}), 2, decoder_limits=limits)
raise SystemExit(run(settings, bound, lambda name: print(url_of(bound), flush=True)))
"""
SLOW = encoded(Image.new("L", (7000, 4000)), "PNG")
"""28 MB of pixels, and more than 0.1 seconds of CPU time."""
LARGE = encoded(Image.new("RGB", (4500, 4000)), "PNG")
"""72 MB of pixels."""


def decoders_of(pid: int) -> list[int]:
    # Each thread has the processes that it has started.
    children = [child for file in Path(f"/proc/{pid}/task").glob("*/children") for child in file.read_text().split()]
    return [int(child) for child in children if "isolation.worker" in Path(f"/proc/{child}/cmdline").read_text()]


def test_costly_photos_hurt_nobody_else(serve: Serve, untouched_bundle: Path, drawn: list[bytes]) -> None:
    server = serve(program=("-c", SCRIPT.format(model=str(untouched_bundle))))
    expected = [server.predict(photo).json() for photo in drawn]
    first = decoders_of(server.process.pid)
    assert len(first) == 3
    with ThreadPoolExecutor(8) as pool:
        costly = [pool.submit(server.predict, photo) for photo in (SLOW, LARGE, SLOW)]
        answers = list(pool.map(server.predict, drawn * 8))
    assert [answer.json() for answer in answers] == expected * 8
    for response, reason in zip(
        [future.result() for future in costly], ("CPU time", "memory", "CPU time"), strict=True
    ):
        problem = response.json()
        assert (response.status_code, problem["code"]) == (413, "too_large")
        assert problem["detail"].endswith(f"of {reason}, which is the limit per photo")
        assert problem["hint"]
    metrics = server.metrics()
    assert metrics['dogvscat_killed_decoders_total{reason="cpu"}'] == 2
    assert metrics['dogvscat_killed_decoders_total{reason="memory"}'] == 1
    assert server.client.get("/v2/health/ready").json() == {"live": True, "ready": True, "killed_decoders": 3}
    assert server.wait_for_log(lambda log: len([line for line in log if line.get("level") == "warning"]) == 3)
    # In a form, only the costly photo has an error.
    answer = server.predict(drawn[0], SLOW, drawn[1]).json()["predictions"]
    assert answer[1]["error"]["code"] == "too_large"
    assert [row["label"] for row in answer[::2]] == [row["predictions"][0]["label"] for row in expected[:2]]
    assert server.predict(drawn[0]).json() == expected[0]
    processes = {*first, *decoders_of(server.process.pid)}
    assert len(processes) in (6, 7)  # one of the new ones may have been replaced as well
    assert server.stop() == 0
    assert not [pid for pid in processes if Path(f"/proc/{pid}").exists()]
