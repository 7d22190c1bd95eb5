"""PUT KEY and DELETE [key].

GlobalPlatform 2.3.1, 11.8 (PUT KEY) and 11.2 (DELETE); Amendment D 1.2, 7.2 (AES key data). AES key data come in two
forms from public hosts: `88 11 10 <16> 03 <KCV>` with the key's length inside, and `88 10 <16> 03 <KCV>` without; the
card takes both. The check value decides what a 32-byte field without the inner length holds.
"""

from collections.abc import Callable
from dataclasses import dataclass

from card_io import tlv
from card_io.apdu import CommandAPDU
from card_io.errors import InvalidTlv
from card_io.secret import Secret
from card_io.virtual.keysets import FIRST_VERSION, TYPE_AES, TYPE_DES, KeySet, KeyStore
from card_io.virtual.primitives import check_value
from card_io.virtual.refusal import CONDITIONS, REFERENCE_NOT_FOUND, WRONG_DATA, WRONG_P1P2, Refused

Decrypt = Callable[[bytes], bytes]
WRONG_CHECK_VALUE = 0x6982
"""Table 11-78; 9485 is the older one."""


@dataclass(frozen=True)
class KeyData:
    """One key of a key data field, deciphered, its check value computed here."""

    key_type: int
    value: bytes
    check_value: bytes


def put_key(command: CommandAPDU, store: KeyStore, decrypt: Decrypt) -> bytes:
    """Store a set anew or replace one (all keys or the one P2 names); the answer is its version and check values."""
    replaced, first = command.p1, command.p2 & 0x7F
    if replaced & 0x80 or first == 0:
        raise Refused(WRONG_P1P2)
    if not command.data:
        raise Refused(WRONG_DATA)
    version = command.data[0]
    if not 1 <= version <= 0x7F:
        raise Refused(WRONG_DATA)
    loaded = read_keys(command.data[1:], decrypt)
    if len(loaded) != 1 and not command.p2 & 0x80:
        raise Refused(WRONG_DATA)
    current = _current(store, replaced, version)
    store.put(_merge(current, first, loaded, version), replaced or None)
    return bytes([version]) + b"".join(item.check_value for item in loaded)


def _current(store: KeyStore, replaced: int, version: int) -> KeySet | None:
    """The set that is replaced. P1 00 adds a set, and its version must be free."""
    if replaced:
        current = store.get(replaced)
        if current is None:
            raise Refused(REFERENCE_NOT_FOUND)
        if version != replaced and version in store.versions():
            raise Refused(CONDITIONS)
        return current
    if version in store.versions():
        raise Refused(CONDITIONS)
    return None


def _merge(current: KeySet | None, first: int, loaded: list[KeyData], version: int) -> KeySet:
    """The new set: keys `first`... from the command, the others as they were."""
    values = list(current.keys()) if current else [b""] * 3
    if first + len(loaded) - 1 > 3:
        raise Refused(WRONG_P1P2)
    values[first - 1 : first - 1 + len(loaded)] = [item.value for item in loaded]
    types = {item.key_type for item in loaded} | ({current.key_type} if current and len(loaded) < 3 else set())
    if len(types) != 1:
        raise Refused(WRONG_DATA)
    try:
        enc, mac, dek = (Secret(value) for value in values)
        return KeySet(enc, mac, dek, version, types.pop())
    except ValueError as error:
        raise Refused(WRONG_DATA) from error


def read_keys(data: bytes, decrypt: Decrypt) -> list[KeyData]:
    """One to three symmetric keys in the order of the command, their check values compared."""
    keys: list[KeyData] = []
    while data:
        key_type, field, data = data[0], *_length_value(data[1:])
        expected, data = _length_value(data)
        if key_type == TYPE_AES:
            value = _aes_value(field, expected, decrypt)
        elif key_type == TYPE_DES and len(field) == 16:
            value = decrypt(field)
        else:
            raise Refused(WRONG_DATA)
        actual = check_value(value, aes=key_type == TYPE_AES)
        if expected not in {b"", actual}:
            raise Refused(WRONG_CHECK_VALUE)
        keys.append(KeyData(key_type, value, actual))
    if not 1 <= len(keys) <= 3:
        raise Refused(WRONG_DATA)
    return keys


def _length_value(data: bytes) -> tuple[bytes, bytes]:
    """A field with its length byte, and the rest."""
    if not data or len(data) < 1 + data[0]:
        raise Refused(WRONG_DATA)
    return data[1 : 1 + data[0]], data[1 + data[0] :]


def _aes_value(field: bytes, expected: bytes, decrypt: Decrypt) -> bytes:
    """The key of an AES key data field in either form."""
    if len(field) in {17, 33} and field[0] in {16, 24, 32} and field[0] <= len(field) - 1:
        return decrypt(field[1:])[: field[0]]
    if len(field) == 16:
        return decrypt(field)
    if len(field) != 32:
        raise Refused(WRONG_DATA)
    value = decrypt(field)
    if expected and check_value(value, aes=True) != expected and check_value(value[:24], aes=True) == expected:
        return value[:24]
    return value


def delete_key(command: CommandAPDU, store: KeyStore) -> bytes:
    """DELETE with D2 (key version number), and D0 (key identifier) only together with it: whole sets are deleted."""
    try:
        version = tlv.find(command.data, 0xD2)
    except InvalidTlv as error:
        raise Refused(WRONG_DATA) from error
    if version is None or len(version) != 1 or command.p1:
        raise Refused(WRONG_DATA)
    if version[0] not in store.versions():
        raise Refused(REFERENCE_NOT_FOUND)
    if len(store.versions()) == 1 or version[0] == FIRST_VERSION:
        raise Refused(CONDITIONS)
    store.delete(version[0])
    return b"\x00"
