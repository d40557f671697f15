"""Joins a Ray cluster, or starts one on this machine: on loopback only, without dashboard and usage statistics.

Anyone who reaches a Ray cluster can run any program on its machines, so the cluster that is started here is reachable
only by this process. Source: docs.ray.io/en/latest/ray-security
"""

import logging
import os
import re
import secrets
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dogvscat._version import RESULT_PACKAGES, installed_versions
from dogvscat.cpus import available_cpus
from dogvscat.errors import ClusterError, UsageError
from dogvscat.stderr import quiet_stderr

LOCAL = "local"

_TIMEOUT_SECONDS = 5.0
_HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""The first bytes of every gRPC client (RFC 9113, section 3.4), with empty settings. A server answers with its own
settings."""
_SETTINGS_FRAME = 4


@dataclass(frozen=True)
class Machine:
    """A machine of the cluster that is alive, with all its cores and GPUs, in use or not."""

    name: str
    cores: int
    gpus: int


@contextmanager
def ray_cluster(address: str) -> Iterator[list[Machine]]:
    """Within the block this process is part of a Ray cluster. Only one such block can be open at a time.

    Args:
        address: `local` to start a cluster on this machine that ends with the block, or HOST:PORT of a running one
            that this machine is part of.

    Returns:
        The machines of the cluster.

    Raises:
        UsageError: if `address` is neither.
        ClusterError: if nothing that looks like Ray answers there within seconds, or Ray cannot be started.
    """
    if address != LOCAL:
        _refuse_unreachable(*_host_and_port(address))
    _prepare_environment(address)
    import ray  # after the environment was prepared: Ray reads it when it is imported

    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == LOCAL:
        options |= {"num_cpus": available_cpus(), "include_dashboard": False}
    try:
        with quiet_stderr(as_note=True):  # Ray reports a wrong token only on stderr
            ray.init(address=address, **options)
    except Exception as error:  # Ray raises ConnectionError, RuntimeError, ValueError and a dozen of its own classes
        raise _why_not_joined(address, error) from None
    # Otherwise Ray prints a line on stdout when a machine dies, between the results of the command.
    ray._private.worker._worker_logs_enabled = False
    try:
        yield alive_machines()
    finally:
        ray.shutdown()


def alive_machines() -> list[Machine]:
    """The machines that are alive now. Call it within `ray_cluster`."""
    import ray

    nodes: list[dict[str, Any]] = ray.nodes()
    resources = [(node["NodeName"], node["Resources"]) for node in nodes if node["Alive"]]
    return [Machine(name, int(amounts.get("CPU", 0)), int(amounts.get("GPU", 0))) for name, amounts in resources]


def refuse_other_versions(expected: dict[str, str]) -> None:
    """Raise on a machine that would compute other results.

    Args:
        expected: `installed_versions` where the command was given.

    Raises:
        ClusterError: naming this machine and the first package that differs.
    """
    installed = installed_versions()
    for package in RESULT_PACKAGES:
        if expected.get(package) != installed.get(package):
            message = (
                f"{package} is {installed.get(package, 'not installed')} on {socket.gethostname()}, "
                f"but {expected.get(package, 'not installed')} on the machine of this command"
            )
            raise ClusterError(message, hint="Install the same versions on every machine: requirements/ lists them.")


def refuse_missing_package(error: Exception) -> None:
    """Raise if Ray reports that a machine does not have this code.

    Raises:
        ClusterError: saying so.
    """
    if "failed to import on the worker" in str(error) or "No module named 'dogvscat" in str(error):
        hint = "Install dogvscat[cluster] on every machine, in the same version."
        raise ClusterError("a machine of the cluster cannot load this version of dogvscat", hint=hint) from None


def first_line(error: Exception) -> str:
    """The first line of an error's text, or the name of its class: in Ray's texts, logs and tracebacks follow."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _why_not_joined(address: str, error: Exception) -> ClusterError:
    """An error of `ray.init` in one sentence."""
    text = str(error)
    versions = re.findall(r"^ *(?:Ray|Python): (\S+)", text, re.MULTILINE)  # of the cluster, then of this process
    if "Version mismatch" in text and len(versions) == 4:
        theirs, ours = ("Ray {} on Python {}".format(*pair) for pair in (versions[:2], versions[2:]))
        hint = "Install the same versions on every machine: requirements/ lists them."
        return ClusterError(f"the cluster {address} runs {theirs}, but this machine has {ours}", hint=hint)
    native_text = "\n".join(getattr(error, "__notes__", ()))
    if "InvalidAuthToken" in native_text or type(error).__name__ == "AuthenticationError":
        problem = (
            "does not accept the token of this machine" if _has_token() else "asks for a token, and none is set here"
        )
        hint = "Set RAY_AUTH_TOKEN to the token of the cluster: `ray get-auth-token` prints it on its machines."
        return ClusterError(f"the cluster {address} {problem}", hint=hint)
    hint = "Ray must run on this machine as well, in the same version: ray start --address HOST:PORT"
    if address == LOCAL:
        hint = "Leave --cluster out to work in this process only."
    sys.stderr.write(native_text)  # it may explain the failure
    return ClusterError(f"the cluster {address} cannot be used: {first_line(error)}", hint=hint)


def _has_token() -> bool:
    """Whether this user has a token for a cluster, where Ray looks for it."""
    if any(os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")):
        return True
    return os.path.exists(os.path.expanduser("~/.ray/auth_token"))  # noqa: PTH110, PTH111 - Path.home may raise


def _host_and_port(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not (host and colon and port.isdecimal() and 0 < int(port) < 65536 and "/" not in host):
        hint = "Examples: --cluster local, --cluster 10.0.0.5:6379"
        raise UsageError(f"expected --cluster as local or HOST:PORT, received {address!r}", hint=hint)
    return host.strip("[]"), int(port)  # brackets surround an IPv6 address


def _refuse_unreachable(host: str, port: int) -> None:
    """Raise within seconds if no Ray cluster answers. Ray itself would try for minutes, whatever else answers there."""
    try:
        with socket.create_connection((host, port), _TIMEOUT_SECONDS) as connection:
            if os.environ.get("RAY_USE_TLS", "0") not in ("", "0"):
                return  # the answer would be encrypted
            connection.settimeout(_TIMEOUT_SECONDS)
            connection.sendall(_HTTP2_PREFACE)
            answer = connection.recv(4)  # a frame starts with its length in three bytes, then its type
    except OSError as error:
        reason = error.strerror or str(error)
        hint = "Start one with: ray start --head --include-dashboard=false"
        raise ClusterError(f"no cluster can be reached at {host}:{port}: {reason}", hint=hint) from None
    if len(answer) < 4 or answer[3] != _SETTINGS_FRAME:
        hint = "`ray status` shows the address of a cluster."
        raise ClusterError(f"the server at {host}:{port} is not a Ray cluster", hint=hint)


def _prepare_environment(address: str) -> None:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what matters is raised as well
    if address == LOCAL or _listens_on_loopback_only(*_host_and_port(address)):
        # The name of the variable misleads. On every system "0" means: this process listens on loopback only, as that
        # cluster does.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    if address == LOCAL:
        os.environ["RAY_AUTH_MODE"] = "token"  # keeps out the other users of this machine as well
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    elif _has_token():  # Ray uses it only if it is told to
        os.environ.setdefault("RAY_AUTH_MODE", "token")


def _listens_on_loopback_only(host: str, port: int) -> bool:
    """Whether a cluster listens on 127.0.0.1 and on no other address.

    Unless the environment says so, Ray replaces 127.0.0.1 by the machine's address in its network, where such a cluster
    does not answer. A cluster that listens on every address answers on 127.0.0.2 too.
    """
    if host not in ("127.0.0.1", "localhost"):
        return False
    try:
        with socket.create_connection(("127.0.0.2", port), _TIMEOUT_SECONDS):
            return False
    except OSError:
        return True
