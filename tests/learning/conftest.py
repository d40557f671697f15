"""One thread for every network in this process: the backend cannot change its mind later.

Prepared before the tests of this folder are imported, which import Keras: what is asked of TensorFlow by environment
counts from its first import on.
"""

import sys

from dogvscat.learning.engine import open_engine

if "tensorflow" in sys.modules:  # by now it may compute otherwise than the commands do, in bits only, and by machine
    raise ImportError("a test module outside tests/learning imported Keras: move it here, or import inside its tests")
open_engine(1)
