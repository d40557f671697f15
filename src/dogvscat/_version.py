"""The version, on its own so that inner rooms need not import the package's face."""

__version__ = "0.1.0"
