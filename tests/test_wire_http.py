"""HTTP/1.1 as the wire speaks it: whole answers in any pieces, no answer out of anything else, TLS, and proxies."""

import base64
import contextlib
import itertools
import socket
import ssl
import subprocess
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_endpoints import REQUEST, asked

from perception_r1 import sections
from perception_r1.endpoints import Reply, open_endpoint
from perception_r1.errors import Barred, ConfigError, EndpointError, Malformed, Unreachable
from perception_r1.wire import connection
from perception_r1.wire.answer import LARGEST, Answer, NotHttp, Reader, TooLong
from perception_r1.world.server import serving

WHOLE = {
    "a-length": (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n{  }", b"{  }", True),
    "said-twice": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\ncontent-length: 2\r\n\r\n{}", b"{}", True),
    "no-body": (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
    "no-reason": (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", b"", True),
    "closes": (b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 2\r\n\r\n{}", b"{}", False),
    "old": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", b"{}", False),
    "old-and-kept": (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}", b"{}", True),
    "continue-first": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", b"{}", True),
    "chunks": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=1\r\n0123456789\r\n0\r\n\r\n",
        b"abc0123456789",
        True,
    ),
    "chunks-and-a-trailer": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: y\r\n\r\n",
        b"a",
        True,
    ),
    "chunks-and-a-length": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        b"a",
        False,
    ),
}


def in_pieces(said: bytes, cuts: list[int]) -> tuple[Answer | None, Reader]:
    """What a reader makes of it."""
    reader, places = Reader(), sorted({0, len(said), *(cut % len(said) for cut in cuts)})
    told = [reader.read(said[one:two]) for one, two in itertools.pairwise(places)]
    assert told[:-1] == [None] * (len(told) - 1), "an answer before its end"
    return told[-1], reader


@pytest.mark.parametrize(("said", "body", "stays"), WHOLE.values(), ids=WHOLE)
@given(cuts=st.lists(st.integers(0, 200), max_size=5))
def test_an_answer_is_the_same_in_whatever_pieces_it_comes(
    said: bytes, body: bytes, stays: bool, cuts: list[int]
) -> None:
    answer, reader = in_pieces(said, cuts)
    assert answer and (answer.body, reader.stays) == (body, stays)


@pytest.mark.parametrize(("said", "body", "stays"), WHOLE.values(), ids=WHOLE)
def test_what_ends_early_is_no_answer(said: bytes, body: bytes, stays: bool) -> None:
    for end in range(len(said)):
        reader = Reader()
        assert reader.read(said[:end]) is None
        assert reader.ended() is None


def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    reader = Reader()
    assert reader.read(b"HTTP/1.1 502 Bad\r\nServer: x\r\n\r\n<html>") is None
    assert reader.ended() == Answer(502, {"server": "x"}, b"<html>")


def test_bytes_after_an_answer_end_the_connection() -> None:
    reader = Reader()
    answer = reader.read(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\n")
    assert answer and answer.body == b"{}" and not reader.stays


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n", id="another-protocol"),
        pytest.param(b"HTTP/2 200\r\n\r\n", id="another-version"),
        pytest.param(b"HTTP/1.1 OK\r\n\r\n", id="no-status"),
        pytest.param(b"HTTP/1.1 2\xb20 OK\r\n\r\n", id="a-superscript"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\n", id="two-lengths"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n", id="two-length-lines"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n", id="a-length-below-0"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\n", id="a-length-in-hex"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: a\r\n b: c\r\n\r\n", id="a-folded-header"),
        pytest.param(b"HTTP/1.1 200 OK\r\nnothing\r\n\r\n", id="a-header-without-a-colon"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", id="another-coding"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+2\r\n", id="a-signed-chunk"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n", id="a-chunk-without-a-size"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", id="a-chunk-that-lies"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 70_000, id="an-endless-size"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000, id="an-endless-head"),
    ],
)
def test_what_is_no_http_is_no_answer(said: bytes) -> None:
    with pytest.raises(NotHttp):
        Reader().read(said)


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"Content-Length: %d\r\n\r\n" % (LARGEST + 1), id="a-length"),
        pytest.param(b"Content-Length: %s\r\n\r\n" % (b"9" * 5000), id="a-length-of-5000-digits"),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n", id="a-chunk"),
        pytest.param(b"X: y\r\n\r\n" + b"x" * (LARGEST + 1), id="no-length"),
    ],
)
def test_no_more_is_read_than_an_answer_can_be(said: bytes) -> None:
    with pytest.raises(TooLong):
        Reader().read(b"HTTP/1.1 200 OK\r\n" + said)


@contextlib.contextmanager
def answering(said: bytes, times: int = 9) -> Iterator[str]:
    """The address of who says this to whatever comes, once a connection, and hangs up when the other side has."""
    with socket.create_server(("127.0.0.1", 0)) as taken:

        def talk() -> None:
            with contextlib.suppress(OSError):
                for _ in range(times):
                    with taken.accept()[0] as line:
                        line.recv(1 << 16)
                        line.sendall(said)
                        line.shutdown(socket.SHUT_WR)
                        while line.recv(1 << 16):  # hanging up on what was not read would take back what was said
                            pass

        thread = threading.Thread(target=talk)
        thread.start()
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        taken.shutdown(socket.SHUT_RDWR)
        thread.join()


def told(url: str, **said: object) -> Reply | EndpointError:
    """The only reply."""
    return asked(
        open_endpoint(sections.Endpoint(**{"model": "embedded/teacher", "base_url": url, "retries": 0, **said}))
    )[0]


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        pytest.param(b"SSH-2.0-x\r\n", Unreachable, "what came is no HTTP/1.1: b'SSH-2.0-x", id="ssh"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", Unreachable, "closed the connection", id="half"
        ),
        pytest.param(
            b"HTTP/1.1 308 Moved\r\nLocation: https://m.test/v1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            Barred,
            "answered 308: it is at https://m.test/v1; set base_url to it",
            id="moved",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", Unreachable, "more than 32 MiB", id="long"
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n<html>", Malformed, "sent no chat completion: <html>", id="no-length"),
    ],
)
def test_what_a_server_says_has_a_type_and_words(said: bytes, kind: type[EndpointError], words: str) -> None:
    with answering(said) as url:
        failure = told(url)
    assert type(failure) is kind
    assert words in str(failure)


def test_a_server_that_keeps_its_connections_is_asked_on_as_many_as_there_are_places() -> None:
    with serving() as server:
        endpoint = open_endpoint(sections.Endpoint(model="embedded/teacher", base_url=server.url, concurrency=3))
        for _ in range(4):
            assert len(dict(endpoint.ask([REQUEST] * 3))) == 3
        assert len(server._open) <= 3
        endpoint.close()


@pytest.mark.parametrize("name", ["http://[::1", "http://h:port/v1", "http://h:99999/v1", f"http://{'a' * 70}.test/v1"])
def test_an_address_that_cannot_be_is_a_config_error(name: str) -> None:
    with pytest.raises(ConfigError, match="it must be like http://localhost:8000/v1"):
        open_endpoint(sections.Endpoint(model="m", base_url=name))


def test_a_host_of_other_letters_is_asked_for_by_its_name_in_ascii() -> None:
    assert connection.host_and_port(urllib.parse.urlsplit("http://Müller.test/v1")) == ("xn--mller-kva.test", 80)


def test_a_key_with_a_line_break_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "sk-secret\r\nX-Evil: 1")
    with pytest.raises(ConfigError, match="the environment variable A_KEY holds no key") as caught:
        open_endpoint(sections.Endpoint(model="m", base_url="http://127.0.0.1:9/v1", key_variable="A_KEY"))
    assert "secret" not in str(caught.value)


class Proxy:
    """A proxy that passes on what it gets, and keeps the heads that it was asked with."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self._taken = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://us%20er:pass@127.0.0.1:{self._taken.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._serve)]
        self._threads[0].start()

    def close(self) -> None:
        self._taken.shutdown(socket.SHUT_RDWR)
        self._taken.close()
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                line = self._taken.accept()[0]
                self._threads.append(threading.Thread(target=self._talk, args=(line,)))
                self._threads[-1].start()

    def _talk(self, line: socket.socket) -> None:
        with line, contextlib.suppress(OSError):
            first = line.recv(1 << 16)
            head = first.partition(b"\r\n\r\n")[0]
            self.heads.append(head)
            where = head.split()[1].removeprefix(b"http://").partition(b"/")[0].decode()
            host, _, port = where.rpartition(":")
            with socket.create_connection((host, int(port))) as beyond:
                whole = b"http://" + where.encode()
                if head.startswith(b"CONNECT"):
                    line.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                else:
                    beyond.sendall(first.replace(whole, b"", 1))
                back = threading.Thread(target=_pass_on, args=(beyond, line))
                back.start()
                _pass_on(line, beyond, without=whole)
                back.join()


def _pass_on(one: socket.socket, two: socket.socket, without: bytes = b"") -> None:
    with contextlib.suppress(OSError):
        while data := one.recv(1 << 16):
            two.sendall(data.replace(without, b"", 1))
    for end in (one, two):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    made = Proxy()
    for name in ("no_proxy", "NO_PROXY", "http_proxy", "https_proxy", "HTTPS_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", made.url)
    monkeypatch.setenv("https_proxy", made.url)
    yield made
    made.close()


AUTH = b"Proxy-Authorization: Basic " + base64.b64encode(b"us er:pass")


def test_a_proxy_of_the_environment_is_asked_for_the_whole_address(proxy: Proxy) -> None:
    with serving() as server:
        assert isinstance(told(server.url), Reply)
        assert proxy.heads[0].startswith(b"GET " + server.url.encode() + b"/models HTTP/1.1\r\n")
        assert AUTH in proxy.heads[0]


def test_no_proxy_is_asked_for_what_it_is_not_to_be_asked_for(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as server:
        assert isinstance(told(server.url), Reply)
    assert proxy.heads == []


def test_a_proxy_that_is_none_is_a_config_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "socks5://127.0.0.1:1080")
    with pytest.raises(ConfigError, match=r"the proxy 'socks5://127.0.0.1:1080' for https"):
        open_endpoint(sections.Endpoint(model="m", base_url="https://model.test/v1"))


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 and its key, in one file."""
    folder = tmp_path_factory.mktemp("tls")
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    )
    made = [*command.split(), "-keyout", str(folder / "key"), "-out", str(folder / "cert")]
    try:
        subprocess.run(made, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("making a certificate needs openssl")
    (folder / "both").write_bytes((folder / "key").read_bytes() + (folder / "cert").read_bytes())
    return folder


@contextlib.contextmanager
def behind_tls(certificate: Path) -> Iterator[str]:
    """The address of a server behind TLS."""
    with serving() as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate / "both")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        yield server.url.replace("http://", "https://")


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert"))
    connection._context.cache_clear()
    yield certificate
    connection._context.cache_clear()


def test_a_server_behind_tls_is_spoken_to(trusted: Path) -> None:
    with behind_tls(trusted) as url:
        assert isinstance(told(url), Reply)


def test_a_server_behind_tls_is_spoken_to_through_a_proxy_that_reads_nothing(trusted: Path, proxy: Proxy) -> None:
    with behind_tls(trusted) as url:
        assert isinstance(told(url), Reply)
        where = url.removeprefix("https://").removesuffix("/v1").encode()
        assert proxy.heads[0] == b"CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s" % (where, where, AUTH)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_certificate_that_nobody_vouches_for_ends_the_talk(certificate: Path) -> None:
    with behind_tls(certificate) as url:
        failure = told(url)
    assert type(failure) is Unreachable
    assert "CERTIFICATE_VERIFY_FAILED" in str(failure)


def test_a_proxy_that_refuses_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(b"HTTP/1.1 407 Who are you?\r\nContent-Length: 0\r\n\r\n") as url:
        monkeypatch.setenv("https_proxy", url.removesuffix("/v1"))
        monkeypatch.setenv("no_proxy", "")
        failure = told("https://model.test/v1")
    assert type(failure) is Unreachable
    assert "the proxy 127.0.0.1 answered 407" in str(failure)
