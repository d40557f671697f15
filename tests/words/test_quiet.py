"""Native noise is held back and shown on failure only; in processes of their own, as it is about descriptor 2."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import os, sys
from dogvscat.stderr import quiet_stderr
descriptors = set(os.listdir("/dev/fd"))
print("before", file=sys.stderr)
try:
    with quiet_stderr():
        os.write(2, b"native\\n")
        sys.stderr.write("half a line")
        {body}
finally:
    assert set(os.listdir("/dev/fd")) == descriptors
    print("|after", file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("body", "expected", "exit_code"),
    [
        ("pass", "before\n|after\n", 0),
        ("raise SystemExit(7)", "before\nnative\nhalf a line|after\n", 7),
        ("raise KeyError('x')", "before\nnative\nhalf a line|after\nTraceback", 1),
        ("os.write(2, bytes(100_000)); raise SystemExit(7)", "before\nnative\n", 7),
    ],
)
def test_noise_is_shown_only_on_failure(body: str, expected: str, exit_code: int) -> None:
    command = [sys.executable, "-c", PROGRAM.format(body=body)]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    result = subprocess.run(command, env=buffered, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == exit_code
    if exit_code:
        assert result.stderr.startswith(expected)
    else:
        assert result.stderr == expected
