"""The address that a service or a page listens at."""

import socket

from dogvscat.errors import UsageError


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to an address, for `run`. It does not listen yet.

    Raises:
        UsageError: if the address is not available.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound_socket = socket.socket(family, kind, protocol)
        # A restarted server may use the port at once, although old connections are still in TIME_WAIT.
        bound_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound_socket.bind(address)
    except OSError as error:
        raise _unavailable(host, port, error) from None
    bound_socket.set_inheritable(True)  # for the worker processes
    return bound_socket


def listen(bound_socket: socket.socket) -> None:
    """Accept connections at a socket from `bind`; they wait until a server reads them.

    Raises:
        UsageError: if another process listens there by now: two sockets may be bound to one port, but only one listens.
    """
    try:
        bound_socket.listen()
    except OSError as error:
        host, port = bound_socket.getsockname()[:2]
        raise _unavailable(host, port, error) from None


def _unavailable(host: str, port: int, error: OSError) -> UsageError:
    hint = "Choose another --port, or 0 for any that is free."
    return UsageError(f"cannot listen at {host} port {port}: {error.strerror or error}", hint=hint)


def url_of(bound_socket: socket.socket) -> str:
    """The URL of a bound socket."""
    host, port = bound_socket.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
