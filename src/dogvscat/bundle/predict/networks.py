"""The networks of a bundle: the full one and, in most bundles, a quick first one whose sure answers are enough."""

import os

import numpy as np

from dogvscat.bundle.folder import FIRST_FILE, Bundle
from dogvscat.bundle.graph import Session, open_graph, run_graph
from dogvscat.errors import ModelError
from dogvscat.judging.cascade import distances, mean_logits
from dogvscat.judging.decision import Logits


class Networks:
    """The graphs of a bundle. Each is opened at its first use in a process, once per number of threads: a forked child
    has the sessions of its parent without their threads, and would wait for them.

    Args:
        bundle: A verified bundle.
        threads: CPU threads, where no other number is given.
        exact: Leave the first network out, so that the full one answers everything.

    Raises:
        ModelError: if the full network must answer everything and cannot be run.
    """

    def __init__(self, bundle: Bundle, threads: int, *, exact: bool = False) -> None:
        self._bundle = bundle
        self._threads = threads
        self._sessions: dict[tuple[int, int, bool], Session] = {}
        self._first = None if exact else bundle.first
        self.problem: str | None = None
        """Why the first network of the bundle cannot be used on this machine."""
        if self._first is not None:
            try:
                self._open(self._first, threads)
            except ModelError as error:
                self._first = None
                self.problem = f"The full network answers everything, which takes longer, because {error}."
        if self._first is None:
            self.full()  # a graph that cannot be run is refused now, not in the middle of the work

    @property
    def has_first(self) -> bool:
        """Whether the first network answers where it is sure."""
        return self._first is not None

    def open(self, threads: int) -> None:
        """Open every graph now. Otherwise several threads that need a graph would each open it."""
        self.first(threads)
        self.full(threads)

    def full(self, threads: int | None = None) -> Session:
        """The full network."""
        return self._open(self._bundle.model, threads or self._threads)

    def first(self, threads: int | None = None) -> Session | None:
        """The first network, if there is one and it may be used."""
        return None if self._first is None else self._open(self._first, threads or self._threads)

    def answer(self, pixels: np.ndarray, threads: int | None = None) -> Logits:
        """The logits that count for each image: of the first network where it is sure, else of the full one.

        Args:
            pixels: uint8 (num_images, image_size, image_size, 3).
            threads: CPU threads, None for those of this object.

        Raises:
            ModelError: if a graph fails, or its outputs are not finite numbers of the expected shape.
        """
        first, margins = self.first(threads), self._bundle.rules.margins
        if first is None or margins is None:
            return run_graph(self.full(threads), pixels)
        decision = self._bundle.rules.decision()
        one_view = run_graph(first, pixels)
        answers = _columns(one_view)
        unsure = np.flatnonzero(distances(decision, one_view) < margins.one_view)
        if len(unsure):
            two_views = mean_logits(_rows(one_view, unsure), run_graph(first, mirrored(pixels[unsure])))
            answers[:, unsure] = _columns(two_views)
            unsure = unsure[distances(decision, two_views) < margins.two_views]
        if len(unsure):
            answers[:, unsure] = _columns(run_graph(self.full(threads), pixels[unsure]))
        return Logits(*answers)

    def _open(self, graph: bytes, threads: int) -> Session:
        is_first = graph is self._bundle.first
        key = (os.getpid(), threads, is_first)
        if key not in self._sessions:
            origin = self._bundle.folder / FIRST_FILE if is_first else self._bundle.folder
            self._sessions[key] = open_graph(graph, str(origin), threads)
        return self._sessions[key]


def mirrored(pixels: np.ndarray) -> np.ndarray:
    """The mirror images of uint8 (num_images, image_size, image_size, 3)."""
    return np.ascontiguousarray(pixels[:, :, ::-1])


def _columns(logits: Logits) -> np.ndarray:
    """A row per output, float64 (1 or 2, num_images); a copy."""
    return np.stack([output for output in logits if output is not None])


def _rows(logits: Logits, indices: np.ndarray) -> Logits:
    """Some of the images."""
    return Logits(logits.positive[indices], None if logits.neither is None else logits.neither[indices])
