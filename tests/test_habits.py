"""Habits that CONTRIBUTING.md asks of tests, where a program can look for them."""

import re
from pathlib import Path

TESTS = Path(__file__).parent


def test_no_test_sleeps() -> None:
    """Tests wait for an event, as do the scripts that they start: the end of a process, a line, a socket."""
    calls = [
        f"{path.relative_to(TESTS)}:{number}: {line.strip()}"
        for path in sorted(TESTS.rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if re.search(r"\bsleep\s*\(", line)
    ]
    assert calls == []
