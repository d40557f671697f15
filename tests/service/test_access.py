"""Who may use the service: names of hosts, pages of other origins, tokens, and requests per second of a client."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from dogvscat.errors import UsageError
from dogvscat.service.hosts import host_name, is_loopback, is_same_origin, parse_host, parse_origin
from dogvscat.service.rate_limit import RateLimit
from dogvscat.service.tokens import matching_digest, read_token_digests
from tests.helpers import Serve, plain_png

TOKEN, LATER_TOKEN = "first-token_0123456789", "second.token~0123456789=="
RED = plain_png((255, 0, 0))
PREDICT = "/api/v1/predict"
INFER = "/v2/models/none/infer"


@pytest.fixture(scope="module")
def guarded(serve_for_module: Serve, untouched_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server that requires tokens, and lets in one more host and the pages of one more origin."""
    file = tmp_path_factory.mktemp("tokens") / "tokens.txt"
    file.write_text(f"# for the shop\n{TOKEN}\n\n  {LATER_TOKEN}\r\n")
    options = ("--token-file", file, "--allow-host", "Photos.Example.org", "--cors", "https://shop.example.org")
    return serve_for_module("--model", untouched_bundle, *options)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:80", "127.0.0.1:8000", "127.9.9.9", "[::1]:8000", "a.localhost"]
)
def test_loopback_names_are_answered(linear: Any, host: str) -> None:
    assert linear.client.post(PREDICT, content=RED, headers={"Host": host}).status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "localhost.evil.example", "10.0.0.1", "x@localhost", "localhost:8000:1", ""],
)
def test_foreign_names_are_not_answered(linear: Any, host: str) -> None:
    """A page of evil.example whose name server says 127.0.0.1 sends this Host header (DNS rebinding)."""
    for path in ("/", PREDICT, "/metrics", "/v2/health/live", "/nothing"):
        response = linear.client.get(path, headers={"Host": host})
        assert response.status_code == 421
        assert "--allow-host" in response.text or path.startswith("/v2")
    assert linear.client.post(PREDICT, content=RED, headers={"Host": host}).json()["code"] == "host"


@pytest.mark.slow
def test_a_request_without_a_host_is_answered(linear: Any) -> None:
    """Health checks of load balancers use HTTP/1.0; browsers always send the header."""
    import socket

    with socket.create_connection(("127.0.0.1", linear.port), timeout=30) as connection:
        connection.sendall(b"GET /v2/health/live HTTP/1.0\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")


@pytest.mark.slow
@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:1", "https://shop.example.org"])
def test_posts_of_foreign_pages_are_refused(linear: Any, origin: str) -> None:
    response = linear.client.post(PREDICT, content=RED, headers={"Origin": origin})
    assert (response.status_code, response.json()["code"]) == (403, "origin")
    assert f"--cors {origin}" in response.json()["hint"]
    preflight = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    assert linear.client.options(PREDICT, headers=preflight).status_code == 405


@pytest.mark.slow
def test_posts_of_the_own_page_are_answered(linear: Any) -> None:
    own = {"Origin": linear.url}
    assert linear.client.post(PREDICT, content=RED, headers=own).status_code == 200
    # Behind a proxy with TLS that keeps the Host header, and behind one that does not.
    tls = {"Host": "localhost", "Origin": "https://localhost"}
    assert linear.client.post(PREDICT, content=RED, headers=tls).status_code == 200
    proxy = {"Origin": "https://photos.example.org", "Sec-Fetch-Site": "same-origin"}
    assert linear.client.post(PREDICT, content=RED, headers=proxy).status_code == 200
    site = {"Origin": "https://www.example.org", "Sec-Fetch-Site": "same-site"}
    assert linear.client.post(PREDICT, content=RED, headers=site).status_code == 403


@pytest.mark.slow
def test_a_named_origin_may_use_the_service(guarded: Any) -> None:
    origin = {"Origin": "https://shop.example.org"}
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    preflight = guarded.client.options(PREDICT, headers={**origin, **asked})
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "https://shop.example.org"
    assert "Authorization" in preflight.headers["access-control-allow-headers"]
    for headers, status in (({**origin, **bearer(TOKEN)}, 200), (origin, 401)):  # the page can read refusals as well
        response = guarded.client.post(PREDICT, content=RED, headers=headers)
        assert response.status_code == status
        assert response.headers["access-control-allow-origin"] == "https://shop.example.org"
        assert "origin" in response.headers["vary"].lower()
    elsewhere = {"Origin": "https://shop.example.org.evil.example", **bearer(TOKEN)}
    response = guarded.client.post(PREDICT, content=RED, headers=elsewhere)
    assert response.status_code == 403
    assert "access-control-allow-origin" not in response.headers


@pytest.mark.slow
def test_a_named_host_is_answered(guarded: Any) -> None:
    for host, status in (("photos.example.org:8000", 200), ("photos.example.org.", 200), ("example.org", 421)):
        assert guarded.client.get("/v2/health/live", headers={"Host": host}).status_code == status


@pytest.mark.slow
def test_a_token_is_required(guarded: Any) -> None:
    for token in (TOKEN, LATER_TOKEN):
        assert guarded.client.post(PREDICT, content=RED, headers=bearer(token)).status_code == 200
        assert (
            guarded.client.post(PREDICT, content=RED, headers={"Authorization": f"bearer  {token}"}).status_code == 200
        )
    wrong = [
        {},
        bearer(TOKEN[:-1]),
        bearer(f"{TOKEN}0"),
        bearer("# for the shop"),
        {"Authorization": "Bearer"},
        bearer("\xff" * 20),
    ]
    wrong += [{"Authorization": f"Basic {TOKEN}"}, {"Authorization": TOKEN}]
    for headers in wrong:
        encoded = {name: value.encode("latin-1") for name, value in headers.items()}
        response = guarded.client.post(PREDICT, content=RED, headers=encoded)
        assert (response.status_code, response.json()["code"]) == (401, "token")
        assert response.headers["www-authenticate"] == "Bearer"
    for path in ("/api/v1/model", "/metrics", "/v2/", "/v2/models/untouched", "/nothing", "//v2/health/live"):
        assert guarded.client.get(path).status_code == 401
    assert TOKEN not in guarded.stderr()


@pytest.mark.slow
def test_the_page_and_health_need_no_token(guarded: Any) -> None:
    for path in ("/", "/page.js", "/style.css", "/v2/health/live", "/v2/health/ready", "/docs", "/openapi.json"):
        assert guarded.client.get(path).status_code == 200
    document = guarded.client.get("/openapi.json").json()
    assert document["components"]["securitySchemes"]["token"] == {"type": "http", "scheme": "bearer"}
    assert document["paths"][PREDICT]["post"]["security"] == [{"token": []}]
    assert "401" in document["paths"][PREDICT]["post"]["responses"]
    assert "security" not in document["paths"]["/v2/health/live"]["get"]


@pytest.mark.slow
def test_a_client_that_asks_too_often_is_told_when_to_come_back(serve: Serve, untouched_bundle: Path) -> None:
    # One in a hundred seconds, so that a slow machine does not change the outcome.
    server = serve("--model", untouched_bundle, "--rate-limit", 0.01)
    assert server.predict(RED).status_code == 200
    response = server.predict(RED)
    assert (response.status_code, response.json()["code"]) == (429, "rate")
    assert 50 < int(response.headers["retry-after"]) <= 100
    assert server.client.post(INFER, content=b"{}").status_code == 429
    assert server.client.get("/api/v1/model").status_code == 200
    if sys.platform == "linux":  # which has all of 127.0.0.0/8: a client of its own
        with httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.2")) as neighbor:
            assert neighbor.post(f"{server.url}{PREDICT}", content=RED).status_code == 200


def test_a_rate_is_kept_in_the_long_run() -> None:
    now = 0.0
    limit = RateLimit(4, clock=lambda: now)
    assert [limit.wait_seconds("a") for _ in range(6)] == [0, 0, 0, 0, 0.25, 0.25]
    assert limit.wait_seconds("b") == 0
    now = 0.25
    assert [limit.wait_seconds("a") for _ in range(2)] == [0, 0.25]
    now = 1000.0
    assert [limit.wait_seconds("a") for _ in range(5)] == [0, 0, 0, 0, 0.25]
    for number in range(20_000):
        limit.wait_seconds(number)
    assert len(limit._buckets) == 10_000


def test_names_of_hosts() -> None:
    assert host_name("Example.ORG:80") == host_name("example.org.") == "example.org"
    assert host_name("[::1]:80") == "::1"
    assert [host_name(text) for text in ("", ":80", "a b", "a/b", "a:b", "[::1", "a,b c")] == [None] * 7
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.1.2.3", "::1", "x.localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "10.0.0.1", "localhost.org", "notlocalhost", "127.0.0.1.org")))
    assert [parse_host(text) for text in ("A.b", "::1", "[::1]", "*", "10.0.0.1")] == [
        "a.b",
        "::1",
        "::1",
        "*",
        "10.0.0.1",
    ]
    assert parse_origin("HTTPS://Shop.example.org:443/") == "https://shop.example.org"
    assert parse_origin("http://localhost:3000") == "http://localhost:3000"
    assert not is_same_origin("http://a.b:81", "a.b:80")
    assert is_same_origin("http://a.b", "a.b:80")
    assert not is_same_origin("ftp://a.b", "a.b")


@pytest.mark.parametrize("option", ["http://a.b", "a.b:80", "a b", "", "a/b"])
def test_a_host_that_is_not_a_name(option: str) -> None:
    with pytest.raises(UsageError, match="--allow-host: expected a name without scheme and port"):
        parse_host(option)


@pytest.mark.parametrize("option", ["a.b", "*", "null", "https://", "https://a.b/page", "ftp://a.b"])
def test_an_origin_that_is_none(option: str) -> None:
    with pytest.raises(UsageError, match="--cors: expected http:// or https:// and a name"):
        parse_origin(option)


def test_tokens_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "tokens.txt"
    file.write_bytes(f"\ufeff{TOKEN}\r\n#{LATER_TOKEN}\n".encode())
    digests = read_token_digests(file)
    assert len(digests) == 1
    assert matching_digest(f"Bearer {TOKEN}", digests) == digests[0]
    assert matching_digest(f"Bearer {LATER_TOKEN}", digests) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no token, expected one per line"),
        (b"# nothing\n\n", "has no token"),
        (b"short\n", "line 1 of .* is not a token: expected at least 16"),
        (b"0123456789abcdef\nwith a space in the middle\n", "line 2 of .* is not a token"),
        (b"\xff\xfe\0", "it is not UTF-8 text"),
        (None, "cannot read .*: No such file or directory"),
    ],
)
def test_a_file_without_tokens_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    file = tmp_path / "tokens.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError, match=message) as caught:
        read_token_digests(file)
    assert "secrets.token_urlsafe" in str(caught.value.hint)
    assert "with a space" not in caught.value.message


@pytest.mark.slow
def test_wrong_options_end_it_before_it_listens(tmp_path: Path) -> None:
    for options in (("--token-file", str(tmp_path / "none")), ("--cors", "*"), ("--allow-host", "http://a")):
        command = [sys.executable, "-m", "dogvscat", "serve", "--port", "0", *options]
        process = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert (process.returncode, process.stdout) == (2, "")
        assert process.stderr.startswith(f"error: {options[0]}: ")
