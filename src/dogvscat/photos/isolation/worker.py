"""A process that decodes photos for another one: `python -m dogvscat.photos.isolation.worker CPU_SECONDS MEMORY_BYTES`.

It reads requests from stdin and writes replies to stdout, and ends with the process that started it. If a photo needs
too much CPU time, this process ends at once, even inside a library. If a photo needs too much memory, the reply is an
error, and then this process ends. What libraries print is discarded.
"""

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from dogvscat.errors import ImageError
from dogvscat.photos.decoding.decoder import MAX_FILE_BYTES, decode_for_display, decode_with_facts
from dogvscat.photos.isolation.messages import error_header, receive, send

OUT_OF_MEMORY = 12
"""Exit code after a photo that needed too much memory."""
_NAME = "photo"
"""In errors; whoever asked has the real name."""


def main(cpu_seconds: float, memory_bytes: int) -> int:
    """Decode photos until stdin ends; returns the exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):  # whoever stops the command lets it finish its photos
        signal.signal(number, signal.SIG_IGN)
    requests, replies = _take_pipes()
    _load_readers()
    _limit_memory(memory_bytes)
    send(replies, {"ready": True})
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # only now: a failing start is explained
    try:
        return _serve(requests, replies, cpu_seconds)
    except MemoryError:  # not even the file of the photo had room
        return OUT_OF_MEMORY


def _serve(requests: BinaryIO, replies: BinaryIO, cpu_seconds: float) -> int:
    while (request := receive(requests, MAX_FILE_BYTES)) is not None:
        _limit_cpu_time(cpu_seconds)
        try:
            header, pixels = _decode(request.content, request.header)
        except ImageError as error:
            _limit_cpu_time(0)
            header = error_header(error)
            send(replies, header)
            if header["is_last"]:
                return OUT_OF_MEMORY
            continue
        _limit_cpu_time(0)
        send(replies, header, pixels.tobytes())
    return 0


def _decode(data: bytes, header: dict[str, Any]) -> tuple[dict[str, Any], np.ndarray]:
    """The header of the reply, and the pixels, uint8 (height, width, 3)."""
    if header["for_display"]:
        pixels = decode_for_display(data, _NAME, header["size"])
        return {"shape": pixels.shape}, pixels
    photo = decode_with_facts(data, _NAME, header["size"])
    facts = {"width": photo.width, "height": photo.height, "mode": photo.mode}
    return {"shape": photo.pixels.shape, **facts}, photo.pixels


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """The pipes for requests and replies. Nothing that a library prints can get between the replies."""
    pipes = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null_device = os.open(os.devnull, os.O_RDWR)
    os.dup2(null_device, 0)
    os.dup2(null_device, 1)
    return pipes


def _load_readers() -> None:
    """Import the readers of all formats now, so that they do not count as the cost of a photo."""
    Image.init()
    with suppress(ImportError):
        from PIL import AvifImagePlugin

        # The processes work side by side already, and each thread would reserve memory for itself.
        AvifImagePlugin.DEFAULT_MAX_THREADS = 1


def _limit_memory(memory_bytes: int) -> None:
    """Let this process grow by `memory_bytes`. On Linux only: no other system enforces such a limit."""
    if sys.platform == "linux":
        import resource

        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - in pages
            num_bytes = int(file.read().split()[0]) * resource.getpagesize()
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        limit = num_bytes + memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (limit if hard < 0 else min(limit, hard), hard))


def _limit_cpu_time(seconds: float) -> None:
    """End this process after that much more CPU time; 0 for no limit. Windows has no such timer."""
    # The default action of the signal ends the process inside any library; a handler in Python would have to wait.
    set_timer: Callable[[int, float], object] | None = getattr(signal, "setitimer", None)
    if set_timer is not None:
        set_timer(signal.ITIMER_PROF, seconds)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), int(sys.argv[2])))
