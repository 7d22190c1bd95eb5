"""Vaults and cards for tests: cheap scrypt, two custodians, and a card's answer to INITIALIZE UPDATE."""

from datetime import UTC, datetime
from pathlib import Path

from card_io import scp02
from card_io.ciphers import aes_cmac, kcv_aes
from card_io.diversification import kdf3
from card_io.keyset import KeySet
from card_io.scp03 import card_cryptogram, derive_session_keys
from card_io.secret import Secret
from issuance.keys import material
from issuance.keys.diversification import Master
from issuance.keys.engine import VaultEngine
from issuance.keys.file_vault import FileVault
from issuance.keys.port import KeyAlgorithm, KeyPurpose, KeyRef
from issuance.keys.sealing import ScryptCost

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
PASSPHRASES = (Secret(b"first custodian of tests"), Secret(b"second custodian of tests"))
CHEAP = ScryptCost(log_n=10)
TRANSPORT_MASTER = bytes(range(0x40, 0x50))
TRANSPORT_COMPONENTS = (Secret(b"\x11" * 16), Secret(bytes(b ^ 0x11 for b in TRANSPORT_MASTER)))
TRANSPORT_CHECK_VALUE = "504A77"
BUREAU_KEY = bytes(range(0x80, 0xA0))
BUREAU_COMPONENTS = (Secret(b"\x22" * 32), Secret(bytes(b ^ 0x22 for b in BUREAU_KEY)))
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


def bring_in_bureau_key(vault: VaultEngine) -> KeyRef:
    """Import a bureau's transport key as its ceremony does; the bureau's own copy is `BUREAU_KEY`."""
    check_value = kcv_aes(BUREAU_KEY).hex().upper()
    return vault.import_key(
        KeyPurpose.BUREAU_TRANSPORT, KeyAlgorithm.AES_256, BUREAU_COMPONENTS, check_value=check_value, now=NOW
    )


def initialize_update_response(master: bytes, *, kdd: bytes = KDD, host_challenge: bytes = HOST_CHALLENGE) -> bytes:
    """What a card with keys derived from `master` by KDF3 answers (SCP03, S8, i=70), without status word."""
    card_challenge = bytes(range(0xC0, 0xC0 + len(host_challenge)))
    session = derive_session_keys(kdf3(Secret(master), kdd), host_challenge, card_challenge, len(host_challenge))
    cryptogram = card_cryptogram(session, host_challenge, card_challenge)
    return kdd + bytes([0x01, 0x03, 0x70]) + card_challenge + cryptogram + bytes([0, 0, 1])


def des_initialize_update_response(
    keys: KeySet, *, kdd: bytes = KDD, host_challenge: bytes = HOST_CHALLENGE, counter: int = 1
) -> bytes:
    """What a card with these 3DES keys answers (SCP02), without status word."""
    front = kdd + bytes([0x01, 0x02]) + counter.to_bytes(2, "big") + bytes(range(0xC0, 0xC6))
    card = scp02.parse_initialize_update(front + bytes(8))
    session = scp02.derive_session_keys(keys, counter)
    return front + scp02.card_cryptogram(session, host_challenge, card)


def master_of(key: bytes, *, block_bytes: int = 16) -> Master:
    """A master key as a vault has it: AES, or 3DES with blocks of 8 bytes."""
    algorithm = KeyAlgorithm.DES3 if block_bytes == 8 else KeyAlgorithm.AES_128
    encrypt = material.encryptor(Secret(key), algorithm)
    return Master(len(key), block_bytes, lambda messages: [aes_cmac(key, message) for message in messages], encrypt)
