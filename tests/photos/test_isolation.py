"""Decoding in processes of its own: equal results, limits that hold, and no process that outlives its owner."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dogvscat.errors import ImageError
from dogvscat.photos.decoding import decoder
from dogvscat.photos.isolation.pool import DecoderLimits, DecoderPool
from tests.helpers import encoded

NOISE = np.random.default_rng(0).integers(0, 256, (90, 120, 4), dtype=np.uint8)
PHOTO = encoded(Image.fromarray(NOISE[..., :3]), "JPEG")
FILES = {
    "JPEG": PHOTO,
    "alpha": encoded(Image.fromarray(NOISE, "RGBA")),
    "deep gray": encoded(Image.fromarray(NOISE[..., 0].astype(np.uint16) * 256)),
    "WebP": encoded(Image.fromarray(NOISE[..., :3]), "WEBP"),
    "AVIF": encoded(Image.fromarray(NOISE[..., :3]), "AVIF"),
}
DAMAGED = {"empty": b"", "no photo": b"%PDF", "cut short": PHOTO[:1000], "bomb": b"GIF89a\xff\xff\xff\xff\0\0\0,"}
COSTLY = encoded(Image.new("RGB", (3500, 3500), "teal"), compress_level=1)
"""Harmless, but it needs 49 MB and some 0.2 seconds of CPU time."""


@pytest.fixture(scope="module")
def pool() -> Iterator[DecoderPool]:
    with DecoderPool(2) as shared:
        yield shared


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("data", FILES.values(), ids=FILES.keys())
def test_results_are_those_of_the_decoder(data: bytes, pool: DecoderPool) -> None:
    np.testing.assert_array_equal(pool.decode(data, "photo", 40), decoder.decode(data, "photo", 40))
    np.testing.assert_array_equal(
        pool.decode_for_display(data, "photo", 50), decoder.decode_for_display(data, "photo", 50)
    )
    isolated, expected = (decode(data, "photo", 40) for decode in (pool.decode_with_facts, decoder.decode_with_facts))
    assert isolated[1:] == expected[1:]


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED.keys())
def test_errors_are_those_of_the_decoder(data: bytes, pool: DecoderPool) -> None:
    name = "\udcff" + "n" * 200_000  # the name of a photo may be anything
    errors = []
    for decode in (pool.decode, decoder.decode):
        with pytest.raises(ImageError) as caught:
            decode(data, name, 40)
        errors.append((caught.value.path, caught.value.code, caught.value.reason, caught.value.hint))
    assert errors[0] == errors[1]
    assert not pool.num_killed


@pytest.mark.parametrize(
    ("limits", "reason", "message"),
    [
        pytest.param(
            DecoderLimits(cpu_seconds=0.04),
            "cpu",
            "needs more than 0.04 seconds of CPU time",
            marks=pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="Windows has no timer of CPU time"),
        ),
        pytest.param(
            DecoderLimits(memory_bytes=30_000_000),
            "memory",
            "needs more than 30,000,000 bytes of memory",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of a process"),
        ),
    ],
    ids=["cpu", "memory"],
)
def test_a_photo_that_costs_too_much_costs_one_process(limits: DecoderLimits, reason: str, message: str) -> None:
    expected = decoder.decode(PHOTO, "photo", 40)
    reasons: list[str] = []
    with DecoderPool(2, limits, reasons.append) as pool, ThreadPoolExecutor(4) as threads:
        before = pool.pids()
        costly = threads.submit(pool.decode, COSTLY, "strange.png", 40)
        for pixels in threads.map(lambda _: pool.decode(PHOTO, "photo", 40), range(30)):
            np.testing.assert_array_equal(pixels, expected)
        with pytest.raises(ImageError, match=f"^strange.png: {message}") as caught:
            costly.result()
        assert caught.value.code == "too_large"
        assert caught.value.hint
        assert reasons == [reason]
        assert pool.num_killed == {reason: 1}
        assert len(set(before) - set(pool.pids())) == 1
        # The new process is one of the two that decode these.
        list(threads.map(lambda _: pool.decode(PHOTO, "photo", 40), range(30)))
        after = pool.pids()
    assert not [pid for pid in {*before, *after} if is_running(pid)]


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs a process that can be stopped")
def test_a_process_that_hangs_is_replaced() -> None:
    with DecoderPool(1, DecoderLimits(seconds=0)) as pool:
        os.kill(pool.pids()[0], signal.SIGSTOP)
        with pytest.raises(ImageError, match="photo: needs more than 0 seconds, which is the limit per photo"):
            pool.decode(PHOTO, "photo", 40)
        assert pool.num_killed == {"time": 1}


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits for processes as only Linux can")
def test_a_process_that_was_ended_from_outside_is_replaced_without_an_error() -> None:
    with DecoderPool(1) as pool:
        (pid,) = pool.pids()
        ended = os.pidfd_open(pid)
        os.kill(pid, signal.SIGKILL)
        assert select.select([ended], [], [], 60)[0]
        os.close(ended)
        np.testing.assert_array_equal(pool.decode(PHOTO, "photo", 40), decoder.decode(PHOTO, "photo", 40))
        assert not pool.num_killed


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits for processes as only Linux can")
def test_the_processes_end_with_their_owner() -> None:
    script = (
        "from dogvscat.photos.isolation.pool import DecoderPool\n"
        "pool = DecoderPool(2)\nprint(*pool.pids(), flush=True)\ninput()"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        descriptors = [os.pidfd_open(int(pid)) for pid in owner.stdout.readline().split()]
        assert len(descriptors) == 2
        os.kill(owner.pid, signal.SIGKILL)
        for descriptor in descriptors:  # a pidfd becomes readable when its process ends
            assert select.select([descriptor], [], [], 60)[0]
            os.close(descriptor)


def test_modules_in_the_current_folder_are_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be the folder with the strangers' files."""
    for name in ("numpy", "json", "PIL"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    with DecoderPool(1) as pool:
        assert pool.decode(PHOTO, "photo", 40).shape == (40, 40, 3)


def test_what_libraries_print_is_discarded(capfd: pytest.CaptureFixture[str], pool: DecoderPool) -> None:
    tiff = bytearray(encoded(Image.fromarray(NOISE[..., :3]), "TIFF", compression="tiff_lzw"))
    tiff[8:2000] = bytes(1992)  # libtiff reports what is wrong with the strip
    with pytest.raises(ImageError):
        decoder.decode(bytes(tiff), "photo", 40)
    assert capfd.readouterr().err
    with pytest.raises(ImageError):
        pool.decode(bytes(tiff), "photo", 40)
    assert not capfd.readouterr().err
