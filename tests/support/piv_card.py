"""A PIV card reduced to what NIST SP 800-73-5 part 2 makes a client see, with real cryptography and a log of commands.

It exists to lay the commands of this project's host beside those of an independent client: it takes chained, short
and extended commands alike and logs each as one (INS, P1, P2, data).
"""

import os
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from card_io import tlv
from card_io.apdu import CommandAPDU
from card_io.applets.piv import AdminAlgorithm

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
Call = tuple[int, int, int, bytes]


def _properties() -> bytes:
    algorithms = b"".join(tlv.encode(0x80, bytes([code])) for code in (0x07, 0x11, 0x14)) + b"\x06\x01\x00"
    inner = tlv.encode(0x4F, bytes.fromhex("00001000 0100".replace(" ", "")))
    return tlv.encode(0x61, inner + tlv.encode(0x50, b"PIV card") + tlv.encode(0xAC, algorithms))


@dataclass
class PivCard:
    """The card; `version` is what it tells a client that asks (INS FD), `room` how large an object may be."""

    admin: bytes
    algorithm: AdminAlgorithm = AdminAlgorithm.TDES
    version: bytes = b"\x04\x03\x05"
    pin: bytes = b"123456\xff\xff"
    puk: bytes = b"12345678"
    room: int = 3000
    attests: bool = True
    tries: dict[int, int] = field(default_factory=lambda: {0x80: 3, 0x81: 3})
    keys: dict[int, Key] = field(default_factory=dict)
    objects: dict[bytes, bytes] = field(default_factory=dict)
    log: list[Call] = field(default_factory=list)
    verified: bool = False
    is_admin: bool = False
    atr: bytes = b"\x3b\x80\x01\x81"
    _chain: bytes = b""
    _rest: bytes = b""
    _witness: bytes = b""
    _challenge: bytes = b""

    def transmit(self, raw: bytes) -> bytes:
        """One raw command."""
        command = CommandAPDU.decode(raw)
        if command.ins == 0xC0:
            return self._part(command.le or 256)
        self._chain += command.data
        if command.cla & 0x10:
            return b"\x90\x00"
        data, self._chain = self._chain, b""
        self.log.append((command.ins, command.p1, command.p2, data))
        answer = self._run(command, data)
        if answer[-2:] != b"\x90\x00" or len(answer) <= 258 or command.extended:
            return answer
        self._rest = answer[:-2]
        return self._part(256)

    def close(self) -> None:
        """Forget the session."""
        self.verified = self.is_admin = False

    def _part(self, size: int) -> bytes:
        part, self._rest = self._rest[:size], self._rest[size:]
        left = len(self._rest)
        return part + (b"\x90\x00" if not left else bytes([0x61, min(left, 256) & 0xFF]))

    def _run(self, command: CommandAPDU, data: bytes) -> bytes:
        match command.ins:
            case 0xA4:
                return _properties() + b"\x90\x00"
            case 0xFD:
                return self.version + b"\x90\x00"
            case 0xF7:
                return bytes.fromhex("0101") + bytes([self.algorithm]) + bytes.fromhex("02020001050100") + b"\x90\x00"
            case 0x20:
                return self._verify(command.p1, data)
            case 0x24 | 0x2C:
                return self._change(command, data)
            case 0x87:
                return self._general_authenticate(command, data)
            case 0x47:
                return self._generate(command.p2, data)
            case 0xCB:
                return self._get(data)
            case 0xDB:
                return self._put(data)
            case 0xF9 if self.attests:
                return b"\x30\x03\x02\x01\x01" * 80 + b"\x90\x00"
        return b"\x6d\x00"

    def _check(self, reference: int, value: bytes) -> bytes:
        right = self.pin if reference == 0x80 else self.puk
        if not self.tries[reference]:
            return b"\x69\x83"
        if value != right:
            self.tries[reference] -= 1
            return bytes([0x63, 0xC0 | self.tries[reference]]) if self.tries[reference] else b"\x69\x83"
        self.tries[reference] = 3
        return b"\x90\x00"

    def _verify(self, p1: int, data: bytes) -> bytes:
        if p1 == 0xFF:
            self.verified = False
            return b"\x90\x00"
        if not data:
            return b"\x90\x00" if self.verified else bytes([0x63, 0xC0 | self.tries[0x80]])
        answer = self._check(0x80, data)
        self.verified = answer == b"\x90\x00"
        return answer

    def _change(self, command: CommandAPDU, data: bytes) -> bytes:
        by = command.p2 if command.ins == 0x24 else 0x81
        answer = self._check(by, data[:8])
        if answer == b"\x90\x00":
            if command.p2 == 0x80:
                self.pin = data[8:]
                self.tries[0x80] = 3
            else:
                self.puk = data[8:]
        return answer

    def _general_authenticate(self, command: CommandAPDU, data: bytes) -> bytes:
        items = {item.tag: item.value for item in tlv.parse(tlv.single(data, 0x7C))}
        if command.p2 == 0x9B:
            return self._authenticate(items)
        if not self.verified and command.p2 != 0x9E:
            return b"\x69\x82"
        key = self.keys.get(command.p2)
        if key is None:
            return b"\x6a\x80"
        return _answer(0x82, _use(key, items))

    def _authenticate(self, items: dict[int, bytes]) -> bytes:
        if items.get(0x80) == b"":
            self._witness = os.urandom(self.algorithm.block_bytes)
            return _answer(0x80, self.algorithm.encrypt(self.admin, self._witness))
        if items.get(0x80) != self._witness:
            return b"\x69\x82"
        self.is_admin = True
        return _answer(0x82, self.algorithm.encrypt(self.admin, items[0x81]))

    def _generate(self, slot: int, data: bytes) -> bytes:
        if not self.is_admin:
            return b"\x69\x82"
        algorithm = tlv.require(data, 0xAC, 0x80)[0]
        if algorithm == 0x07:
            key = rsa.generate_private_key(65537, 2048)
            self.keys[slot] = key
            numbers = key.public_key().public_numbers()
            inner = tlv.encode(0x81, numbers.n.to_bytes(256, "big")) + tlv.encode(0x82, b"\x01\x00\x01")
            return tlv.encode(0x7F49, inner) + b"\x90\x00"
        curve_key = ec.generate_private_key(ec.SECP256R1() if algorithm == 0x11 else ec.SECP384R1())
        self.keys[slot] = curve_key
        point = curve_key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return tlv.encode(0x7F49, tlv.encode(0x86, point)) + b"\x90\x00"

    def _get(self, data: bytes) -> bytes:
        tag = tlv.require(data, 0x5C)
        if tag not in self.objects:
            return b"\x6a\x82"
        outer = int.from_bytes(tag, "big") if tag in (b"\x7e", b"\x7f\x61") else 0x53
        return tlv.encode(outer, self.objects[tag]) + b"\x90\x00"

    def _put(self, data: bytes) -> bytes:
        if not self.is_admin:
            return b"\x69\x82"
        first = tlv.parse(data)[0]
        if first.tag != 0x5C:
            self.objects[tlv.tag_bytes(first.tag)] = first.value
            return b"\x90\x00"
        content = tlv.require(data, 0x53)
        if len(content) > self.room:
            return b"\x6a\x84"
        self.objects[first.value] = content
        return b"\x90\x00"


def _answer(tag: int, value: bytes) -> bytes:
    return tlv.encode(0x7C, tlv.encode(tag, value)) + b"\x90\x00"


def _use(key: Key, items: dict[int, bytes]) -> bytes:
    if 0x85 in items:
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        peer = ec.EllipticCurvePublicKey.from_encoded_point(key.curve, items[0x85])
        return key.exchange(ec.ECDH(), peer)
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.private_numbers()
        value = pow(int.from_bytes(items[0x81], "big"), numbers.d, numbers.public_numbers.n)
        return value.to_bytes(256, "big")
    return key.sign(items[0x81], ec.ECDSA(Prehashed(SHA256() if key.key_size == 256 else SHA384())))


def self_signed(key: Key, size_bytes: int = 0) -> x509.Certificate:
    """A certificate over a key of a card, padded by a long name to at least `size_bytes`."""
    from datetime import UTC, datetime

    signer = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "card")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
    builder = builder.not_valid_after(datetime(2031, 1, 1, tzinfo=UTC))
    filler = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), bytes(max(1, size_bytes)))
    return builder.add_extension(filler, critical=False).sign(signer, SHA256())
