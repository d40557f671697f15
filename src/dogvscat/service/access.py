"""Who may use the service: the names it answers to, the pages that may use it, tokens, and requests per second.

A service on loopback can be reached by every page that is open in a browser on this machine. Two checks keep such pages
out: the Host header, against foreign names that lead to 127.0.0.1 (DNS rebinding), and the Origin header, against posts
of other pages.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from dogvscat.service.hosts import ANY_HOST, host_name, is_address, is_loopback, is_same_origin
from dogvscat.service.problem_details import RequestError, error_response
from dogvscat.service.rate_limit import RateLimit
from dogvscat.service.tokens import matching_digest

HEALTH_PATHS = frozenset({"/v2/health/live", "/v2/health/ready"})
"""The health checks, which need no token."""


@dataclass(frozen=True)
class AccessRules:
    """What a request must fulfill; by default, that it is for a loopback name, and not from a foreign page."""

    hosts: frozenset[str] = frozenset()
    """Names that are allowed in addition to those of loopback, in lower case; `*` allows all."""
    any_address: bool = False
    """Whether all IP addresses are allowed as well: for a service that other machines can reach."""
    origins: tuple[str, ...] = ()
    """Foreign pages that may use the service."""
    token_digests: tuple[bytes, ...] = ()
    """The sha256 of each token; with none, no token is required."""
    requests_per_second: float | None = None
    """Requests for predictions that each client may send to each worker."""


class AccessGuard:
    """ASGI middleware that refuses requests that break the rules, before the app sees them.

    Args:
        app: The app.
        rules: The rules.
        public_paths: Paths that need no token.
    """

    def __init__(self, app: ASGIApp, rules: AccessRules, public_paths: Collection[str]) -> None:
        self._app = app
        self._rules = rules
        self._public_paths = frozenset(public_paths)
        self._rate = RateLimit(rules.requests_per_second) if rules.requests_per_second else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                self._check(scope, Headers(scope=scope))
            except RequestError as error:
                await error_response(scope["path"], error)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope, headers: Headers) -> None:
        """Raises a RequestError if a rule is broken."""
        self._check_host(headers)
        if scope["method"] not in ("GET", "HEAD", "OPTIONS"):
            self._check_origin(headers)
        client = self._client_of(scope, headers)
        if scope["method"] == "POST":
            self._check_rate(client)

    def _check_host(self, headers: Headers) -> None:
        host = headers.get("host")
        if host is None or ANY_HOST in self._rules.hosts:  # browsers always send it; a check over HTTP/1.0 may not
            return
        name = host_name(host) or ""
        if is_loopback(name) or name in self._rules.hosts or (self._rules.any_address and is_address(name)):
            return
        hint = f"If this name belongs to this server, start it with --allow-host {name or 'NAME'}"
        raise RequestError(421, "host", f"this server does not answer to the host {host!r}", hint=hint)

    def _check_origin(self, headers: Headers) -> None:
        origin = headers.get("origin")
        if origin is None or origin in self._rules.origins or is_same_origin(origin, headers.get("host", "")):
            return
        # What browsers say themselves (W3C, Fetch Metadata): a proxy may have changed the Host header.
        if headers.get("sec-fetch-site") == "same-origin":
            return
        hint = f"If this page may use this server, start it with --cors {origin}"
        raise RequestError(403, "origin", f"pages of {origin!r} may not use this server", hint=hint)

    def _client_of(self, scope: Scope, headers: Headers) -> str | bytes:
        """Who the rate limit counts: a token or an address."""
        address = _client_network(scope)
        if not self._rules.token_digests:
            return address
        digest = matching_digest(headers.get("authorization", ""), self._rules.token_digests)
        if digest is None and scope["path"] not in self._public_paths:
            received = "an unknown one" if "authorization" in headers else "none"
            message = f"this server requires a token, received {received}"
            raise RequestError(401, "token", message, hint="Send the header: Authorization: Bearer TOKEN")
        return digest or address

    def _check_rate(self, client: str | bytes) -> None:
        if self._rate and (seconds := self._rate.wait_seconds(client)):
            message = f"too many requests: each client may send {self._rules.requests_per_second:g} per second"
            hint = "Try again after the number of seconds in Retry-After, with several photos per request."
            raise RequestError(429, "rate", message, hint=hint, retry_seconds=math.ceil(seconds))


def _client_network(scope: Scope) -> str:
    """The address of the client. With IPv6, a client has 2^64 of them, which count as one."""
    address = (scope.get("client") or ("",))[0]
    if is_address(address) and ip_address(address).version == 6:
        return str(ip_network(f"{address.partition('%')[0]}/64", strict=False))
    return str(address)
