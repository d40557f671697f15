"""One thread for every network in this process: the backend cannot change its mind later.

Prepared before the tests of this folder are imported, which import Keras: what is asked of TensorFlow by environment
counts from its first import on.
"""

from dogvscat.learning.backend import prepare_backend

prepare_backend(1)
