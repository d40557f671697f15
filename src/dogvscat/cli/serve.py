"""`dogvscat serve`: the page and the HTTP service. Never imports Keras."""

from typing import Annotated

import typer

from dogvscat.api.extras import need_serve_extra
from dogvscat.cli.options import Exact, Model, PublicKey, Threads
from dogvscat.cli.output import flush, report, show


def command(
    model: Model = None,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address to listen on. 0.0.0.0 accepts requests from other machines.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any free port.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Number of worker processes.")] = 1,
    threads: Threads = None,
    queue: Annotated[
        int,
        typer.Option(
            min=1,
            help="Number of photos that may be waiting or in progress in each worker. Further requests get status 429.",
        ),
    ] = 64,
    deadline: Annotated[
        float,
        typer.Option(min=0.1, help="Seconds that a request may wait for its answer. After that, it gets status 503."),
    ] = 10.0,
    max_megabytes: Annotated[int, typer.Option(min=1, max=1024, help="Largest request body, in megabytes.")] = 32,
    exact: Exact = False,
    public_key: PublicKey = None,
) -> int:
    """Start the HTTP service, with a web page to drop photos on.

    Prints its address on stdout when it is ready, and logs one line of JSON per request on stderr. Ctrl-C or SIGTERM
    stops the service: it accepts no new requests, answers the requests that it has accepted, and exits.
    """
    need_serve_extra()
    from dogvscat.bundle.folder import load_card
    from dogvscat.cli.answers import report_warnings
    from dogvscat.cpus import available_cpus
    from dogvscat.service.limits import MEGABYTE, Limits
    from dogvscat.service.server import ServiceSettings, run
    from dogvscat.service.sockets import bind, url_of
    from dogvscat.service.workers import run_workers

    limits = Limits(queue_length=queue, answer_seconds=deadline, body_bytes=max_megabytes * MEGABYTE)
    bound = bind(host, port)  # before the model loads: a port in use is reported at once, and 0 becomes a number
    url = url_of(bound)

    def ready(name: str) -> None:
        show(url)  # on stdout: a script that started the service waits for this line
        flush()
        report(f"{name} answers at {url} (Ctrl-C stops it)")
        report_warnings(load_card(model).warnings)
        if not host.startswith(("127.", "localhost", "::1")):
            report("Other machines can reach this address, and no authentication is required.")

    # The workers share the threads.
    settings = ServiceSettings(model, max(1, (threads or available_cpus()) // workers), limits, public_key, exact=exact)
    return run(settings, bound, ready) if workers == 1 else run_workers(settings, bound, workers, ready)
