"""Joins a Ray cluster, or starts one on this machine: on loopback alone, without dashboard and usage statistics.

Whoever reaches a Ray cluster may run anything on its machines, so the one that is started here lets nobody else in.
Source: docs.ray.io/en/latest/ray-security
"""

import logging
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from dogvscat.errors import ClusterError, UsageError
from dogvscat.stderr import quiet_stderr

LOCAL = "local"

_PATIENCE_SECONDS = 5.0
_HTTP2_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""How every gRPC client begins (RFC 9113, section 3.4), with empty settings; a server answers with its settings."""
_SETTINGS_FRAME = 4
_EQUAL_EVERYWHERE = (
    "dogvscat",
    "keras",
    "tensorflow",
    "tensorflow-cpu",
    "jax",
    "torch",
    "numpy",
    "pillow",
    "onnxruntime",
)


@dataclass(frozen=True)
class Machine:
    """A machine of the cluster that is alive: what it offers to work, whether in use or not."""

    name: str
    cores: int
    gpus: int


@contextmanager
def joined(address: str) -> Iterator[list[Machine]]:
    """Within the block this process is part of a Ray cluster; only one such block can be open.

    Args:
        address: `local` to start a cluster on this machine that ends with the block, or HOST:PORT of a running one,
            which this machine must be part of.

    Returns:
        Its machines.

    Raises:
        UsageError: if the address is none.
        ClusterError: if nothing that looks like Ray answers there within seconds, or Ray cannot be started.
    """
    if address != LOCAL:
        _refuse_silence(*_host_and_port(address))
    _prepare_environment(address)
    import ray  # reads the environment when it is imported

    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == LOCAL:
        options |= {"num_cpus": os.cpu_count(), "include_dashboard": False}
    try:
        with quiet_stderr():
            ray.init(address=address, **options)
    except Exception as error:  # ConnectionError, RuntimeError, ValueError and a dozen of Ray's own
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        hint = "Ray must run on this machine as well, in the same version: ray start --address HOST:PORT"
        if address == LOCAL:
            hint = "Leave --cluster out to work in this process alone."
        raise ClusterError(f"the cluster {address} cannot be used: {reason}", hint=hint) from None
    ray._private.worker._worker_logs_enabled = False  # else Ray tells on stdout, where data goes, of machines that died
    try:
        yield machines()
    finally:
        ray.shutdown()


def machines() -> list[Machine]:
    """The machines that are alive now; call it within `joined`."""
    import ray

    offers = [(node["NodeName"], node["Resources"]) for node in ray.nodes() if node["Alive"]]
    return [Machine(name, int(has.get("CPU", 0)), int(has.get("GPU", 0))) for name, has in offers]


def installed() -> dict[str, str]:
    """The versions that results depend on, by package."""
    found = {}
    for package in _EQUAL_EVERYWHERE:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def refuse_other_versions(expected: dict[str, str]) -> None:
    """Raise on a machine that would come to other results.

    Args:
        expected: `installed` where the command was given.

    Raises:
        ClusterError: naming this machine and the first package that differs.
    """
    here = installed()
    for package in _EQUAL_EVERYWHERE:
        if expected.get(package) != here.get(package):
            message = (
                f"{socket.gethostname()} has {package} {here.get(package, 'not installed')}, "
                f"the command was given with {expected.get(package, 'none')}"
            )
            raise ClusterError(message, hint="Install the same versions on every machine: requirements/ has them.")


def refuse_missing_package(error: Exception) -> None:
    """Raise if what Ray reports is that a machine has no such code.

    Raises:
        ClusterError: saying so.
    """
    if "failed to import on the worker" in str(error) or "No module named 'dogvscat" in str(error):
        hint = "Install dogvscat[cluster] on every machine, in the same version."
        raise ClusterError("a machine of the cluster cannot load this version of dogvscat", hint=hint) from None


def _host_and_port(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not (host and colon and port.isdecimal() and 0 < int(port) < 65536 and "/" not in host):
        hint = "Examples: --cluster local, --cluster 10.0.0.5:6379"
        raise UsageError(f"expected --cluster as local or HOST:PORT, received {address!r}", hint=hint)
    return host.strip("[]"), int(port)


def _refuse_silence(host: str, port: int) -> None:
    """Ray itself tries for minutes to reach somebody who is not there, or who is no Ray."""
    try:
        with socket.create_connection((host, port), _PATIENCE_SECONDS) as connection:
            if os.environ.get("RAY_USE_TLS", "0") not in ("", "0"):
                return  # then the greeting is encrypted
            connection.settimeout(_PATIENCE_SECONDS)
            connection.sendall(_HTTP2_HELLO)
            answer = connection.recv(4)
    except OSError as error:
        reason = error.strerror or str(error)
        hint = "Start one with: ray start --head --include-dashboard=false"
        raise ClusterError(f"no cluster can be reached at {host}:{port}: {reason}", hint=hint) from None
    if len(answer) < 4 or answer[3] != _SETTINGS_FRAME:
        raise ClusterError(f"what answers at {host}:{port} is no Ray cluster", hint="`ray status` shows its address.")


def _prepare_environment(address: str) -> None:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what matters is raised as well
    if address == LOCAL or _on_loopback_alone(*_host_and_port(address)):
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # that is: on loopback only, here as there
    if address == LOCAL:
        os.environ["RAY_AUTH_MODE"] = "token"  # nor may other users of this machine come in
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def _on_loopback_alone(host: str, port: int) -> bool:
    """Whether a cluster listens on 127.0.0.1 and nowhere else. Unless told so, Ray takes it for the machine's address
    in its network, where nobody answers. Who listens everywhere answers on 127.0.0.2 too."""
    if host not in ("127.0.0.1", "localhost"):
        return False
    try:
        with socket.create_connection(("127.0.0.2", port), _PATIENCE_SECONDS):
            return False
    except OSError:
        return True
