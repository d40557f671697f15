"""`dogvscat serve`: the page and the HTTP service. Never imports Keras."""

from pathlib import Path
from typing import Annotated

import typer

from dogvscat.cli.extras import need_serve_extra
from dogvscat.cli.output import flush, report, show


def command(
    model: Annotated[Path | None, typer.Option(help="A run folder, a bundle, or the name of a shipped one.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at, 0 for any that is free.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that answer.")] = 1,
    queue: Annotated[int, typer.Option(min=1, help="Pictures that may wait in each worker; more are refused.")] = 64,
    deadline: Annotated[float, typer.Option(min=0.1, help="Seconds that an answer may take.")] = 10.0,
    max_megabytes: Annotated[int, typer.Option(min=1, max=1024, help="Largest body of a request.")] = 32,
) -> int:
    """Answer over HTTP, with a page for people at the same address.

    The address is printed on stdout once it answers; a line of JSON a request goes to stderr. Ctrl-C or SIGTERM lets
    nobody in any more, finishes what is inside, and stops.
    """
    need_serve_extra()
    import os

    from dogvscat.service.limits import MEGABYTE, Limits
    from dogvscat.service.server import Serving, bind, run, url_of
    from dogvscat.service.workers import run_workers

    limits = Limits(waiting=queue, answer_seconds=deadline, body_bytes=max_megabytes * MEGABYTE)
    bound = bind(host, port)
    url = url_of(bound)

    def ready(name: str) -> None:
        show(url)
        flush()
        report(f"{name} answers at {url} (Ctrl-C stops it)")
        if not host.startswith(("127.", "localhost", "::1")):
            report("Other machines can reach it, and it asks nobody who they are.")

    if workers == 1:
        return run(Serving(model, limits=limits), bound, ready)
    threads = max(1, (os.cpu_count() or 1) // workers)
    return run_workers(Serving(model, threads, limits), bound, workers, ready)
