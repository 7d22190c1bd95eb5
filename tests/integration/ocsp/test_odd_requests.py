"""Odd requests to the running responder (`uec ocsp run`), by OpenSSL's client and byte by byte over a socket.

Each is answered by what RFC 6960, 5019, 9654 or 9110 says, and the process lives on. One process serves all of them.
"""

import base64
import contextlib
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp as library

from issuance.pki import der
from issuance.pki.ocsp import AskedIssuer
from tests.integration.ocsp.conftest import Site, open_site
from tests.support.pki import openssl, pem
from uec.services import ocsp_signers
from uec.settings import load_settings
from uec.store.engine import make_engine, session_factory

TIMEOUT_S = 20.0
NEVER = "0x1234567890"


@pytest.fixture(scope="module")
def site(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A responder over an office with one card; its signer is there, nothing is signed ahead."""
    folder = tmp_path_factory.mktemp("responder")
    url = f"sqlite:///{shutil.copyfile(sqlite_template, folder / 'uec.db')}"
    engine = make_engine(url)
    with open_site(session_factory(engine), url, folder) as opened:
        bench = opened.office.desk.bench
        with opened.office.sessions() as session:
            ocsp_signers.renew_due(
                session, bench.vault, settings=load_settings(opened.settings_file), now=datetime.now(UTC),
                random=bench.random,
            )  # fmt: skip
        opened.start("ocsp")
        yield opened
        opened.processes.check()
    engine.dispose()


@dataclass
class Answer:
    """What came back over a socket: the first line, the headers by name, the body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def said(self) -> str:
        """The certificate's state, or OCSP's error."""
        answer = library.load_der_ocsp_response(self.body)
        if answer.response_status is not library.OCSPResponseStatus.SUCCESSFUL:
            return answer.response_status.name
        return " ".join(single.certificate_status.name for single in answer.responses)


class Line:
    """A connection to the responder, byte by byte."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection, self._read = connection, b""

    def send(self, data: bytes) -> None:
        self._connection.sendall(data)

    def receive(self, *, body: bool = True) -> Answer:
        while b"\r\n\r\n" not in self._read:
            self._fill()
        head, _, self._read = self._read.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        size = int(headers.get("content-length", "0")) if body else 0
        while len(self._read) < size:
            self._fill()
        content, self._read = self._read[:size], self._read[size:]
        return Answer(int(first.split()[1]), headers, content)

    def at_end(self) -> bool:
        """Whether the responder has closed the connection."""
        return not self._read and not self._connection.recv(1)

    def drain(self) -> None:
        """Say no more, and hear whatever comes until the connection ends."""
        with contextlib.suppress(OSError):  # the responder may have closed it already
            self._connection.shutdown(socket.SHUT_WR)
            while self._connection.recv(65536):
                pass

    def _fill(self) -> None:
        piece = self._connection.recv(65536)
        assert piece, "the responder closed the connection"
        self._read += piece


@contextlib.contextmanager
def line_to(site: Site) -> Iterator[Line]:
    with socket.create_connection(("127.0.0.1", site.port), timeout=TIMEOUT_S) as connection:
        yield Line(connection)


def over_socket(site: Site, data: bytes, *, body: bool = True) -> Answer:
    with line_to(site) as line:
        line.send(data)
        return line.receive(body=body)


def post(content: bytes, *headers: str, version: str = "1.1", length: int | None = None) -> bytes:
    size = len(content) if length is None else length
    lines = [f"POST /pki/ocsp HTTP/{version}", "Host: a", f"Content-Length: {size}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def get(path: str, *, version: str = "1.1", method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/{version}\r\nHost: a\r\n\r\n".encode()


@dataclass
class Questions:
    """Requests about the card of a site."""

    issuer: AskedIssuer
    serial: int

    @classmethod
    def of(cls, site: Site) -> "Questions":
        return cls(AskedIssuer(site.authority.issuing), site.serial)

    def about(self, *serials: int) -> bytes:
        asked = [der.sequence(self.issuer.cert_id(serial)) for serial in serials or (self.serial,)]
        return der.sequence(der.sequence(der.sequence(*asked)))

    @property
    def path(self) -> str:
        return quote(base64.b64encode(self.about()).decode(), safe="")


@pytest.mark.slow
def test_openssl_asks_in_every_way_it_knows(site: Site, tmp_path: Path) -> None:
    key, signer = own_certificate(tmp_path)
    certificate = str(pem(tmp_path / "asked", site.certificate()))
    for arguments, about, expected in (
        ((), (), [": good"]),
        (("-no_nonce",), ("-cert", certificate, "-serial", NEVER), [": good", f"{NEVER}: unknown"]),
        ((), ("-serial", NEVER, "-cert", certificate, "-serial", "1"), [": good", "1: unknown"]),
        ((), tuple(word for number in range(1, 17) for word in ("-serial", str(number))), ["16: unknown"]),
        ((), ("-sha256", "-cert", certificate, "-sha384", "-serial", "1"), [": good", "1: unknown"]),
        ((), ("-sha512", "-cert", certificate), [": good"]),
        (("-signer", signer, "-signkey", key), (), [": good"]),
        (("-header", "Content-Type=text/plain"), (), [": good"]),
    ):
        asked = site.openssl_asks(*arguments, about=about or None)
        assert "Response verify OK" in asked.stderr, (arguments, about, asked.stderr)
        assert [words for words in expected if words not in asked.stdout] == [], (arguments, about)
    other = openssl("ocsp", "-issuer", signer, "-serial", "1", "-url", site.url, "-noverify")
    assert "unauthorized" in other.stdout + other.stderr
    root = pem(tmp_path / "root", site.authority.root)
    about_issuing = openssl("ocsp", "-issuer", root, "-serial", "1", "-url", site.url, "-noverify")
    assert "unauthorized" in about_issuing.stdout + about_issuing.stderr, "the root's list speaks about the issuing one"
    crowd = site.openssl_asks(about=tuple(word for number in range(1, 18) for word in ("-serial", str(number))))
    assert "malformed" in crowd.stdout + crowd.stderr


def own_certificate(folder: Path) -> tuple[str, str]:
    """A terminal's own key and certificate, which nobody here knows, as files."""
    made = openssl(
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=terminal",
        "-keyout", folder / "terminal.key", "-out", folder / "terminal.pem",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    return str(folder / "terminal.key"), str(folder / "terminal.pem")


@pytest.mark.slow
def test_http_in_every_odd_way(site: Site) -> None:
    asked = Questions.of(site)
    request, path = asked.about(), f"/pki/ocsp/{asked.path}"
    for name, data, status, said in (
        ("post", post(request), 200, "GOOD"),
        ("post to the address with a slash", post(request).replace(b"/pki/ocsp ", b"/pki/ocsp/ "), 200, "GOOD"),
        ("another content type", post(request, "Content-Type: text/html"), 200, "GOOD"),
        ("HTTP/1.0 post", post(request, version="1.0"), 200, "GOOD"),
        ("HTTP/1.0 get", get(path, version="1.0"), 200, "GOOD"),
        ("get", get(path), 200, "GOOD"),
        ("get of an address that ends with a slash", get(f"/pki/ocsp//{asked.path}"), 200, "GOOD"),
        ("get behind a proxy that takes the path away", get(f"/{asked.path}"), 200, "GOOD"),
        ("get in unescaped base64", get(f"/pki/ocsp/{base64.b64encode(request).decode()}"), 200, "GOOD"),
        ("get with a query", get(f"{path}?a=1"), 200, "GOOD"),
        ("get of nothing", get("/pki/ocsp/"), 200, "MALFORMED_REQUEST"),
        ("get of the address", get("/pki/ocsp"), 200, "MALFORMED_REQUEST"),
        ("get of something else", get("/robots.txt"), 200, "MALFORMED_REQUEST"),
        ("two questions", post(asked.about(asked.serial, 7)), 200, "GOOD UNKNOWN"),
        ("sixteen questions", post(asked.about(*range(1, 17))), 200, " ".join(["UNKNOWN"] * 16)),
        ("seventeen", post(asked.about(*range(1, 18))), 200, "MALFORMED_REQUEST"),
        ("a serial of 300 bytes", post(asked.about(1 << 2399)), 200, "UNKNOWN"),
        ("cut short", post(request[:-1]), 200, "MALFORMED_REQUEST"),
        ("no body", post(b""), 200, "MALFORMED_REQUEST"),
        ("huge", post(bytes(200_000)), 200, "MALFORMED_REQUEST"),
        ("in chunks", chunked(request, 7), 200, "GOOD"),
        ("huge in chunks", chunked(bytes(20_000), 1000), 200, "MALFORMED_REQUEST"),
    ):
        answer = over_socket(site, data)
        assert (answer.status, answer.said) == (status, said), name
        assert answer.headers["content-type"] == "application/ocsp-response", name
        cacheable = said == "GOOD"
        assert ("no-store" in answer.headers["cache-control"]) is not cacheable, name


def chunked(content: bytes, size: int) -> bytes:
    pieces = [content[at : at + size] for at in range(0, len(content), size)]
    body = b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces) + b"0\r\n\r\n"
    return b"POST /pki/ocsp HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body


@pytest.mark.slow
def test_connections_in_every_odd_way(site: Site) -> None:
    asked = Questions.of(site)
    request, path = asked.about(), f"/pki/ocsp/{asked.path}"

    head = over_socket(site, get(path, method="HEAD"), body=False)
    whole = over_socket(site, get(path))
    assert head.status == 200 and int(head.headers["content-length"]) == len(whole.body)
    assert head.headers["etag"] == whole.headers["etag"]

    with line_to(site) as line:  # RFC 9110, 10.1.1
        line.send(post(b"", "Expect: 100-continue", length=len(request)))
        assert line.receive(body=False).status == 100
        line.send(request)
        assert line.receive().said == "GOOD"

    with line_to(site) as line:  # many at once on one connection: answered in their order
        others = [asked.about(serial) for serial in range(1, 20)]
        line.send(b"".join([post(other) for other in others] + [get(path), post(request)]))
        assert [line.receive().said for _ in others] == ["UNKNOWN"] * len(others)
        assert [line.receive().said for _ in range(2)] == ["GOOD", "GOOD"]

    with line_to(site) as line:  # one after the other, then no more
        for _ in range(3):
            line.send(post(request))
            assert line.receive().said == "GOOD"
        line.send(post(request, "Connection: close"))
        assert line.receive().said == "GOOD" and line.at_end()

    with line_to(site) as line:  # a byte at a time
        for byte in post(request):
            line.send(bytes((byte,)))
        assert line.receive().said == "GOOD"

    for broken in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\r\n\r\n\x00\xff", b"GET\r\n\r\n", bytes(5000)):
        with line_to(site) as line:
            line.send(broken)
            line.drain()
    with line_to(site) as line:
        line.send(post(request, length=100_000))  # and gone in the middle
    for method in ("PUT", "DELETE", "OPTIONS", "TRACE"):
        refused = over_socket(site, get(path, method=method))
        assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD, POST")
    assert over_socket(site, post(request)).said == "GOOD", "and it lives"


def nonces(body: bytes) -> list[bytes]:
    return [
        one.value.nonce
        for one in library.load_der_ocsp_response(body).extensions
        if isinstance(one.value, x509.OCSPNonce)
    ]


@pytest.mark.slow
def test_a_nonce_is_given_back_and_never_kept(site: Site) -> None:
    issuing = x509.load_der_x509_certificate(site.authority.issuing)
    made = library.OCSPRequestBuilder().add_certificate(
        x509.load_der_x509_certificate(site.certificate()), issuing, hashes.SHA1()
    )
    for nonce in (b"1", b"n" * 16, b"n" * 32, b"n" * 128, b"n" * 32):
        request = made.add_extension(x509.OCSPNonce(nonce), critical=False).build().public_bytes(Encoding.DER)
        answer = over_socket(site, post(request))
        assert nonces(answer.body) == [nonce] and answer.headers["cache-control"] == "no-store"
    assert nonces(over_socket(site, post(Questions.of(site).about())).body) == []
