"""Train a dog-or-cat classifier from scratch, judge it honestly, and use it anywhere."""

__version__ = "0.1.0"
