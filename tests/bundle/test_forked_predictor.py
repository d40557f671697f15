"""A Predictor that was loaded before a fork answers in the child, and the child ends."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

FORKS = """
import multiprocessing, os, sys, threading, warnings
import numpy as np
from dogvscat import Predictor

warnings.simplefilter("ignore")  # Python 3.12 warns about each fork of a process with threads
predictor = Predictor.load(sys.argv[1], threads=int(sys.argv[2]))
photos = [np.full((8, 8, 3), 30 * number, dtype=np.uint8) for number in range(9)]
expected = predictor.predict(photos)

def answers_as_the_parent(number=None):
    return predictor.predict(photos) == expected and predictor.predict(photos[:1]) == expected[:1]

def child_ends_with_0(work):
    child = os.fork()
    if not child:
        sys.exit(0 if work() else 1)  # not os._exit: the interpreter destroys the sessions of the parent, too
    assert os.waitpid(child, 0)[1] == 0

child_ends_with_0(answers_as_the_parent)
child_ends_with_0(lambda: True)  # one that never uses the predictor must be able to end as well
child_ends_with_0(lambda: child_ends_with_0(answers_as_the_parent) is None)
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert all(pool.map(answers_as_the_parent, range(4)))

# The parent goes on, also while it forks.
stop = threading.Event()
def predict_on():
    while not stop.is_set():
        predictor.predict(photos)
worker = threading.Thread(target=predict_on)
worker.start()
for _ in range(3):
    child_ends_with_0(answers_as_the_parent)
stop.set()
worker.join()
assert answers_as_the_parent()
"""


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_it_works_in_children_and_they_end(untouched_bundle: Path, threads: int) -> None:
    command = [sys.executable, "-c", FORKS, str(untouched_bundle), str(threads)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
