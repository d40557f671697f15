"""Where the trainings of a study or a search run: one after the other in this process, or on a Ray cluster."""

from collections.abc import Iterator
from contextlib import contextmanager

from dogvscat.exploring.execution.job import Executor, LocalExecutor
from dogvscat.stderr import Reporter
from dogvscat.text import pluralize


@contextmanager
def open_executor(cluster: str | None, report: Reporter) -> Iterator[Executor]:
    """An executor to use within the block.

    Args:
        cluster: `local` or HOST:PORT for Ray, or None for this process only.
        report: Gets sentences about the cluster.

    Raises:
        UsageError: if `cluster` is not an address.
        ClusterError: if the cluster cannot be used.
    """
    if cluster is None:
        yield LocalExecutor()
        return
    # Ray is an extra, and takes a second to import.
    from dogvscat.cluster import ray_cluster
    from dogvscat.exploring.execution.ray import RayExecutor

    with ray_cluster(cluster) as machines:
        cores = sum(machine.cores for machine in machines)
        report(f"cluster {cluster}: {pluralize(len(machines), 'machine')}, {pluralize(cores, 'core')}")
        with RayExecutor(report) as executor:
            yield executor
