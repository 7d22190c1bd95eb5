"""What a vault computes for one card from a master key: session keys, PUT KEY data, transport PINs. Pure functions.

GlobalPlatform Amendment D v1.2 sections 6.2 (session keys, cryptograms) and 7.2 (PUT KEY with AES, check values); for
3DES cards SCP02 and its PUT KEY, GlobalPlatform v2.3.1 annexes E and B.6, section 11.8. PINs: NIST SP 800-108 in
counter mode with CMAC under the PIN master (any token with AES can do it too), 256 bits reduced to decimal digits;
their bias modulo 10^12 is far below 2^-200.
"""

import hmac

from card_io import scp02, scp03
from card_io.ciphers import aes_cbc_encrypt, kcv_aes, kcv_des3
from card_io.errors import CardError
from card_io.keyset import KeySet, SessionKeys
from card_io.secret import Secret
from issuance.errors import BadComponent, VaultError, WrongCardKeys
from issuance.keys.diversification import Master
from issuance.keys.port import (
    KDF3,
    AesForm,
    CardSessionRequest,
    ForetellRequest,
    ForetoldSession,
    PutKeyData,
    PutKeyRequest,
)

_AES_KEY_TYPE, _DES_KEY_TYPE = 0x88, 0x80
_BLOCK_BYTES = 16
_KDD_BYTES, _SCP03 = 10, 0x03
_MAX_PIN_DIGITS = 12
_COUNTER_MAX = 0xFFFFFF
_PIN_LABEL = b"uec transport pin"
_ADMIN_LABEL = b"uec applet admin key"


def session_keys(keys: KeySet, request: CardSessionRequest) -> SessionKeys:
    """Derive session keys from a card's static ones and check the card's cryptogram with them.

    Raises `WrongCardKeys` when the card has other keys, `VaultError` for an answer that is not the protocol's.
    """
    try:
        session, kvn, genuine = _SESSIONS[request.scp, request.derivation == KDF3](keys, request)
    except KeyError:
        raise VaultError(f"SCP{request.scp} has no keys by {request.derivation}: check the card's profile") from None
    except CardError as error:
        raise VaultError(f"no session keys: {error}") from error
    if not genuine:
        ref = request.master
        raise WrongCardKeys(
            f"the card's key set {kvn} does not come from {ref.purpose} version {ref.version}: "
            "check which blank stock, and which vault, this card belongs to; do not try again with this key",
            purpose=ref.purpose,
            version=ref.version,
            kvn=kvn,
        )
    return session


def _scp03(keys: KeySet, request: CardSessionRequest) -> tuple[SessionKeys, int, bool]:
    """The session keys, the key version that the card named, and whether its cryptogram is theirs."""
    card = scp03.parse_initialize_update(request.initialize_update_response)
    session = scp03.derive_session_keys(keys, request.host_challenge, card.card_challenge, request.s_mode)
    expected = scp03.card_cryptogram(session, request.host_challenge, card.card_challenge)
    return session, card.kvn, hmac.compare_digest(expected, card.card_cryptogram)


def _scp02(keys: KeySet, request: CardSessionRequest) -> tuple[SessionKeys, int, bool]:
    """As `_scp03`; the session's DEK stays here: what it wraps is asked for by PUT KEY."""
    card = scp02.parse_initialize_update(request.initialize_update_response)
    session = scp02.derive_session_keys(keys, card.sequence_counter)
    expected = scp02.card_cryptogram(session, request.host_challenge, card)
    given = SessionKeys(session.enc, session.mac, session.rmac)
    return given, card.kvn, hmac.compare_digest(expected, card.card_cryptogram)


# By protocol, and whether the card's keys are AES keys.
_SESSIONS = {("03", True): _scp03, ("02", False): _scp02}


def foretold_session(keys: KeySet, request: ForetellRequest) -> ForetoldSession:
    """Compute what a card with these static keys will answer, and the session keys; `VaultError` where it cannot be."""
    if request.derivation != KDF3 or not request.i & scp03.PSEUDO_RANDOM:
        raise VaultError("a card that draws its challenges cannot be foretold: open its channel by its answer")
    if not 1 <= request.sequence_counter <= _COUNTER_MAX or len(request.kdd) != _KDD_BYTES:
        raise VaultError("no card counts to that number, or has such diversification data: check the card's journal")
    challenge_bytes = len(request.host_challenge)
    try:
        card = scp03.calculate_card_challenge(keys.enc, request.sequence_counter, request.aid, challenge_bytes)
        session = scp03.derive_session_keys(keys, request.host_challenge, card, challenge_bytes)
    except CardError as error:
        raise VaultError(f"no session keys: {error}") from error
    proof = scp03.card_cryptogram(session, request.host_challenge, card)
    head = request.kdd + bytes([request.kvn, _SCP03, request.i])
    return ForetoldSession(session, head + card + proof + request.sequence_counter.to_bytes(3, "big"))


def put_key_data(current: KeySet, new: KeySet, request: PutKeyRequest) -> PutKeyData:
    """Return the PUT KEY data field that replaces a card's keys, and the check values the card must answer."""
    if not 1 <= request.new_kvn <= 0x7F:
        raise VaultError(f"key version number {request.new_kvn} is not between 1 and 127: choose another")
    if (request.derivation == KDF3) != (request.sequence_counter is None):
        raise VaultError("a sequence counter goes with SCP02 and 3DES keys only: check the card's profile")
    keys = [key.reveal() for key in new.in_order()]
    if request.sequence_counter is None:
        dek = current.dek.reveal()
        blocks = [_aes_block(dek, key, request.aes_form) for key in keys]
    else:
        session = scp02.derive_session_keys(current, request.sequence_counter)
        blocks = [_des_block(session, key) for key in keys]
    enc, mac, dek_value = (value for _, value in blocks)
    return PutKeyData(bytes([request.new_kvn]) + b"".join(block for block, _ in blocks), (enc, mac, dek_value))


def _aes_block(dek: bytes, key: bytes, form: AesForm) -> tuple[bytes, bytes]:
    """Key type, length, the key under the DEK (CBC, zero IV, zero padding to whole blocks), check value; and that."""
    encrypted = aes_cbc_encrypt(dek, bytes(_BLOCK_BYTES), key + bytes(-len(key) % _BLOCK_BYTES))
    if form is AesForm.INNER_LENGTH:
        encrypted = bytes([len(key)]) + encrypted
    return _key_block(_AES_KEY_TYPE, encrypted, kcv_aes(key))


def _des_block(session: SessionKeys, key: bytes) -> tuple[bytes, bytes]:
    """As `_aes_block`, the key under the session's DEK (ECB)."""
    return _key_block(_DES_KEY_TYPE, scp02.encrypt_sensitive(session, key), kcv_des3(key))


def _key_block(kind: int, encrypted: bytes, kcv: bytes) -> tuple[bytes, bytes]:
    return bytes([kind, len(encrypted)]) + encrypted + bytes([len(kcv)]) + kcv, kcv


def transport_pin(master: Master, card_number: str, name: str, digits: int) -> Secret:
    """Derive one transport PIN as ASCII digits; raises `VaultError` for an impossible length or an empty number."""
    if not 4 <= digits <= _MAX_PIN_DIGITS:
        raise VaultError(f"a PIN of {digits} digits is not possible: choose 4 to {_MAX_PIN_DIGITS}")
    if not card_number.isascii() or not card_number.isdigit() or not name:
        raise VaultError("a PIN belongs to a card number in digits and has a name")
    context = b"\x00".join((_PIN_LABEL, name.encode(), card_number.encode(), str(digits).encode()))
    stream = b"".join(master.cmac([bytes([counter]) + context for counter in (1, 2)]))
    value = int.from_bytes(stream, "big") % 10**digits
    return Secret(f"{value:0{digits}d}".encode())


def admin_key(master: Master, chip_id: str, size_bytes: int) -> Secret:
    """Derive the key that manages one chip's applet outside of a secure channel (PIV 9B): 16, 24 or 32 bytes.

    KDF in counter mode with CMAC (NIST SP 800-108r1, 4.1) over the label, the chip and the length.
    """
    if master.block_bytes != _BLOCK_BYTES:
        raise VaultError("an admin key comes from an AES master: make the card master an AES key")
    if size_bytes not in (16, 24, 32):
        raise VaultError(f"an admin key of {size_bytes} bytes is not possible: choose 16, 24 or 32")
    if not chip_id.isascii() or not chip_id.isalnum():
        raise VaultError("an admin key belongs to a chip by its identifier in hex")
    context = b"\x00".join((_ADMIN_LABEL, chip_id.encode(), str(size_bytes).encode()))
    return Secret(b"".join(master.cmac([bytes([counter]) + context for counter in (1, 2)]))[:size_bytes])


def combine(components: tuple[Secret, ...], size_bytes: int) -> Secret:
    """XOR two or more components into a key; raises `BadComponent` for a wrong count, length or repeated component."""
    if len(components) < 2:
        raise BadComponent("a key comes in two or more components, each with its own custodian")
    if any(len(component) != size_bytes for component in components):
        raise BadComponent(f"each component has {size_bytes} bytes, {2 * size_bytes} hex digits")
    value = 0
    for position, component in enumerate(components):
        if component in components[:position]:
            raise BadComponent("two components are the same: each custodian enters their own")
        value ^= int.from_bytes(component.reveal(), "big")
    return Secret(value.to_bytes(size_bytes, "big"))
