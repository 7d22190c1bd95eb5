"""Key material in a PKCS#11 token: made there, sensitive, and never seen outside in clear.

PKCS #11 v2.40 (ECDSA, RSA, AES: sections 2.3, 2.1, 2.8 of the mechanisms; key wrapping of RFC 5649 is
`CKM_AES_KEY_WRAP_PAD`). Hides sessions, objects and their labels. What the token does not know of a key (its state, its
uses) lies in a private data object beside the keys. A process has one session and one thread in it at a time: the
engine's lock sees to that, because `python-pkcs11` corrupts memory when two threads share a session.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import pkcs11
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass
from pkcs11.constants import DEFAULT
from pkcs11.util.ec import decode_ec_public_key, encode_ec_public_key, encode_named_curve_parameters
from pkcs11.util.rsa import decode_rsa_public_key, encode_rsa_public_key

from card_io.ciphers import AES_BLOCK, DES_BLOCK
from card_io.secret import Secret
from issuance.errors import VaultDamaged, VaultUnavailable
from issuance.keys import material
from issuance.keys.access import Request
from issuance.keys.keyring import KeyRing
from issuance.keys.port import KeyAlgorithm, KeyRef, VaultIdentity
from issuance.keys.token_errors import asked

_RING_LABEL = "uec key ring"
_CURVES = {KeyAlgorithm.EC_P256: "secp256r1", KeyAlgorithm.EC_P384: "secp384r1"}
_RSA_BITS = {KeyAlgorithm.RSA_2048: 2048, KeyAlgorithm.RSA_3072: 3072, KeyAlgorithm.RSA_4096: 4096}
_AES_USES = {Attribute.SIGN: True, Attribute.ENCRYPT: True}
_DES_USES = {Attribute.ENCRYPT: True}
_MECHANISMS = {AES_BLOCK: Mechanism.AES_ECB, DES_BLOCK: Mechanism.DES3_ECB}
# A private key has no attribute for what only public and secret keys do: those are left out of the template.
_PRIVATE_USES: dict[Attribute, Any] = {
    Attribute.SIGN: True,
    **dict.fromkeys((Attribute.ENCRYPT, Attribute.VERIFY, Attribute.WRAP), DEFAULT),
}
_CLASSES = (ObjectClass.SECRET_KEY, ObjectClass.PRIVATE_KEY, ObjectClass.PUBLIC_KEY)
# DigestInfo before a SHA-256 digest, RFC 8017 section 9.2 note 1.
_SHA256_INFO = bytes.fromhex("3031300d060960864801650304020105000420")


class Signers(Protocol):
    """Processes that sign with this token's keys, each with a session of its own."""

    def sign(self, request: Request, ref: KeyRef, algorithm: KeyAlgorithm, inputs: Sequence[bytes]) -> list[bytes]:
        """Sign messages or digests, by the kind of request."""
        ...

    def close(self) -> None:
        """End them."""
        ...


class Pkcs11Chest:
    """Keys as objects of a token, found by their label."""

    def __init__(
        self,
        session: pkcs11.Session,
        on_close: Callable[[], None],
        *,
        extractable: bool,
    ) -> None:
        """Take a session that is logged in; keys made `extractable` can be backed up, wrapped, and never in clear."""
        self._session, self._on_close = session, on_close
        self._signers: Signers | None = None
        self._kept = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: extractable}
        self._found: dict[tuple[ObjectClass, KeyRef], Any] = {}

    @property
    def signs_beside(self) -> bool:
        """Whether a signature leaves this session free for other work."""
        return self._signers is not None

    def sign_by(self, signers: Signers) -> None:
        """From now on let these processes make the signatures; they end with the chest."""
        self._signers = signers

    @asked
    def make(self, ref: KeyRef, algorithm: KeyAlgorithm) -> str:
        """Make a key in the token; returns its check value. What a crash left under its label goes first."""
        self.drop(ref)
        if ref.purpose in material.SYMMETRIC_PURPOSES:
            kind, uses = _symmetric(algorithm)
            bits = None if kind is KeyType.DES2 else material.size_of(algorithm) * 8
            self._session.generate_key(kind, bits, label=_label(ref), store=True, template={**self._kept, **uses})
            return self._check_value(ref, algorithm)
        names: dict[str, Any] = {"label": _label(ref), "store": True, "private_template": self._kept}
        if algorithm in _RSA_BITS:
            self._session.generate_keypair(KeyType.RSA, _RSA_BITS[algorithm], **names)
        else:
            edwards = algorithm is KeyAlgorithm.ED25519
            kind = KeyType.EC_EDWARDS if edwards else KeyType.EC
            curve = encode_named_curve_parameters("1.3.101.112" if edwards else _CURVES[algorithm])
            parameters = self._session.create_domain_parameters(kind, {Attribute.EC_PARAMS: curve}, local=True)
            mechanism = Mechanism.EC_EDWARDS_KEY_PAIR_GEN if edwards else None
            parameters.generate_keypair(mechanism=mechanism, **names)
        return material.public_check_value(self.public_key(ref)).hex().upper()

    @asked
    def put(self, ref: KeyRef, algorithm: KeyAlgorithm, key: Secret) -> str:
        """Take a symmetric key in; returns its check value."""
        self.drop(ref)
        kind, uses = _symmetric(algorithm)
        self._session.create_object({**_secret_key(key, kind), Attribute.LABEL: _label(ref), **self._kept, **uses})
        return self._check_value(ref, algorithm)

    @asked
    def drop(self, ref: KeyRef) -> None:
        """Destroy a key's objects in the token."""
        for kind in _CLASSES:
            for item in list(self._session.get_objects({Attribute.CLASS: kind, Attribute.LABEL: _label(ref)})):
                item.destroy()
            self._found.pop((kind, ref), None)

    @asked
    def public_key(self, ref: KeyRef) -> bytes:
        """Return the SubjectPublicKeyInfo of a signature key."""
        key = self._object(ObjectClass.PUBLIC_KEY, ref)
        if key.key_type is KeyType.RSA:
            loaded = serialization.load_der_public_key(encode_rsa_public_key(key))
        elif key.key_type is KeyType.EC_EDWARDS:
            loaded = ed25519.Ed25519PublicKey.from_public_bytes(key[Attribute.EC_POINT][-32:])
        else:
            return bytes(encode_ec_public_key(key))
        return loaded.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)

    @asked
    def sign(self, ref: KeyRef, algorithm: KeyAlgorithm, messages: Sequence[bytes]) -> list[bytes]:
        """Sign messages; what is signed with ECDSA or RSA is hashed here."""
        if self._signers is not None:
            return self._signers.sign(Request.SIGN, ref, algorithm, messages)
        if algorithm is KeyAlgorithm.ED25519:
            key = self._object(ObjectClass.PRIVATE_KEY, ref)
            return [key.sign(message, mechanism=Mechanism.EDDSA) for message in messages]
        hashed = getattr(hashlib, material.hash_of(algorithm).name)
        return self.sign_digests(ref, algorithm, [hashed(message).digest() for message in messages])

    @asked
    def sign_digests(self, ref: KeyRef, algorithm: KeyAlgorithm, digests: Sequence[bytes]) -> list[bytes]:
        """Sign digests."""
        if self._signers is not None:
            return self._signers.sign(Request.SIGN_DIGESTS, ref, algorithm, digests)
        if algorithm is KeyAlgorithm.ED25519:
            raise ValueError(f"{algorithm} signs whole messages only")
        if any(len(digest) != material.hash_of(algorithm).digest_size for digest in digests):
            raise ValueError("a digest has another length than the key's hash")
        key = self._object(ObjectClass.PRIVATE_KEY, ref)
        if algorithm in _RSA_BITS:
            return [key.sign(_SHA256_INFO + digest, mechanism=Mechanism.RSA_PKCS) for digest in digests]
        # The signatures first, then their form: so the module's code stays in the processor's caches.
        return dss([key.sign(digest, mechanism=Mechanism.ECDSA) for digest in digests])

    @asked
    def cmac(self, ref: KeyRef, messages: Sequence[bytes]) -> list[bytes]:
        """Compute the AES-CMAC of each message."""
        key = self._object(ObjectClass.SECRET_KEY, ref)
        return [key.sign(message, mechanism=Mechanism.AES_CMAC) for message in messages]

    @asked
    def encrypt(self, ref: KeyRef, algorithm: KeyAlgorithm, blocks: bytes | memoryview, into: memoryview) -> None:
        """Encipher whole blocks, each by itself, in one call of the token."""
        key, mechanism = self._object(ObjectClass.SECRET_KEY, ref), _MECHANISMS[material.block_size_of(algorithm)]
        into[: len(blocks)] = key.encrypt(bytes(blocks), mechanism=mechanism)

    @asked
    def random(self, size_bytes: int) -> bytes:
        """Return random bytes of the token."""
        return bytes(self._session.generate_random(size_bytes * 8)) if size_bytes else b""

    @asked
    def wrap(self, ref: KeyRef, wrapping: Secret) -> bytes:
        """Wrap a key (AES: its bytes; private: PKCS #8) by RFC 5649; some tokens pad what they wrap with zeros."""
        symmetric = ref.purpose in material.SYMMETRIC_PURPOSES
        kind = ObjectClass.SECRET_KEY if symmetric else ObjectClass.PRIVATE_KEY
        return bytes(self._wrapper(wrapping).wrap_key(self._object(kind, ref), mechanism=Mechanism.AES_KEY_WRAP_PAD))

    @asked
    def unwrap(
        self, ref: KeyRef, algorithm: KeyAlgorithm, wrapped: bytes, public_key: bytes | None, wrapping: Secret
    ) -> str:
        """Take a wrapped key in, with its public half; returns its check value."""
        self.drop(ref)
        wrapper, names = self._wrapper(wrapping), {"label": _label(ref), "store": True}
        mechanism = Mechanism.AES_KEY_WRAP_PAD
        template: dict[Attribute, Any] = {**_PRIVATE_USES, **self._kept}
        if public_key is None:
            kind, uses = _symmetric(algorithm)
            template = {**uses, **self._kept}
            wrapper.unwrap_key(ObjectClass.SECRET_KEY, kind, wrapped, mechanism=mechanism, template=template, **names)
            return self._check_value(ref, algorithm)
        public = _public_object(public_key)
        wrapper.unwrap_key(
            ObjectClass.PRIVATE_KEY,
            public[Attribute.KEY_TYPE],
            wrapped,
            mechanism=mechanism,
            template=template,
            **names,
        )
        self._session.create_object({**public, Attribute.LABEL: _label(ref), Attribute.TOKEN: True})
        return material.public_check_value(self.public_key(ref)).hex().upper()

    @asked
    def save(self, ring: KeyRing, identity: VaultIdentity) -> None:
        """Write the ring into a new object, then remove the one before; of two that a crash leaves the newer counts."""
        before = self._rings()
        content = {
            "vault_id": identity.vault_id,
            "generation": identity.generation,
            "saved": 1 + max((json.loads(item[Attribute.VALUE])["saved"] for item in before), default=0),
            "seen": ring.seen.isoformat() if ring.seen else None,
            "keys": [item for _, item in ring.to_json()],
        }
        self._session.create_object(
            {
                Attribute.CLASS: ObjectClass.DATA,
                Attribute.LABEL: _RING_LABEL,
                Attribute.TOKEN: True,
                Attribute.PRIVATE: True,
                Attribute.VALUE: json.dumps(content).encode(),
            }
        )
        for item in before:
            item.destroy()

    @asked
    def load(self) -> tuple[VaultIdentity, KeyRing] | None:
        """Read the newest ring; None in a token without one."""
        try:
            contents = [json.loads(item[Attribute.VALUE]) for item in self._rings()]
            newest = max(contents, key=lambda content: int(content["saved"]), default=None)
            if newest is None:
                return None
            identity = VaultIdentity(newest["vault_id"], newest["generation"])
            return identity, KeyRing.from_json(newest["keys"], newest.get("seen"))
        except (KeyError, ValueError, TypeError) as error:
            raise VaultDamaged(
                "the token's key ring cannot be read: restore it", path="token", previous=None
            ) from error

    @asked
    def holds(self, ref: KeyRef) -> bool:
        """Tell whether a key's object is there."""
        kind = ObjectClass.SECRET_KEY if ref.purpose in material.SYMMETRIC_PURPOSES else ObjectClass.PRIVATE_KEY
        return bool(list(self._session.get_objects({Attribute.CLASS: kind, Attribute.LABEL: _label(ref)})))

    @asked
    def close(self) -> None:
        """Log out."""
        self._found = {}
        try:
            if self._signers is not None:
                self._signers.close()
            self._session.close()
        finally:
            self._on_close()

    def _rings(self) -> list[Any]:
        return list(self._session.get_objects({Attribute.CLASS: ObjectClass.DATA, Attribute.LABEL: _RING_LABEL}))

    def _object(self, kind: ObjectClass, ref: KeyRef) -> Any:
        if (kind, ref) not in self._found:
            found = list(self._session.get_objects({Attribute.CLASS: kind, Attribute.LABEL: _label(ref)}))
            if not found:
                raise VaultDamaged(
                    f"the token has lost {ref.purpose} version {ref.version}: restore it from a backup",
                    path="token",
                    previous=None,
                )
            self._found[kind, ref] = found[0]
        return self._found[kind, ref]

    def _check_value(self, ref: KeyRef, algorithm: KeyAlgorithm) -> str:
        """A symmetric key's check value, as `material.symmetric_check_value` has it."""
        size = material.block_size_of(algorithm)
        key, block = self._object(ObjectClass.SECRET_KEY, ref), bytes([size == AES_BLOCK]) * size
        return bytes(key.encrypt(block, mechanism=_MECHANISMS[size]))[:3].hex().upper()

    def _wrapper(self, wrapping: Secret) -> Any:
        """The transport key as an object that goes with the session."""
        inside = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False}
        uses = {Attribute.TOKEN: False, Attribute.WRAP: True, Attribute.UNWRAP: True}
        return self._session.create_object({**_secret_key(wrapping, KeyType.AES), **inside, **uses})


def _symmetric(algorithm: KeyAlgorithm) -> tuple[KeyType, dict[Attribute, Any]]:
    """What kind of key the token is to hold, and what for."""
    return (KeyType.DES2, _DES_USES) if algorithm is KeyAlgorithm.DES3 else (KeyType.AES, _AES_USES)


def _secret_key(key: Secret, kind: KeyType) -> dict[Attribute, Any]:
    return {
        Attribute.CLASS: ObjectClass.SECRET_KEY,
        Attribute.KEY_TYPE: kind,
        Attribute.VALUE: key.reveal(),
        Attribute.TOKEN: True,
    }


def _public_object(public_key: bytes) -> dict[Attribute, Any]:
    loaded = serialization.load_der_public_key(public_key)
    if isinstance(loaded, rsa.RSAPublicKey):
        pkcs1 = loaded.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)
        return dict(decode_rsa_public_key(pkcs1))
    if isinstance(loaded, ec.EllipticCurvePublicKey):
        return dict(decode_ec_public_key(public_key))
    raise VaultUnavailable("tokens take no Ed25519 key from elsewhere: make a new one in the token", path="token")


def _label(ref: KeyRef) -> str:
    return f"uec/{ref.purpose}/{ref.version}"


def dss(signatures: Sequence[bytes]) -> list[bytes]:
    """ECDSA signatures come as r and s side by side; certificates want them in DER (X.690; at most 127 bytes here)."""
    half = len(signatures[0]) // 2 if signatures else 0
    heads = [[_heads(half, more_r, more_s) for more_s in (0, 1)] for more_r in (0, 1)]
    made = []
    for raw in signatures:
        r, s = raw[0], raw[half]
        if r and s:  # nearly all: numbers of full length, half of which need a zero where the first bit would be a sign
            first, second = heads[r >> 7][s >> 7]
            made.append(first + raw[:half] + second + raw[half:])
        else:
            made.append(_short(raw[:half], raw[half:]))
    return made


def _heads(half: int, more_r: int, more_s: int) -> tuple[bytes, bytes]:
    """What stands before r and before s; `more_r` and `more_s` are 1 for a number that gets a zero in front."""
    first = bytes((0x30, 2 * half + more_r + more_s + 4, 0x02, half + more_r)) + bytes(more_r)
    return first, bytes((0x02, half + more_s)) + bytes(more_s)


def _short(r: bytes, s: bytes) -> bytes:
    numbers = _integer(r) + _integer(s)
    return bytes((0x30, len(numbers))) + numbers


def _integer(value: bytes) -> bytes:
    """An unsigned number as an INTEGER: no needless zeros in front, one where the first bit would be a sign."""
    stripped = value.lstrip(b"\x00")
    if not stripped or stripped[0] & 0x80:
        stripped = b"\x00" + stripped
    return bytes((0x02, len(stripped))) + stripped
