"""Frames and the access table."""

import socket
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuance.errors import VaultProtocolError, VaultRefused
from issuance.keys import frames
from issuance.keys.access import GRANTS, OPEN_TO_ALL, ClientKind, Request, require, socket_for
from issuance.keys.port import KeyPurpose

HEADERS = st.dictionaries(st.text(min_size=1).filter(lambda key: key != "sizes"), st.integers() | st.text(), max_size=4)


@given(header=HEADERS, blobs=st.lists(st.binary(max_size=40), max_size=5))
def test_a_frame_reads_back(header: dict[str, object], blobs: list[bytes]) -> None:
    encoded = frames.encode(header, blobs)
    assert int.from_bytes(encoded[:4], "big") == len(encoded) - 4
    assert frames.decode(encoded[4:]) == (header, blobs)


@given(body=st.binary(max_size=80))
def test_noise_is_refused_and_nothing_worse(body: bytes) -> None:
    with pytest.raises(VaultProtocolError):
        frames.decode(body)


@given(cut=st.integers(0, 60), blobs=st.lists(st.binary(min_size=1, max_size=9), min_size=1, max_size=4))
def test_a_cut_frame_is_refused(cut: int, blobs: list[bytes]) -> None:
    body = frames.encode({"request": "x"}, blobs)[4:]
    with pytest.raises(VaultProtocolError):
        frames.decode(body[: min(cut, len(body) - 1)])


@pytest.mark.parametrize("sizes", ["[-1]", '["1"]', "{}", "[1.5]", "[4]", "3"])
def test_impossible_sizes_are_refused(sizes: str) -> None:
    head = b'{"sizes": ' + sizes.encode() + b"}"
    with pytest.raises(VaultProtocolError):
        frames.decode(len(head).to_bytes(4, "big") + head + b"abc")


@pytest.mark.parametrize(
    "sent", [b"\x00\x00", b"\xff\xff\xff\xff", b"\x00\x00\x00\x03abc", b"\x00\x00\x00\x09abc"],
    ids=["half a length", "huge", "too small", "cut body"],
)  # fmt: skip
def test_a_broken_stream_is_refused(sent: bytes) -> None:
    left, right = socket.socketpair()
    with left, right:
        left.sendall(sent)
        left.shutdown(socket.SHUT_WR)
        with pytest.raises(VaultProtocolError):
            frames.receive(right)


def test_a_close_between_frames_is_the_end() -> None:
    left, right = socket.socketpair()
    with right:
        with left:
            frames.send(left, {"a": 1}, [b"x"])
        assert frames.receive(right) == ({"a": 1}, [b"x"])
        assert frames.receive(right) is None


def test_frames_that_lie_behind_each_other_are_read_one_by_one() -> None:
    left, right = socket.socketpair()
    with left, right:
        for number in range(3):
            frames.send(left, {"number": number}, [bytes([number]) * number])
        assert [frames.receive(right) for _ in range(3)] == [
            ({"number": number}, [bytes([number]) * number]) for number in range(3)
        ]


def test_a_too_long_frame_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MAX_FRAME_BYTES", 100)
    with pytest.raises(VaultProtocolError):
        frames.encode({}, [bytes(101)])


@pytest.mark.parametrize("client", list(ClientKind))
def test_access_is_the_table_and_nothing_else(client: ClientKind) -> None:
    refused = 0
    for request, purpose in product(Request, KeyPurpose):
        rows = [grant for grant in GRANTS[client] if request in grant.requests and purpose in grant.purposes]
        if rows or request in OPEN_TO_ALL:
            require(client, request, frozenset({purpose}))
            continue
        with pytest.raises(VaultRefused) as caught:
            require(client, request, frozenset({purpose}))
        assert (caught.value.client, caught.value.work) == (client, request)
        refused += 1
    assert refused > 0


def test_one_forbidden_key_refuses_the_whole_batch() -> None:
    with pytest.raises(VaultRefused) as caught:
        require(ClientKind.HUB, Request.SIGN, frozenset({KeyPurpose.CA_ISSUING, KeyPurpose.CA_ROOT}))
    assert caught.value.purpose == "ca-root"


def test_nothing_asked_with_no_key_is_refused_where_nothing_is_granted() -> None:
    with pytest.raises(VaultRefused):
        require(ClientKind.OCSP, Request.CARD_SESSIONS, frozenset())


def test_only_the_ca_touches_the_root_and_only_the_hub_touches_cards() -> None:
    def clients(request: Request, purpose: KeyPurpose) -> set[ClientKind]:
        return {
            client
            for client, grants in GRANTS.items()
            if any(request in grant.requests and purpose in grant.purposes for grant in grants)
        }

    assert clients(Request.SIGN, KeyPurpose.CA_ROOT) == {ClientKind.CA}
    assert clients(Request.CARD_SESSIONS, KeyPurpose.CARD_MASTER) == {ClientKind.HUB}
    assert clients(Request.ADMIN_KEY, KeyPurpose.CARD_MASTER) == {ClientKind.HUB}
    assert clients(Request.TRANSPORT_PINS, KeyPurpose.PIN_MASTER) == {ClientKind.HUB}
    assert clients(Request.GENERATE, KeyPurpose.CARD_MASTER) == {ClientKind.CUSTODIAN}


def test_each_kind_of_client_has_its_own_socket() -> None:
    paths = {socket_for(Path("/run/vault.sock"), client) for client in ClientKind}
    assert len(paths) == len(ClientKind)
    assert socket_for(Path("/run/vault.sock"), ClientKind.HUB) == Path("/run/vault-hub.sock")
