"""The command line: one module per command.

A command imports what it works with inside its functions, so that `--help`, wrong usage and light commands answer at
once. The first three settings below make every start shorter. The others keep the files of libraries together with the
caches, where `dogvscat cache` shows and clears them.
"""

import gc
import os
from contextlib import suppress
from pathlib import Path

from dogvscat import caches
from dogvscat.cpus import available_cpus
from dogvscat.errors import UsageError

# Imported modules stay alive: searching them for garbage every 700 objects takes a tenth of the start.
gc.set_threshold(50_000)
# Otherwise pydantic looks for plugins in the metadata of every installed package.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")
# Read when NumPy is imported; else OpenBLAS starts a thread per CPU of the machine, whatever quota this process has.
os.environ.setdefault("OPENBLAS_NUM_THREADS", str(available_cpus()))
with suppress(UsageError):  # this user has no home folder
    # Also keeps the user's own matplotlibrc from changing the figures.
    os.environ.setdefault("MPLCONFIGDIR", str(caches.folder("fonts")))
    if not os.access(Path(__file__).parent, os.W_OK):  # else Numba keeps its machine code next to the source
        os.environ.setdefault("NUMBA_CACHE_DIR", str(caches.folder("compiled")))
