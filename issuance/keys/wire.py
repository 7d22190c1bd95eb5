"""The port's requests and answers as frames: one pair of functions a request, used by both ends of the socket.

Hides which fields go into the header and which travel as byte strings. `ask_*` builds a request frame (client),
`answer` runs a request frame on a vault (server), `read_*` reads the answer (client).
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from card_io.keyset import SessionKeys
from card_io.secret import Secret
from issuance.errors import ERROR_CLASSES, IssuanceError, VaultError, VaultProtocolError
from issuance.keys.access import ClientKind, Request, require
from issuance.keys.frames import Frame
from issuance.keys.port import (
    AesForm,
    BureauKeyRequest,
    BureauKeys,
    CardSessionRequest,
    ForetellRequest,
    ForetoldSession,
    KeyAlgorithm,
    KeyInfo,
    KeyPurpose,
    KeyRef,
    KeyState,
    PutKeyData,
    PutKeyRequest,
    Vault,
    VaultIdentity,
)

Header = dict[str, Any]
Blobs = list[bytes]


def ref_out(ref: KeyRef) -> list[str | int]:
    """A key reference for a header."""
    return [ref.purpose.value, ref.version]


def ref_in(value: Any) -> KeyRef:
    """Read a key reference of a header."""
    purpose, version = value
    return KeyRef(KeyPurpose(purpose), int(version))


def info_out(info: KeyInfo) -> Header:
    """What is told about a key, for a header."""
    return {
        "ref": ref_out(info.ref),
        "algorithm": info.algorithm.value,
        "state": info.state.value,
        "created_at": info.created_at.isoformat(),
        "check_value": info.check_value,
        "uses": info.uses,
        "expires_at": info.expires_at.isoformat() if info.expires_at else None,
    }


def info_in(value: Header) -> KeyInfo:
    """Read what is told about a key."""
    return KeyInfo(
        ref=ref_in(value["ref"]),
        algorithm=KeyAlgorithm(value["algorithm"]),
        state=KeyState(value["state"]),
        created_at=datetime.fromisoformat(value["created_at"]),
        check_value=value["check_value"],
        uses=value["uses"],
        expires_at=datetime.fromisoformat(value["expires_at"]) if value["expires_at"] else None,
    )


def ask_card_sessions(requests: Sequence[CardSessionRequest]) -> Frame:
    """Three byte strings a card: KDD, host challenge, the card's answer."""
    cards = [[*ref_out(r.master), r.i, r.s_mode, r.derivation, r.scp] for r in requests]
    blobs = [part for r in requests for part in (r.kdd, r.host_challenge, r.initialize_update_response)]
    return {"request": Request.CARD_SESSIONS.value, "cards": cards}, blobs


def read_card_sessions(blobs: Blobs) -> list[SessionKeys]:
    """Three keys a card: ENC, MAC, RMAC."""
    return [SessionKeys(*(Secret(key) for key in blobs[at : at + 3])) for at in range(0, len(blobs), 3)]


def ask_foretell_session(request: ForetellRequest) -> Frame:
    """Three byte strings: KDD, host challenge, AID."""
    asked = [*ref_out(request.master), request.kvn, request.i, request.sequence_counter, request.derivation]
    blobs = [request.kdd, request.host_challenge, request.aid]
    return {"request": Request.FORETELL_SESSION.value, "card": asked}, blobs


def read_foretell_session(blobs: Blobs) -> ForetoldSession:
    """Four byte strings: ENC, MAC, RMAC, the answer to INITIALIZE UPDATE."""
    enc, mac, rmac, response = blobs
    return ForetoldSession(SessionKeys(Secret(enc), Secret(mac), Secret(rmac)), response)


def ask_put_key_data(requests: Sequence[PutKeyRequest]) -> Frame:
    """One byte string a card: KDD."""
    cards = [
        [ref_out(r.current), ref_out(r.new), r.new_kvn, r.derivation, r.aes_form.value, r.sequence_counter]
        for r in requests
    ]
    return {"request": Request.PUT_KEY_DATA.value, "cards": cards}, [r.kdd for r in requests]


def read_put_key_data(blobs: Blobs) -> list[PutKeyData]:
    """Four byte strings a card: the data field and three check values."""
    return [PutKeyData(blobs[at], (blobs[at + 1], blobs[at + 2], blobs[at + 3])) for at in range(0, len(blobs), 4)]


def ask_bureau_keys(transport: KeyRef, requests: Sequence[BureauKeyRequest]) -> Frame:
    """One byte string a chip: KDD."""
    cards = [[ref_out(r.current), ref_out(r.new), r.derivation] for r in requests]
    header = {"request": Request.BUREAU_KEYS.value, "transport": ref_out(transport), "cards": cards}
    return header, [r.kdd for r in requests]


def read_bureau_keys(blobs: Blobs) -> list[BureauKeys]:
    """Four byte strings a chip: each key set, followed by its three check values of 3 bytes."""
    return [
        BureauKeys(blobs[at], _check_values(blobs[at + 1]), blobs[at + 2], _check_values(blobs[at + 3]))
        for at in range(0, len(blobs), 4)
    ]


def _check_values(joined: bytes) -> tuple[bytes, bytes, bytes]:
    return joined[:3], joined[3:6], joined[6:9]


def error_out(error: IssuanceError) -> Header:
    """An error as a header."""
    return {"error": error.code, "message": str(error), "facts": error.facts}


def raise_error(header: Header) -> None:
    """Raise the error a header carries, if it carries one."""
    if "error" in header:
        kind = ERROR_CLASSES.get(header["error"], VaultError)
        raise kind(header["message"], **header["facts"])


def answer(vault: Vault, client: ClientKind, frame: Frame) -> Frame:
    """Run one request of a kind of client on the vault; every refusal becomes an error frame."""
    header, blobs = frame
    try:
        request = Request(header["request"])
        return _ANSWERS[request](vault, client, header, blobs)
    except IssuanceError as error:
        return error_out(error), []
    except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
        # Only the kind of mistake: its text could quote what was sent.
        return error_out(VaultProtocolError(f"the request is malformed ({type(error).__name__})")), []


def _identity(vault: Vault, _client: ClientKind, _header: Header, _blobs: Blobs) -> Frame:
    identity = vault.identity()
    return {"vault_id": identity.vault_id, "generation": identity.generation}, []


def _step(vault: Vault, client: ClientKind, header: Header, _blobs: Blobs) -> Frame:
    require(client, Request.STEP, frozenset())
    identity = vault.step(int(header["generation"]))
    return {"vault_id": identity.vault_id, "generation": identity.generation}, []


def read_identity(header: Header) -> VaultIdentity:
    """Read which vault answered."""
    return VaultIdentity(header["vault_id"], header["generation"])


def _generate(vault: Vault, client: ClientKind, header: Header, _blobs: Blobs) -> Frame:
    purpose, algorithm = KeyPurpose(header["purpose"]), KeyAlgorithm(header["algorithm"])
    require(client, Request.GENERATE, frozenset({purpose}))
    return {"ref": ref_out(vault.generate(purpose, algorithm, now=datetime.fromisoformat(header["now"])))}, []


def _describe(vault: Vault, _client: ClientKind, header: Header, _blobs: Blobs) -> Frame:
    purpose = KeyPurpose(header["purpose"]) if header["purpose"] else None
    return {"keys": [info_out(info) for info in vault.describe(purpose)]}, []


def _active(vault: Vault, _client: ClientKind, header: Header, _blobs: Blobs) -> Frame:
    return {"ref": ref_out(vault.active(KeyPurpose(header["purpose"])))}, []


def _public_key(vault: Vault, _client: ClientKind, header: Header, _blobs: Blobs) -> Frame:
    return {}, [vault.public_key(ref_in(header["ref"]))]


def _sign(vault: Vault, client: ClientKind, header: Header, blobs: Blobs) -> Frame:
    ref = ref_in(header["ref"])
    request = Request(header["request"])
    require(client, request, frozenset({ref.purpose}))
    return {}, vault.sign(ref, blobs) if request is Request.SIGN else vault.sign_digests(ref, blobs)


def _card_sessions(vault: Vault, client: ClientKind, header: Header, blobs: Blobs) -> Frame:
    requests = []
    for card, at in zip(header["cards"], range(0, len(blobs), 3), strict=True):
        purpose, version, i, s_mode, derivation, scp = card
        kdd, challenge, response = blobs[at : at + 3]
        master = ref_in((purpose, version))
        requests.append(CardSessionRequest(master, kdd, challenge, response, i, s_mode, derivation, scp))
    require(client, Request.CARD_SESSIONS, frozenset(r.master.purpose for r in requests))
    return {}, [key.reveal() for s in vault.card_sessions(requests) for key in (s.enc, s.mac, s.rmac)]


def _foretell_session(vault: Vault, client: ClientKind, header: Header, blobs: Blobs) -> Frame:
    purpose, version, kvn, i, counter, derivation = header["card"]
    kdd, challenge, aid = blobs
    request = ForetellRequest(ref_in((purpose, version)), kdd, kvn, challenge, i, counter, aid, derivation)
    require(client, Request.FORETELL_SESSION, frozenset({request.master.purpose}))
    told = vault.foretell_session(request)
    keys = [key.reveal() for key in (told.keys.enc, told.keys.mac, told.keys.rmac)]
    return {}, [*keys, told.initialize_update_response]


def _put_key_data(vault: Vault, client: ClientKind, header: Header, blobs: Blobs) -> Frame:
    requests = [
        PutKeyRequest(ref_in(current), ref_in(new), kdd, new_kvn, derivation, AesForm(form), counter)
        for (current, new, new_kvn, derivation, form, counter), kdd in zip(header["cards"], blobs, strict=True)
    ]
    purposes = frozenset(ref.purpose for r in requests for ref in (r.current, r.new))
    require(client, Request.PUT_KEY_DATA, purposes)
    return {}, [part for data in vault.put_key_data(requests) for part in (data.key_data, *data.check_values)]


def _transport_pins(vault: Vault, client: ClientKind, header: Header, _blobs: Blobs) -> Frame:
    ref = ref_in(header["ref"])
    require(client, Request.TRANSPORT_PINS, frozenset({ref.purpose}))
    pins = vault.transport_pins(ref, header["card_number"], header["digits"])
    return {"names": list(pins)}, [pin.reveal() for pin in pins.values()]


def _admin_key(vault: Vault, client: ClientKind, header: Header, _blobs: Blobs) -> Frame:
    ref = ref_in(header["ref"])
    require(client, Request.ADMIN_KEY, frozenset({ref.purpose}))
    return {}, [vault.admin_key(ref, header["chip_id"], header["size_bytes"]).reveal()]


def _bureau_keys(vault: Vault, client: ClientKind, header: Header, blobs: Blobs) -> Frame:
    transport = ref_in(header["transport"])
    requests = [
        BureauKeyRequest(ref_in(current), ref_in(new), kdd, derivation)
        for (current, new, derivation), kdd in zip(header["cards"], blobs, strict=True)
    ]
    purposes = frozenset({transport.purpose, *(ref.purpose for r in requests for ref in (r.current, r.new))})
    require(client, Request.BUREAU_KEYS, purposes)
    parts: Blobs = []
    for keys in vault.bureau_keys(transport, requests):
        parts += [keys.current, b"".join(keys.current_check_values), keys.new, b"".join(keys.new_check_values)]
    return {}, parts


def _bureau_pins(vault: Vault, client: ClientKind, header: Header, _blobs: Blobs) -> Frame:
    transport, ref = ref_in(header["transport"]), ref_in(header["ref"])
    require(client, Request.BUREAU_PINS, frozenset({transport.purpose, ref.purpose}))
    return {}, vault.bureau_pins(transport, ref, header["card_numbers"], header["digits"])


def _random(vault: Vault, _client: ClientKind, header: Header, _blobs: Blobs) -> Frame:
    return {}, [vault.random(header["size_bytes"])]


_ANSWERS: dict[Request, Callable[[Vault, ClientKind, Header, Blobs], Frame]] = {
    Request.IDENTITY: _identity,
    Request.STEP: _step,
    Request.GENERATE: _generate,
    Request.DESCRIBE: _describe,
    Request.ACTIVE: _active,
    Request.PUBLIC_KEY: _public_key,
    Request.SIGN: _sign,
    Request.SIGN_DIGESTS: _sign,
    Request.CARD_SESSIONS: _card_sessions,
    Request.FORETELL_SESSION: _foretell_session,
    Request.PUT_KEY_DATA: _put_key_data,
    Request.TRANSPORT_PINS: _transport_pins,
    Request.ADMIN_KEY: _admin_key,
    Request.BUREAU_KEYS: _bureau_keys,
    Request.BUREAU_PINS: _bureau_pins,
    Request.RANDOM: _random,
}
