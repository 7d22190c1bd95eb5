"""Every way in which no link to a hub comes about is told apart, through the command, with an exit code."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from issuance.station import link
from issuance.station.agent import enrol
from issuance.station.errors import BadAddress, HubAway, HubUnsafe
from issuance.station.link import check_address
from tests.integration.station.conftest import Network
from tests.integration.station.test_tls import over_tls
from uec.cli import run
from uec.hub.tls import server_context
from uec.processes import free_port

CODE = "AAAAA-AAAAA-AAAAA-AAAAA"


@contextmanager
def answering(reply: bytes, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server that hears one request and says something else; its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            with near:
                try:
                    talk = context.wrap_socket(near, server_side=True) if context else near
                    with talk:
                        talk.recv(4096)
                        talk.sendall(reply)
                except OSError:
                    continue

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def cause_of(network: Network, url: str, pin: str = "") -> str:
    with pytest.raises(HubAway) as caught:
        enrol(replace(network.station_settings("one"), hub_url=url, pin=pin), CODE)
    return caught.value.cause


def test_tls_where_there_is_none_and_none_where_there_is(network: Network) -> None:
    assert cause_of(network, network.url.replace("ws://", "wss://")) == "plain"
    assert cause_of(network, network.url.replace("ws://", "wss://"), pin="00" * 32) == "plain"
    over_tls(network)
    assert cause_of(network, network.url.replace("wss://", "ws://")) == "wants-tls"


def test_nobody_another_server_and_no_such_name(network: Network) -> None:
    assert cause_of(network, f"ws://127.0.0.1:{free_port()}") == "refused"
    assert cause_of(network, "wss://no-such-hub.invalid:8081") == "name"
    with answering(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n") as port:
        assert cause_of(network, f"ws://127.0.0.1:{port}") == "no-hub"


@pytest.mark.parametrize(("began", "cause"), [(timedelta(0), "unknown-authority"), (timedelta(days=20), "early")])
def test_a_certificate_nobody_vouches_for_and_one_of_the_future(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, began: timedelta, cause: str
) -> None:
    assert_cause(network, tmp_path, monkeypatch, began, cause=cause, trusted=cause != "unknown-authority")


def test_an_expired_certificate(network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long_ago = timedelta(days=-365 * 21)
    assert_cause(network, tmp_path, monkeypatch, long_ago, cause="expired", trusted=True)
    pin = (tmp_path / "pin").read_text()
    with answering(b"no", served(network, tmp_path, long_ago)) as port:
        # With a pin the key alone counts: this gets as far as the protocol, and finds no hub there.
        assert cause_of(network, f"wss://127.0.0.1:{port}", pin=pin) in {"plain", "no-hub"}


def served(network: Network, folder: Path, shift: timedelta) -> ssl.SSLContext:
    """The hub's own TLS, with a certificate made so much later or earlier than now."""
    from datetime import UTC, datetime

    from uec.hub.tls import pin_of

    settings = replace(
        network.settings, hub_tls="always", hub_certificate=folder / "hub.pem", hub_key=folder / "hub.key"
    )
    context = server_context(settings, clock=lambda: datetime.now(UTC) + shift)
    assert context is not None
    (folder / "pin").write_text(pin_of((folder / "hub.pem").read_bytes()))
    return context


def assert_cause(
    network: Network, folder: Path, patch: pytest.MonkeyPatch, shift: timedelta, *, cause: str, trusted: bool
) -> None:
    context = served(network, folder, shift)
    machine = ssl.create_default_context(cafile=str(folder / "hub.pem") if trusted else None)
    patch.setattr(link.ssl, "create_default_context", lambda: machine)
    with answering(b"", context) as port:
        assert cause_of(network, f"wss://127.0.0.1:{port}") == cause


def test_a_certificate_for_another_name(network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network.settings = replace(network.settings, hub_listen="hub.example:0")
    context = served(network, tmp_path, timedelta(0))
    machine = ssl.create_default_context(cafile=str(tmp_path / "hub.pem"))
    monkeypatch.setattr(link.ssl, "create_default_context", lambda: machine)
    with answering(b"", context) as port:
        assert cause_of(network, f"wss://127.0.0.1:{port}") == "other-name"


def test_proxies(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with answering(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n") as port:
        monkeypatch.setenv("https_proxy", f"http://clerk:secret@127.0.0.1:{port}")
        with pytest.raises(HubAway) as caught:
            enrol(replace(network.station_settings("one"), hub_url="wss://hub.example:8081"), CODE)
        assert caught.value.cause == "proxy"
        assert f"127.0.0.1:{port}" in str(caught.value) and "secret" not in str(caught.value)
        assert check_address("ws://127.0.0.1:8081") is None, "a hub on this machine is behind no proxy"
    monkeypatch.setenv("https_proxy", "socks5h://127.0.0.1:9")
    assert cause_of(network, "wss://hub.example:8081") == "socks"
    monkeypatch.setenv("no_proxy", "hub.example")
    assert check_address("wss://hub.example:8081") is None


@pytest.mark.parametrize(
    "url", ["hub:8081", "http://hub:8081", "wss://", "wss://hub:99999", "wss://hub:port", "wss://hub#x"]
)
def test_what_is_no_address_is_refused_at_once(url: str) -> None:
    with pytest.raises(BadAddress, match="wss://HOST:PORT"):
        check_address(url)
    with pytest.raises(HubUnsafe):
        check_address("ws://hub.example:8081")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--hub", "hub:8081"], 2, "leads to no hub"),
        (["--hub", "ws://hub.example:8081"], 2, "is not protected"),
        (["--hub", "wss://127.0.0.1:1", "--pin", "abc"], 2, "64 hexadecimal digits"),
        (["--hub", "wss://127.0.0.1:1"], 1, "nothing listens there"),
    ],
)
def test_the_command_says_it_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str
) -> None:
    assert run(["station", "enrol", "--code", CODE, "--folder", str(tmp_path), *arguments]) == code
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and words in said[0], said
