"""The vault port: what the rest of the house may ask of whoever keeps the keys.

Hides whether keys sit in an encrypted file, in another process or in an HSM. Nothing here returns a master key or a
private key: a vault signs, derives for one card, wraps for one card, and tells check values. The states follow NIST
SP 800-57 part 1 rev. 5, section 7; SCP03 is GlobalPlatform Amendment D v1.2.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from card_io.keyset import SessionKeys
from card_io.secret import Secret

KDF3, EMV, VISA2 = "kdf3", "emv", "visa2"
"""How a card's keys come from a master key; `issuance.keys.diversification` computes them."""


class KeyPurpose(StrEnum):
    """What a key is for; a key never serves two purposes."""

    CARD_MASTER = "card-master"
    BLANK_TRANSPORT = "blank-transport"
    PIN_MASTER = "pin-master"
    BUREAU_TRANSPORT = "bureau-transport"
    CA_ROOT = "ca-root"
    CA_ISSUING = "ca-issuing"
    DOCUMENT_SIGNER = "document-signer"
    AUDIT = "audit"
    STATION = "station"
    OCSP = "ocsp"


class KeyAlgorithm(StrEnum):
    """Algorithm and size of a key. Signatures hash with SHA-256, P-384 with SHA-384; Ed25519 signs the message.

    `3des` is two keys of 8 bytes, for cards of SCP02 whose keys come from a master by EMV's or VISA's way.
    """

    AES_128 = "aes-128"
    AES_256 = "aes-256"
    DES3 = "3des"
    EC_P256 = "ec-p256"
    EC_P384 = "ec-p384"
    RSA_2048 = "rsa-2048"
    RSA_3072 = "rsa-3072"
    RSA_4096 = "rsa-4096"
    ED25519 = "ed25519"


class KeyState(StrEnum):
    """Where a key is in its life. Only an active key protects something new; a retired one still serves old cards."""

    PRE_ACTIVE = "pre-active"
    ACTIVE = "active"
    RETIRED = "retired"
    COMPROMISED = "compromised"
    DESTROYED = "destroyed"


@dataclass(frozen=True, order=True)
class KeyRef:
    """A key by purpose and version (from 1 up, never used twice)."""

    purpose: KeyPurpose
    version: int


@dataclass(frozen=True)
class KeyInfo:
    """What may be told about a key. `check_value` is upper-case hex: AES KCV (3 bytes) or SHA-256 of the SPKI (8).

    `uses` never tells too few: after a crash it may tell some more. At `expires_at` the key's cryptoperiod ends; None
    for a key made before keys had one.
    """

    ref: KeyRef
    algorithm: KeyAlgorithm
    state: KeyState
    created_at: datetime
    check_value: str
    uses: int
    expires_at: datetime | None = None


@dataclass(frozen=True)
class VaultIdentity:
    """Which vault this is, and how often it has changed; an older copy shows a smaller `generation`."""

    vault_id: str
    generation: int


@dataclass(frozen=True)
class CardSessionRequest:
    """Session keys wanted for one card.

    `kdd` is the 10-byte key diversification data the card's static keys are derived with; `host_challenge` is 8 bytes
    (16 in S16 mode); `initialize_update_response` is the answer's data without status word. `derivation` is `kdf3` for
    an AES master and SCP 03, `emv` or `visa2` for a 3DES master and SCP 02.
    """

    master: KeyRef
    kdd: bytes
    host_challenge: bytes
    initialize_update_response: bytes
    i: int
    s_mode: int = 8
    derivation: str = KDF3
    scp: str = "03"


@dataclass(frozen=True)
class ForetellRequest:
    """The session wanted that a card will open when it has counted to `sequence_counter` (Amendment D, 6.2.2.1).

    `kdd`, `kvn` and `i` are what the card answers INITIALIZE UPDATE with; `host_challenge` is 8 bytes (16 in S16 mode);
    `aid` is that of its security domain. Only cards with pseudo-random challenges can be foretold.
    """

    master: KeyRef
    kdd: bytes
    kvn: int
    host_challenge: bytes
    i: int
    sequence_counter: int
    aid: bytes
    derivation: str = KDF3


@dataclass(frozen=True)
class ForetoldSession:
    """Session keys, and the answer data to INITIALIZE UPDATE (no status word) that they go with: no other one opens it.

    The keys are of use with the card alone that gives this answer: the host's challenge is in them.
    """

    keys: SessionKeys
    initialize_update_response: bytes


class AesForm(StrEnum):
    """AES keys in PUT KEY: with Amendment D's inner length byte (`88 11 10 ...`), or without (`88 10 ...`)."""

    INNER_LENGTH = "inner-length"
    PLAIN = "plain"


@dataclass(frozen=True)
class PutKeyRequest:
    """Key data wanted for a PUT KEY on one card: keys of `new`, encrypted under the card's DEK of `current`.

    With 3DES keys (SCP02) `sequence_counter` is the open session's, whose DEK wraps the keys.
    """

    current: KeyRef
    new: KeyRef
    kdd: bytes
    new_kvn: int
    derivation: str = KDF3
    aes_form: AesForm = AesForm.INNER_LENGTH
    sequence_counter: int | None = None


@dataclass(frozen=True)
class PutKeyData:
    """The data field of PUT KEY and what the card must answer.

    `key_data`: new KVN, then three key data blocks (ENC, MAC, DEK) as GlobalPlatform v2.3.1 section 11.8.2.3 and
    Amendment D section 7.2 lay them out. `check_values`: the three KCVs of 3 bytes each.
    """

    key_data: bytes
    check_values: tuple[bytes, bytes, bytes]


@dataclass(frozen=True)
class BureauKeyRequest:
    """Key sets of one chip for an outside bureau: its blank's (of `current`) and its own production keys (of `new`)."""

    current: KeyRef
    new: KeyRef
    kdd: bytes
    derivation: str = KDF3


@dataclass(frozen=True)
class BureauKeys:
    """A chip's key sets, each ENC, MAC and DEK in a row under AES Key Wrap (RFC 3394), with three KCVs of 3 bytes."""

    current: bytes
    current_check_values: tuple[bytes, bytes, bytes]
    new: bytes
    new_check_values: tuple[bytes, bytes, bytes]


class Vault(Protocol):
    """Keeper of keys. Every method raises a `VaultError`; the batch forms do all or nothing."""

    def identity(self) -> VaultIdentity:
        """Return which vault this is and its generation."""
        ...

    def step(self, generation: int) -> VaultIdentity:
        """Count the generation on by one if it is this one, for the office to remember; returns what it is then."""
        ...

    def generate(self, purpose: KeyPurpose, algorithm: KeyAlgorithm, *, now: datetime) -> KeyRef:
        """Make a new key version, active at once; the version that was active is retired."""
        ...

    def describe(self, purpose: KeyPurpose | None = None) -> list[KeyInfo]:
        """Tell about all keys, or those of one purpose, by purpose and version."""
        ...

    def active(self, purpose: KeyPurpose) -> KeyRef:
        """Return the active version; raises `UnknownKey` when there is none."""
        ...

    def public_key(self, ref: KeyRef) -> bytes:
        """Return the SubjectPublicKeyInfo in DER."""
        ...

    def sign(self, ref: KeyRef, messages: Sequence[bytes]) -> list[bytes]:
        """Sign each message: ECDSA in DER, RSA PKCS #1 v1.5, or Ed25519."""
        ...

    def sign_digests(self, ref: KeyRef, digests: Sequence[bytes]) -> list[bytes]:
        """Sign digests that the caller made with the key's hash, for messages too long to send. Not for Ed25519."""
        ...

    def card_sessions(self, requests: Sequence[CardSessionRequest]) -> list[SessionKeys]:
        """Derive session keys after checking each card's cryptogram; a mismatch raises `WrongCardKeys`."""
        ...

    def card_session(self, request: CardSessionRequest) -> SessionKeys:
        """Derive session keys for one card; see `card_sessions`."""
        ...

    def foretell_session(self, request: ForetellRequest) -> ForetoldSession:
        """Compute a card's next session before the card is there."""
        ...

    def put_key_data(self, requests: Sequence[PutKeyRequest]) -> list[PutKeyData]:
        """Wrap each card's new static keys under its current DEK."""
        ...

    def transport_pins(self, ref: KeyRef, card_number: str, digits: Mapping[str, int]) -> dict[str, Secret]:
        """Derive a card's transport PINs in ASCII; `digits` names each (`pin1`, `krp`) and its length."""
        ...

    def admin_key(self, ref: KeyRef, chip_id: str, size_bytes: int) -> Secret:
        """Derive the key that manages a chip's applet outside of a secure channel (PIV 9B) from the card master."""
        ...

    def bureau_keys(self, transport: KeyRef, requests: Sequence[BureauKeyRequest]) -> list[BureauKeys]:
        """Wrap chips' key sets under a bureau's transport key: nobody but that bureau can read them."""
        ...

    def bureau_pins(
        self, transport: KeyRef, ref: KeyRef, card_numbers: Sequence[str], digits: Mapping[str, int]
    ) -> list[bytes]:
        """Wrap cards' transport PINs under a bureau's transport key; see `bureau_keys.pin_data` for the layout."""
        ...

    def random(self, size_bytes: int) -> bytes:
        """Return random bytes from the vault's generator."""
        ...

    def close(self) -> None:
        """Forget the keys, or the connection."""
        ...
