"""Standard error of the service: lines of JSON and nothing else, whatever a library prints."""

import json
import struct
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers import Serve

SCRIPT = """
import os, subprocess, sys, threading, warnings
from dogvscat.service.access_log import LogWriter
from dogvscat.service.stderr_lines import JsonStderr

print("a message before", file=sys.stderr)
with JsonStderr() as stderr:
    log = LogWriter()
    log.write(status=200)
    log.close()
    os.write(2, b"TIFFReadDirectory: Warning, unknown field \\x1b[31m\\xff\\n\\n")
    print("two\\nlines", file=sys.stderr)
    warnings.warn("a warning of Python")
    subprocess.run([sys.executable, "-c", "import os; os.write(2, b'a child')"], check=True)
    os.write(2, b'\\n{"time": "no JSON"' + b"x" * 2_500_000 + b"\\n")
    stderr.report("a message")
    os.write(2, b"without an end")
print("a message after", file=sys.stderr)
"""


def test_all_that_is_written_inside_is_json() -> None:
    process = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, timeout=120, check=True)
    first, *lines, last = process.stderr.decode().splitlines()
    assert (first, last) == ("a message before", "a message after")
    entries = [json.loads(line) for line in lines]
    assert entries[0]["status"] == 200
    messages = [entry["message"] for entry in entries[1:]]
    assert messages[:3] == ["TIFFReadDirectory: Warning, unknown field \x1b[31m\ufffd", "two", "lines"]
    assert any("a warning of Python" in message for message in messages)
    assert "a child" in messages
    assert sum(message.count("x") for message in messages if "xxxx" in message) == 2_500_000
    assert messages[-1] == "without an end"
    assert "a message" in messages
    assert all(line.isprintable() for line in lines)
    assert {entry["level"] for entry in entries[1:]} == {"info", "warning"}


def odd_tiff() -> bytes:
    """A picture with a tag that libtiff does not know, and that it prints a warning about."""
    buffer = BytesIO()
    Image.new("RGB", (20, 20)).save(buffer, "TIFF", compression="tiff_lzw", tiffinfo={65000: "odd"})
    data = bytearray(buffer.getvalue())
    tag = data.index(struct.pack("<HH", 65000, 2))
    data[tag + 2 : tag + 4] = struct.pack("<H", 99)  # a type that there is not
    return bytes(data)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_the_log_of_a_service_is_json(serve: Serve, untouched_bundle: Path, workers: int) -> None:
    server = serve("--model", untouched_bundle, "--workers", workers)
    for photo in (odd_tiff(), b"bad", odd_tiff()[:150]):
        server.predict(photo)
    assert server.stop() == 0
    entries = [json.loads(line) for line in server.stderr().splitlines()]
    assert "answers at" in entries[0]["message"]
    assert len([entry for entry in entries if entry.get("path") == "/api/v1/predict"]) == 3
