"""Groups of things that are connected by pairs: connected components with a union-find structure, for whole arrays."""

import numpy as np


class Groups:
    """Things by number, in groups that can be joined.

    Each thing points to another of its group or, if it is the group's root, to itself. Two groups are joined by letting
    the root of one point to the root of the other. Source: Galler and Fischer, An improved equivalence algorithm,
    CACM 7, 1964.

    Args:
        roots: For each thing the root of its first group, int64 (n,); `np.arange(n)` for groups of one.
    """

    def __init__(self, roots: np.ndarray) -> None:
        self._parent = roots.copy()

    def roots(self, numbers: np.ndarray) -> np.ndarray:
        """The root of each thing's group, equal for the members of a group: int64, in the shape of `numbers`."""
        roots: np.ndarray = self._parent[numbers]
        while np.any((parents := self._parent[roots]) != roots):
            self._parent[roots] = self._parent[parents]  # halves the paths, so that later walks are short
            roots = parents
        self._parent[numbers] = roots
        return roots

    def join(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Join the groups of the two things of each pair, one pair after the other.

        Args:
            first: int (n,).
            second: Likewise.

        Returns:
            Indices of the pairs that joined two groups, int64 (num_joined,): the other pairs were connected already.
        """
        first_roots, second_roots = self.roots(first), self.roots(second)
        # Where many things are alike most pairs are connected already, and two groups are connected by many pairs. Only
        # one pair for each two groups needs the loop.
        unconnected = np.flatnonzero(first_roots != second_roots)
        names = first_roots[unconnected] * len(self._parent) + second_roots[unconnected]
        joined = []
        for index in unconnected[np.sort(np.unique(names, return_index=True)[1])].tolist():
            root, second_root = sorted((self._root(first_roots[index]), self._root(second_roots[index])))
            if root != second_root:
                self._parent[second_root] = root
                joined.append(index)
        return np.array(joined, dtype=np.int64)

    def _root(self, number: int) -> int:
        parent = self._parent
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number
