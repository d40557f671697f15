"""Where the trainings of a study or a search run: one after the other in this process, or on a Ray cluster."""

from collections.abc import Iterator
from contextlib import contextmanager

from dogvscat.exploring.execution.job import Executor
from dogvscat.exploring.execution.local import LocalExecutor
from dogvscat.stderr import Reporter


@contextmanager
def open_executor(cluster: str | None, report: Reporter) -> Iterator[Executor]:
    """An executor to use within the block.

    Args:
        cluster: `local` or HOST:PORT for Ray, or None for this process alone.
        report: Told about the cluster.

    Raises:
        UsageError: if the address is none.
        ClusterError: if the cluster cannot be used.
    """
    if cluster is None:
        yield LocalExecutor()
        return
    from dogvscat.cluster import joined
    from dogvscat.exploring.execution.ray import RayExecutor

    with joined(cluster) as machines:
        cores = sum(machine.cores for machine in machines)
        report(f"cluster {cluster}: {len(machines)} machine{'s' * (len(machines) != 1)}, {cores} cores")
        with RayExecutor(report) as executor:
            yield executor
