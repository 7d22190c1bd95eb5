"""A bureau's software by somebody who has read `issuance/bureau/format.md` and nothing else: Python's library, openssl.

    python -I stranger.py FOLDER ORDER.p7m TRANSPORT-KEY-HEX PROFILE.toml MOMENT

FOLDER holds encryption.key, encryption.pem, signature.key, signature.pem and office.pem. Writes acknowledgement.p7s and
results.p7s into it, and prints what it has read as JSON. Chips it has none: the keys of the cards are made by openssl.
"""

import hashlib
import json
import subprocess
import sys
import tomllib
from pathlib import Path

folder, (order, transport, toml, moment) = Path(sys.argv[1]), sys.argv[2:]
profile = tomllib.loads(Path(toml).read_text("utf-8"))


def openssl(*words: object, data: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *map(str, words)], input=data, capture_output=True, check=True).stdout


def objects(data: bytes) -> list[tuple[int, bytes, int]]:
    found, at = [], 0
    while at < len(data):
        tag, size, start = data[at], data[at + 1], at + 2
        if size > 0x80:
            start += size - 0x80
            size = int.from_bytes(data[at + 2 : start], "big")
        found.append((tag, data[start : start + size], at))
        at = start + size
    return found


def put(tag: int, body: bytes) -> bytes:
    size = len(body)
    more = b"" if size < 0x80 else size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag]) + (bytes([0x80 + len(more)]) + more if more else bytes([size])) + body


def unwrap(wrapped: bytes) -> bytes:
    return openssl("enc", "-d", "-id-aes256-wrap", "-K", transport, "-iv", "A6" * 8, data=wrapped)


def check_value(key: bytes) -> bytes:
    return openssl("enc", f"-aes-{8 * len(key)}-ecb", "-nopad", "-K", key.hex(), data=b"\x01" * 16)[:3]


def read() -> list[tuple[int, bytes, int]]:
    key, certificate, office = folder / "encryption.key", folder / "encryption.pem", folder / "office.pem"
    cms = ("-binary", "-inform", "DER", "-in")
    openssl("cms", "-decrypt", *cms, order, "-inkey", key, "-recip", certificate, "-out", folder / "inner")
    trust = ("-certfile", office, "-CAfile", office, "-partial_chain", "-no_check_time", "-purpose", "any")
    content = openssl("cms", "-verify", *cms, folder / "inner", *trust)
    records = objects(content)
    (trailer, body, start), head = records[-1], records[0]
    counts = {value[0]: int.from_bytes(value[1:], "big") for tag, value, _ in objects(body) if tag == 0x80}
    assert (head[0], trailer, counts) == (0xE0, 0xEF, {tag: sum(r[0] == tag for r in records) for tag in (0xE1, 0xE2)})
    assert {tag: value for tag, value, _ in objects(body)}[0x81] == hashlib.sha256(content[:start]).digest()
    return records


def write(kind: bytes, number: int, records: list[tuple[int, bytes]]) -> None:
    own = [(0x80, header[0x80]), (0x81, kind), *((tag, header[tag]) for tag in range(0x82, 0x86))]
    own += [(0x86, moment.encode()), (0x87, number.to_bytes(2, "big")), (0x88, digest)]
    content = put(0xE0, b"".join(put(*one) for one in own)) + b"".join(put(*one) for one in records)
    kinds = sorted({tag for tag, _ in records})
    counts = b"".join(put(0x80, bytes([k]) + sum(t == k for t, _ in records).to_bytes(4, "big")) for k in kinds)
    content += put(0xEF, counts + put(0x81, hashlib.sha256(content).digest()))
    (folder / "plain").write_bytes(content)
    signer = ("-signer", folder / "signature.pem", "-inkey", folder / "signature.key")
    sign = ("-sign", "-binary", "-nodetach", "-md", "sha256", "-outform", "DER", "-in", folder / "plain", *signer)
    openssl("cms", *sign, "-out", folder / f"{kind.decode()}.p7s")


def groups(data: bytes) -> dict[int, int]:
    found, at = {}, 0
    while at < len(data):
        long = data[at + 2] == 0xFF
        size = int.from_bytes(data[at + 3 : at + 5], "big") if long else data[at + 2]
        found[int.from_bytes(data[at : at + 2], "big")] = size
        at += (5 if long else 3) + size
    assert at == len(data)
    return found


def made(card: dict[int, bytes], chip: dict[int, bytes]) -> bytes:
    body, identity = b"", chip[0x80]
    cplc = identity[:4] + bytes(8) + identity[6:10] + identity[4:6] + bytes(24)
    for slot in profile["keys"]:
        assert slot["algorithm"] == "ec-p256"
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", folder / "card.key")
        public = openssl("pkey", "-in", folder / "card.key", "-pubout", "-outform", "DER")
        name = slot["name"].encode()
        bound = b"uec bureau key proof\0\0" + digest + b"\0" + card[0x80] + b"\0" + name
        challenge = hashlib.sha256(bound).digest()
        proof = openssl("dgst", "-sha256", "-sign", folder / "card.key", data=challenge)
        body += put(0xA5, put(0x80, name) + put(0x81, public) + put(0x82, proof))
    kvn = bytes([int(terms["kvn"])])
    facts = ((0x80, card[0x80]), (0x81, identity), (0x82, cplc), (0x83, kvn), (0x84, chip[0x85]))
    return b"".join(put(*one) for one in facts) + body


records = read()
fields = [(tag, objects(body)) for tag, body, _ in records]
header = {tag: value for tag, value, _ in fields[0][1]}
digest = {tag: value for tag, value, _ in fields[-1][1]}[0x81]
terms = dict(value.decode().split("=", 1) for tag, value, _ in fields[0][1] if tag == 0x89)
cards = [{tag: value for tag, value, _ in one} for kind, one in fields if kind == 0xE1]
chips = [{tag: value for tag, value, _ in one} for kind, one in fields if kind == 0xE2]
assert check_value(bytes.fromhex(transport)).hex().upper() == terms["transport"].split(":")[1]
for chip in chips:
    for wrapped, values in ((0x82, 0x83), (0x84, 0x85)):
        keys = unwrap(chip[wrapped])
        size = len(keys) // 3
        parts = [keys[at : at + size] for at in range(0, len(keys), size)]
        assert b"".join(check_value(part) for part in parts) == chip[values]
for (kind, body, _), (_, own) in zip(records, fields, strict=True):
    if kind == 0xE1:
        assert hashlib.sha256(body[: own[-1][2]]).digest() == own[-1][1]
sizes = len(cards).to_bytes(4, "big"), len(chips).to_bytes(4, "big")
word = put(0x80, b"accepted") + put(0x81, b"") + put(0x82, sizes[0]) + put(0x83, sizes[1])
write(b"acknowledgement", 1, [(0xE3, word)])
results = [(0xE4, made(card, chip)) for card, chip in zip(cards, chips, strict=False)]
spare = chips[len(cards)][0x80]
results.append((0xE5, put(0x80, spare) + put(0x81, b"dead") + put(0x82, b"it did not answer") + put(0x83, b"")))
parcel = put(0x80, b"PARCEL-1") + put(0x81, b"SEAL-77") + b"".join(put(0x82, card[0x80]) for card in cards)
write(b"results", 2, [*results, (0xE9, parcel)])
names = {card[0x80].decode(): groups(card[0x81]) for card in cards}
print(json.dumps({"cards": names, "chips": len(chips), "terms": terms}))
