"""A vault that is another process: the same port, asked over its Unix socket.

Hides the connection: it is opened at the first request, shared by threads one request at a time, and opened again after
the vault process was restarted. A request is sent a second time after such a break, unless it would make a second key.
"""

import contextlib
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from card_io.keyset import SessionKeys
from card_io.secret import Secret
from issuance.errors import VaultProtocolError, VaultUnavailable
from issuance.keys import frames, wire
from issuance.keys.access import ClientKind, Request, socket_for
from issuance.keys.port import (
    BureauKeyRequest,
    BureauKeys,
    CardSessionRequest,
    ForetellRequest,
    ForetoldSession,
    KeyAlgorithm,
    KeyInfo,
    KeyPurpose,
    KeyRef,
    PutKeyData,
    PutKeyRequest,
    VaultIdentity,
)

_BATCH_BYTES = 4 << 20
_BATCH_COUNT = 1000


class VaultClient:
    """A `Vault` behind the socket of one kind of client."""

    def __init__(self, socket_path: Path, client: ClientKind, *, timeout_s: float = 60.0) -> None:
        """`socket_path` is the setting `vault_socket`; nothing is opened yet."""
        self._path = socket_for(Path(socket_path), client)
        self._timeout_s = timeout_s
        self._connection: socket.socket | None = None
        self._turn = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        with self._turn:
            self._drop()

    def identity(self) -> VaultIdentity:
        """Return which vault this is and its generation."""
        return wire.read_identity(self._ask({"request": Request.IDENTITY.value})[0])

    def step(self, generation: int) -> VaultIdentity:
        """Count the generation on by one if it is this one, for the office to remember; returns what it is then."""
        return wire.read_identity(self._ask({"request": Request.STEP.value, "generation": generation})[0])

    def generate(self, purpose: KeyPurpose, algorithm: KeyAlgorithm, *, now: datetime) -> KeyRef:
        """Make a new key version, active at once; the version that was active is retired."""
        asked = {"purpose": purpose.value, "algorithm": algorithm.value, "now": now.isoformat()}
        return wire.ref_in(self._ask({"request": Request.GENERATE.value, **asked})[0]["ref"])

    def describe(self, purpose: KeyPurpose | None = None) -> list[KeyInfo]:
        """Tell about all keys, or those of one purpose, by purpose and version."""
        header, _ = self._ask({"request": Request.DESCRIBE.value, "purpose": purpose.value if purpose else None})
        return [wire.info_in(item) for item in header["keys"]]

    def active(self, purpose: KeyPurpose) -> KeyRef:
        """Return the active version; raises `UnknownKey` when there is none."""
        return wire.ref_in(self._ask({"request": Request.ACTIVE.value, "purpose": purpose.value})[0]["ref"])

    def public_key(self, ref: KeyRef) -> bytes:
        """Return the SubjectPublicKeyInfo in DER."""
        return self._ask({"request": Request.PUBLIC_KEY.value, "ref": wire.ref_out(ref)})[1][0]

    def sign(self, ref: KeyRef, messages: Sequence[bytes]) -> list[bytes]:
        """Sign each message: ECDSA in DER, RSA PKCS #1 v1.5, or Ed25519."""
        return self._sign(Request.SIGN, ref, messages)

    def sign_digests(self, ref: KeyRef, digests: Sequence[bytes]) -> list[bytes]:
        """Sign digests that the caller made with the key's hash. Not for Ed25519."""
        return self._sign(Request.SIGN_DIGESTS, ref, digests)

    def _sign(self, request: Request, ref: KeyRef, inputs: Sequence[bytes]) -> list[bytes]:
        header = {"request": request.value, "ref": wire.ref_out(ref)}
        return [signature for batch in _batches(inputs) for signature in self._ask(header, batch)[1]]

    def card_sessions(self, requests: Sequence[CardSessionRequest]) -> list[SessionKeys]:
        """Derive session keys after checking each card's cryptogram; a mismatch raises `WrongCardKeys`."""
        return wire.read_card_sessions(self._ask(*wire.ask_card_sessions(requests))[1])

    def card_session(self, request: CardSessionRequest) -> SessionKeys:
        """Derive session keys for one card; see `card_sessions`."""
        return self.card_sessions([request])[0]

    def foretell_session(self, request: ForetellRequest) -> ForetoldSession:
        """Compute a card's next session before the card is there."""
        return wire.read_foretell_session(self._ask(*wire.ask_foretell_session(request))[1])

    def put_key_data(self, requests: Sequence[PutKeyRequest]) -> list[PutKeyData]:
        """Wrap each card's new static keys under its current DEK."""
        return wire.read_put_key_data(self._ask(*wire.ask_put_key_data(requests))[1])

    def transport_pins(self, ref: KeyRef, card_number: str, digits: Mapping[str, int]) -> dict[str, Secret]:
        """Derive a card's transport PINs in ASCII; `digits` names each (`pin1`, `krp`) and its length."""
        asked = {"ref": wire.ref_out(ref), "card_number": card_number, "digits": dict(digits)}
        header, blobs = self._ask({"request": Request.TRANSPORT_PINS.value, **asked})
        return {name: Secret(pin) for name, pin in zip(header["names"], blobs, strict=True)}

    def admin_key(self, ref: KeyRef, chip_id: str, size_bytes: int) -> Secret:
        """Derive the key that manages a chip's applet outside of a secure channel (PIV 9B) from the card master."""
        asked = {"ref": wire.ref_out(ref), "chip_id": chip_id, "size_bytes": size_bytes}
        return Secret(self._ask({"request": Request.ADMIN_KEY.value, **asked})[1][0])

    def bureau_keys(self, transport: KeyRef, requests: Sequence[BureauKeyRequest]) -> list[BureauKeys]:
        """Wrap chips' key sets under a bureau's transport key; a thousand a request."""
        wrapped: list[BureauKeys] = []
        for at in range(0, len(requests), _BATCH_COUNT):
            asked = wire.ask_bureau_keys(transport, requests[at : at + _BATCH_COUNT])
            wrapped += wire.read_bureau_keys(self._ask(*asked)[1])
        return wrapped

    def bureau_pins(
        self, transport: KeyRef, ref: KeyRef, card_numbers: Sequence[str], digits: Mapping[str, int]
    ) -> list[bytes]:
        """Wrap cards' transport PINs under a bureau's transport key; a thousand a request."""
        asked = {
            "request": Request.BUREAU_PINS.value,
            "transport": wire.ref_out(transport),
            "ref": wire.ref_out(ref),
            "digits": dict(digits),
        }
        wrapped: list[bytes] = []
        for at in range(0, len(card_numbers), _BATCH_COUNT):
            wrapped += self._ask(asked | {"card_numbers": list(card_numbers[at : at + _BATCH_COUNT])})[1]
        return wrapped

    def random(self, size_bytes: int) -> bytes:
        """Return random bytes from the vault's generator."""
        return self._ask({"request": Request.RANDOM.value, "size_bytes": size_bytes})[1][0]

    def _ask(self, header: Mapping[str, Any], blobs: Sequence[bytes] = ()) -> frames.Frame:
        request = frames.encode(header, blobs)
        with self._turn:
            reused = self._connection is not None
            try:
                answer = self._exchange(request)
            except VaultUnavailable as error:
                # A connection from before the vault's restart is dead. Asking again is safe for all but a new key.
                slow = isinstance(error.__cause__, TimeoutError)
                if not reused or slow or header["request"] == Request.GENERATE:
                    raise
                answer = self._exchange(request)
        wire.raise_error(answer[0])
        return answer

    def _exchange(self, request: bytes) -> frames.Frame:
        try:
            connection = self._connection or self._connect()
            # A vault that turned the connection away has said why before it closed it.
            with contextlib.suppress(BrokenPipeError):
                connection.sendall(request)
            answer = frames.receive(connection)
        except (OSError, VaultProtocolError) as error:
            self._drop()
            raise self._unavailable(error) from error
        if answer is None:
            self._drop()
            raise self._unavailable("it closed the connection")
        return answer

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(self._timeout_s)
            connection.connect(str(self._path))
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _drop(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.close()
            self._connection = None

    def _unavailable(self, reason: object) -> VaultUnavailable:
        return VaultUnavailable(
            f"the vault does not answer at {self._path} ({reason}): start it with `uec vault`, or wait until two "
            "custodians have unlocked it",
            path=str(self._path),
        )


def _batches(inputs: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Cut a batch into requests of at most a thousand inputs and four megabytes (a single longer one goes alone)."""
    if len(inputs) <= _BATCH_COUNT and sum(map(len, inputs)) <= _BATCH_BYTES:
        if inputs:
            yield list(inputs)
        return
    batch: list[bytes] = []
    size = 0
    for item in inputs:
        if batch and (len(batch) == _BATCH_COUNT or size + len(item) > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += len(item)
    if batch:
        yield batch
