"""Vaults and cards for tests: cheap scrypt, two custodians, and a card's answer to INITIALIZE UPDATE."""

from datetime import UTC, datetime
from pathlib import Path

from card_io.diversification import kdf3
from card_io.scp03 import card_cryptogram, derive_session_keys
from card_io.secret import Secret
from issuance.keys.engine import VaultEngine
from issuance.keys.file_vault import FileVault
from issuance.keys.port import KeyAlgorithm, KeyPurpose
from issuance.keys.sealing import ScryptCost

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
PASSPHRASES = (Secret(b"first custodian of tests"), Secret(b"second custodian of tests"))
CHEAP = ScryptCost(log_n=10)
TRANSPORT_MASTER = bytes(range(0x40, 0x50))
TRANSPORT_COMPONENTS = (Secret(b"\x11" * 16), Secret(bytes(b ^ 0x11 for b in TRANSPORT_MASTER)))
TRANSPORT_CHECK_VALUE = "504A77"
KDD = bytes.fromhex("00010203040506070809")
HOST_CHALLENGE = bytes.fromhex("A0A1A2A3A4A5A6A7")

ALGORITHMS = {
    KeyPurpose.CARD_MASTER: KeyAlgorithm.AES_128,
    KeyPurpose.PIN_MASTER: KeyAlgorithm.AES_256,
    KeyPurpose.CA_ROOT: KeyAlgorithm.EC_P384,
    KeyPurpose.CA_ISSUING: KeyAlgorithm.EC_P256,
    KeyPurpose.DOCUMENT_SIGNER: KeyAlgorithm.EC_P256,
    KeyPurpose.AUDIT: KeyAlgorithm.ED25519,
    KeyPurpose.STATION: KeyAlgorithm.EC_P256,
    KeyPurpose.OCSP: KeyAlgorithm.EC_P256,
}


def make_vault(path: Path) -> FileVault:
    """A vault with one key of each purpose; the blanks' transport master is the published test key 40..4F."""
    vault = FileVault.create(path, PASSPHRASES, cost=CHEAP)
    fill(vault)
    return vault


def fill(vault: VaultEngine) -> None:
    """Give an empty vault one key of each purpose."""
    for purpose, algorithm in ALGORITHMS.items():
        vault.generate(purpose, algorithm, now=NOW)
    vault.import_key(
        KeyPurpose.BLANK_TRANSPORT,
        KeyAlgorithm.AES_128,
        TRANSPORT_COMPONENTS,
        check_value=TRANSPORT_CHECK_VALUE,
        now=NOW,
    )


def initialize_update_response(master: bytes, *, kdd: bytes = KDD, host_challenge: bytes = HOST_CHALLENGE) -> bytes:
    """What a card with keys derived from `master` by KDF3 answers (SCP03, S8, i=70), without status word."""
    card_challenge = bytes(range(0xC0, 0xC0 + len(host_challenge)))
    session = derive_session_keys(kdf3(Secret(master), kdd), host_challenge, card_challenge, len(host_challenge))
    cryptogram = card_cryptogram(session, host_challenge, card_challenge)
    return kdd + bytes([0x01, 0x03, 0x70]) + card_challenge + cryptogram + bytes([0, 0, 1])
