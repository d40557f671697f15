"""Times as people write and read them: 90s, 30m, 2h."""

import re

from dogvscat.errors import UsageError

_UNITS = {"s": 1, "m": 60, "h": 3600}


def seconds_of(text: str, option: str) -> float:
    """Seconds in a time.

    Raises:
        UsageError: naming the option, if it is not a number with s, m or h behind it.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([smh])", text.strip().lower())
    if match is None:
        hint = f"Example: {option} 2h"
        raise UsageError(f"expected {option} as a number with s, m or h, received {text!r}", hint=hint)
    return float(match[1]) * _UNITS[match[2]]


def in_time(seconds: float) -> str:
    """A time for people, in the unit that suits it."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
