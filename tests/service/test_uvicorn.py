"""The internals of uvicorn that the service overrides are still there; what they do is tested on real servers."""

import asyncio
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from dogvscat.service.connections import Connection
from dogvscat.service.server import DrainingServer

ADVICE = "; adapt the service to it before raising the bound in pyproject.toml"


@pytest.fixture
def protocol() -> Iterator[H11Protocol]:
    """uvicorn's side of one connection, before a client is there."""
    config = uvicorn.Config(lambda scope: None, log_config=None)
    loop = asyncio.new_event_loop()
    yield H11Protocol(config=config, server_state=ServerState(), app_state={}, _loop=loop)
    loop.close()


@pytest.mark.parametrize(
    ("ours", "theirs", "names"),
    [
        (Connection, H11Protocol, ("connection_made", "data_received", "connection_lost", "send_400_response")),
        (DrainingServer, uvicorn.Server, ("startup", "handle_exit", "on_tick")),
    ],
)
def test_overridden_methods_take_the_arguments_that_uvicorn_passes(ours: type, theirs: type, names: tuple[str]) -> None:
    for name in names:
        method: Callable[..., Any] | None = getattr(theirs, name, None)
        where = f"uvicorn {uvicorn.__version__}: {theirs.__name__}.{name}"
        assert method is not None, f"{where} is gone, but {ours.__name__} overrides it{ADVICE}"
        expected = list(inspect.signature(getattr(ours, name)).parameters)
        received = list(inspect.signature(method).parameters)
        assert received == expected, f"{where} takes {received}, but {ours.__name__} expects {expected}{ADVICE}"


def test_a_connection_has_what_the_service_reads(protocol: H11Protocol) -> None:
    missing = [name for name in ("conn", "connections", "loop", "transport") if not hasattr(protocol, name)]
    assert not missing, f"uvicorn {uvicorn.__version__}: H11Protocol has no {', '.join(missing)}{ADVICE}"
    for name in ("our_state", "their_state"):
        assert hasattr(protocol.conn, name), f"uvicorn {uvicorn.__version__}: H11Protocol.conn has no {name}{ADVICE}"


def test_a_server_has_what_the_service_sets() -> None:
    server = uvicorn.Server(uvicorn.Config(lambda scope: None, log_config=None))
    assert server.should_exit is False, f"uvicorn {uvicorn.__version__}: Server.should_exit{ADVICE}"
    assert hasattr(server.config, "timeout_graceful_shutdown"), f"uvicorn {uvicorn.__version__}: Config{ADVICE}"
