"""One HTTP request: with a time limit for everything up to the response, and without redirects away from https."""

import http.client
import ipaddress
import queue
import threading
import urllib.error
import urllib.parse
import urllib.request
from typing import cast

from dogvscat.errors import FetchError

_STALL_SECONDS = 30.0  # without a single byte, the connection counts as lost
_HINT = "Check the network and the address. Or give photos of your own, as a folder or a zip file."


def open_response(request: urllib.request.Request, connect_seconds: float) -> http.client.HTTPResponse:
    """The server's response to a GET request, with its status checked.

    The request is sent in a thread, because a name look-up has no time limit of its own. A thread that is stuck in a
    look-up is left behind; a response that it gets later is closed.

    Args:
        request: With or without a `Range` header.
        connect_seconds: Longest wait for the response's headers, including name look-up and redirects.

    Returns:
        A response with status 200, or for a request with `Range` also 206 (the range follows) or 416 (there is no such
        range).

    Raises:
        FetchError: if the server cannot be reached, does not answer in time, refuses, or redirects to another protocol.
    """
    results: queue.SimpleQueue[http.client.HTTPResponse | Exception] = queue.SimpleQueue()
    timed_out = threading.Event()

    def send() -> None:
        try:
            response = urllib.request.build_opener(_SafeRedirects).open(request, timeout=_STALL_SECONDS)
        except urllib.error.HTTPError as error:  # it is a response as well, with a status and headers
            response = error
        except Exception as error:
            results.put(error)
            return
        if timed_out.is_set():
            response.close()
        results.put(response)

    threading.Thread(target=send, daemon=True).start()
    try:
        result = results.get(timeout=connect_seconds)
    except queue.Empty:
        timed_out.set()
        message = f"{request.full_url} did not answer within {connect_seconds:g} s"
        raise FetchError(message, hint=_HINT) from None
    return _checked_response(result, request)


def _checked_response(
    result: http.client.HTTPResponse | Exception, request: urllib.request.Request
) -> http.client.HTTPResponse:
    if isinstance(result, FetchError):
        raise result
    if isinstance(result, Exception) and not isinstance(result, urllib.error.HTTPError):
        reason = getattr(result, "reason", None) or result
        raise FetchError(f"cannot reach {request.full_url}: {reason}", hint=_HINT) from None
    response = cast(http.client.HTTPResponse, result)
    # 416: there are no bytes after those received, so the file is not the one that the download started with.
    if response.status not in ((200, 206, 416) if request.has_header("Range") else (200,)):
        response.close()
        reason = " ".join(f"{response.status} {response.reason}".split())
        message = f"{request.full_url} was refused by the server: {reason}"
        raise FetchError(message, hint=_HINT)
    return response


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to https addresses, and to http on this machine (for tests)."""

    def redirect_request(  # type: ignore[no-untyped-def]
        self, req, fp, code, msg, headers, newurl
    ) -> urllib.request.Request | None:
        address = urllib.parse.urlsplit(newurl)
        if address.scheme != "https" and not (address.scheme == "http" and _is_loopback(address.hostname or "")):
            fp.close()
            raise FetchError(f"{req.full_url} redirects to {newurl}, expected an https address")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
