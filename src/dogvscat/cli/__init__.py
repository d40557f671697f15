"""The command line. What a process does before its first answer is counted in milliseconds, two of the habits here."""

import gc
import os

gc.set_threshold(50_000)  # what is imported stays: looking through it every 700 objects takes a tenth of the start
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")  # else pydantic asks every installed package whether it is one
