"""`dogvscat serve`: the page and the HTTP service. Never imports Keras."""

from pathlib import Path
from typing import Annotated

import typer

from dogvscat.api.extras import need_serve_extra
from dogvscat.cli.options import Exact, Model, PublicKey, Threads
from dogvscat.cli.output import flush, show


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
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Answer requests for this host name as well; `*` for any. By default the service answers to localhost "
            "and other names of loopback. If --host is another address, it also answers to --host and to every IP "
            "address. May be repeated.",
        ),
    ] = None,
    cors: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ORIGIN",
            help="Let pages of this origin use the service, such as https://www.example.org. May be repeated.",
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Require one of the tokens in this file, one per line, in the header `Authorization: Bearer TOKEN`. "
            "The page and the health checks need none.",
        ),
    ] = None,
    rate_limit: Annotated[
        float | None,
        typer.Option(
            metavar="N",
            min=0.01,
            help="Requests for predictions that each client may send per second, to each worker. Further requests get "
            "status 429. Clients are told apart by their token, or by their address if no token is required.",
        ),
    ] = None,
    exact: Exact = False,
    public_key: PublicKey = None,
) -> int:
    """Start the HTTP service, with a web page to drop photos on.

    Prints its address on stdout when it is ready, and logs one line of JSON per request on stderr. Ctrl-C or SIGTERM
    stops the service: it accepts no new requests, answers the requests that it has accepted, and exits. If a request
    would probably wait longer than --deadline, it is refused at once, with status 429.
    """
    need_serve_extra()
    from dogvscat.bundle.folder import load_card
    from dogvscat.cpus import available_cpus
    from dogvscat.service.access import AccessRules
    from dogvscat.service.hosts import is_loopback, parse_host, parse_origin
    from dogvscat.service.limits import MEGABYTE, Limits
    from dogvscat.service.server import ServiceSettings, run
    from dogvscat.service.sockets import bind, url_of
    from dogvscat.service.stderr_lines import JsonStderr
    from dogvscat.service.tokens import read_token_digests
    from dogvscat.service.workers import run_workers

    limits = Limits(queue_length=queue, answer_seconds=deadline, body_bytes=max_megabytes * MEGABYTE)
    access = AccessRules(
        hosts=frozenset([host.lower(), *map(parse_host, allow_host or [])]),
        any_address=not is_loopback(host),
        origins=tuple(map(parse_origin, cors or [])),
        token_digests=read_token_digests(token_file) if token_file else (),
        requests_per_second=rate_limit,
    )
    bound = bind(host, port)  # before the model loads: a port in use is reported at once, and 0 becomes a number
    url = url_of(bound)

    with JsonStderr() as log:

        def ready(name: str) -> None:
            show(url)  # on stdout: a script that started the service waits for this line
            flush()
            log.report(f"{name} answers at {url} (Ctrl-C stops it)")
            for warning in load_card(model).warnings:
                log.report(warning)
            if not is_loopback(host) and not access.token_digests:
                log.report(
                    "Other machines can reach this address, and no authentication is required: see --token-file."
                )

        # The workers share the threads.
        num_threads = max(1, (threads or available_cpus()) // workers)
        settings = ServiceSettings(model, num_threads, limits, public_key, exact=exact, access=access)
        return run(settings, bound, ready) if workers == 1 else run_workers(settings, bound, workers, ready)
