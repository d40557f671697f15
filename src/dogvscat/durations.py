"""Durations as people write and read them: 90s, 30m, 2h."""

import re

from dogvscat.errors import UsageError

_UNITS = {"s": 1, "m": 60, "h": 3600}


def parse_duration(text: str, option: str) -> float:
    """The seconds of a duration such as `90s`, `30m` or `1.5h`.

    Raises:
        UsageError: if it is not a number followed by s, m or h; the message names the option.
    """
    # [0-9], because \d also matches the digits of other scripts.
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([smh])", text.strip().lower())
    if match is None:
        hint = f"Example: {option} 2h"
        raise UsageError(f"expected {option} as a number followed by s, m or h, received {text!r}", hint=hint)
    return float(match[1]) * _UNITS[match[2]]


def format_duration(seconds: float) -> str:
    """A duration in the unit that suits it: seconds below 90 s, minutes below 90 min, else hours."""
    if seconds < 90:  # never "0 s": something remains to be done
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
