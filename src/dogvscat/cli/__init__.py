"""The command line. Both settings below shorten the start of every command by some milliseconds."""

import gc
import os

# Imported modules stay alive: searching them for garbage every 700 objects takes a tenth of the start.
gc.set_threshold(50_000)
# Otherwise pydantic looks for plugins in the metadata of every installed package.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")
