"""Names of this machine in requests: which values of the headers Host and Origin belong to the service."""

import re
from ipaddress import ip_address

from dogvscat.errors import UsageError

ANY_HOST = "*"
"""Stands for every name in `--allow-host`."""
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\s:/?#@\[\]]+)(:[0-9]*)?", re.IGNORECASE)
_DEFAULT_PORTS = {"http": "80", "https": "443"}


def host_name(host: str) -> str | None:
    """The name or address in a Host header, in lower case and without the port; None if it is malformed."""
    match = _HOST.fullmatch(host)
    return match and match[1].lower().strip("[]").removesuffix(".")


def is_address(name: str) -> bool:
    """Whether a name is an IP address. No stranger's name server can make it lead anywhere else."""
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(name: str) -> bool:
    """Whether a name or address leads to the machine that uses it: localhost, 127.0.0.1, ::1 and their relatives."""
    if is_address(name):
        return ip_address(name).is_loopback
    return name == "localhost" or name.endswith(".localhost")  # RFC 6761, section 6.3


def parse_host(option: str) -> str:
    """The name in `--allow-host`, as `host_name` returns it, or `ANY_HOST`.

    Raises:
        UsageError: if it is not a name or an address.
    """
    if option == ANY_HOST:
        return option
    # An IPv6 address may be given without brackets.
    name = option.lower() if is_address(option) else host_name(option)
    if not name or name != option.lower().strip("[]").removesuffix("."):
        hint = "Example: --allow-host photos.example.org"
        raise UsageError(f"--allow-host: expected a name without scheme and port, received {option!r}", hint=hint)
    return name


def parse_origin(option: str) -> str:
    """The origin in `--cors`, as browsers write it.

    Raises:
        UsageError: if it is not an origin.
    """
    scheme, _, host = option.lower().removesuffix("/").partition("://")
    if scheme not in _DEFAULT_PORTS or not host_name(host):
        hint = "Example: --cors https://www.example.org"
        raise UsageError(f"--cors: expected http:// or https:// and a name, received {option!r}", hint=hint)
    return f"{scheme}://{host.removesuffix(':' + _DEFAULT_PORTS[scheme])}"


def is_same_origin(origin: str, host: str) -> bool:
    """Whether a page of this origin came from this host. The scheme may differ: a proxy may have taken TLS away."""
    scheme, _, origin_host = origin.lower().partition("://")
    return scheme in _DEFAULT_PORTS and origin_host == host.lower().removesuffix(f":{_DEFAULT_PORTS[scheme]}")
