"""The command line: one module per command.

A command imports what it works with inside its functions, so that `--help`, wrong usage and light commands answer at
once. The two settings below shorten every start by some milliseconds more.
"""

import gc
import os

# Imported modules stay alive: searching them for garbage every 700 objects takes a tenth of the start.
gc.set_threshold(50_000)
# Otherwise pydantic looks for plugins in the metadata of every installed package.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")
