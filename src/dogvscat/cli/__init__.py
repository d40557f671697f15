"""The command line: one module per command.

A command imports what it works with inside its functions, so that `--help`, wrong usage and light commands answer at
once. The first two settings below shorten every start by some milliseconds more. The others keep the files of libraries
together with the caches, where `dogvscat cache` shows and clears them.
"""

import gc
import os
from contextlib import suppress
from pathlib import Path

from dogvscat import caches
from dogvscat.errors import UsageError

# Imported modules stay alive: searching them for garbage every 700 objects takes a tenth of the start.
gc.set_threshold(50_000)
# Otherwise pydantic looks for plugins in the metadata of every installed package.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")
with suppress(UsageError):  # this user has no home folder
    # Also keeps the user's own matplotlibrc from changing the figures.
    os.environ.setdefault("MPLCONFIGDIR", str(caches.folder("fonts")))
    if not os.access(Path(__file__).parent, os.W_OK):  # else Numba keeps its machine code next to the source
        os.environ.setdefault("NUMBA_CACHE_DIR", str(caches.folder("compiled")))
