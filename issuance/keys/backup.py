"""A vault's keys on the way to another vault: each wrapped, all of it under one check, with what is known of each.

Keys are wrapped by AES key wrap with padding (RFC 5649; PKCS#11's CKM_AES_KEY_WRAP_PAD), private ones as PKCS #8, so
that tokens can do it inside. The transport key is put together from custodians' components; wrapping and check use two
keys made of it by HKDF (RFC 5869). Nothing in the file is of use without all components.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import (
    InvalidUnwrap,
    aes_key_unwrap_with_padding,
    aes_key_wrap_with_padding,
)

from card_io.ciphers import kcv_aes
from card_io.secret import Secret
from issuance.errors import VaultError
from issuance.keys.keyring import KeyRing
from issuance.keys.port import KeyRef, VaultIdentity

_FORMAT = "uec vault backup 1"
TRANSPORT_KEY_BYTES = 32


class BadBackup(VaultError):
    """The backup is damaged, or the transport key is another one; nothing was taken in."""

    code = "bad-backup"


@dataclass(frozen=True)
class WrappedKey:
    """A key's wrapped material and, for a signature key, its public half (SubjectPublicKeyInfo)."""

    material: bytes
    public_key: bytes | None


@dataclass(frozen=True)
class Backup:
    """All keys of a vault that are not destroyed, the ring that tells about them, and whose they are."""

    identity: VaultIdentity
    ring: KeyRing
    keys: Mapping[KeyRef, WrappedKey]


def wrapping_key(transport: Secret) -> Secret:
    """The key that wraps keys; raises `BadBackup` for a transport key that is not 32 bytes long."""
    return Secret(_derive(transport, b"uec backup: wrap"))


def transport_check_value(transport: Secret) -> str:
    """The transport key's check value as custodians compare it, six hex digits."""
    return kcv_aes(transport.reveal()).hex().upper()


def encode(backup: Backup, transport: Secret) -> bytes:
    """Write a backup as JSON, its check in the last field."""
    content = {
        "format": _FORMAT,
        "vault_id": backup.identity.vault_id,
        "generation": backup.identity.generation,
        "transport_check_value": transport_check_value(transport),
        "keys": [_key_out(item, backup.keys.get(ref)) for ref, item in backup.ring.to_json()],
    }
    return json.dumps({**content, "check": _check(content, transport)}, indent=1).encode()


def decode(data: bytes, transport: Secret) -> Backup:
    """Read a backup and check that it is whole and under this transport key; raises `BadBackup`."""
    try:
        content = json.loads(data)
        check = content.pop("check")
        if content["format"] != _FORMAT:
            raise ValueError("another format")
        if content["transport_check_value"] != transport_check_value(transport):
            raise BadBackup(
                f"the backup is under the transport key with check value {content['transport_check_value']}, not "
                f"{transport_check_value(transport)}: enter the right components"
            )
        if not hmac.compare_digest(check, _check(content, transport)):
            raise BadBackup("the backup is not what was written: take another copy of it")
        ring = KeyRing.from_json(content["keys"])
        keys = {
            info.ref: _key_in(item)
            for info, item in zip(ring.infos(None), content["keys"], strict=True)
            if item["wrapped"]
        }
        return Backup(VaultIdentity(content["vault_id"], content["generation"]), ring, keys)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise BadBackup(f"this is no backup of a vault ({type(error).__name__})") from error


def wrap(wrapping: Secret, material: bytes) -> bytes:
    """Wrap a key's bytes (RFC 5649)."""
    return aes_key_wrap_with_padding(wrapping.reveal(), material)


def unwrap(wrapping: Secret, wrapped: bytes) -> bytes:
    """Unwrap a key's bytes; raises `BadBackup`. Tokens may have padded a PKCS #8 key with zeros: they are cut off."""
    try:
        material = aes_key_unwrap_with_padding(wrapping.reveal(), wrapped)
    except InvalidUnwrap as error:
        raise BadBackup("a key in the backup does not unwrap: take another copy of it") from error
    if material[:1] == b"\x30" and len(material) > 48:  # DER tells its own length; AES keys are shorter
        return material[: _der_size(material)]
    return material


def _der_size(material: bytes) -> int:
    first = material[1]
    if first < 0x80:
        return 2 + first
    count = first & 0x7F
    return 2 + count + int.from_bytes(material[2 : 2 + count], "big")


def _derive(transport: Secret, info: bytes) -> bytes:
    if len(transport) != TRANSPORT_KEY_BYTES:
        raise BadBackup(f"the transport key has {len(transport)} bytes, not {TRANSPORT_KEY_BYTES}")
    return HKDF(hashes.SHA256(), TRANSPORT_KEY_BYTES, None, info).derive(transport.reveal())


def _check(content: Mapping[str, Any], transport: Secret) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    return hmac.new(_derive(transport, b"uec backup: check"), canonical, hashlib.sha256).hexdigest()


def _key_out(item: dict[str, Any], key: WrappedKey | None) -> dict[str, Any]:
    wrapped = {"wrapped": key.material.hex() if key else None}
    return {**item, **wrapped, "public_key": key.public_key.hex() if key and key.public_key else None}


def _key_in(item: Mapping[str, Any]) -> WrappedKey:
    public = bytes.fromhex(item["public_key"]) if item["public_key"] else None
    return WrappedKey(bytes.fromhex(item["wrapped"]), public)
