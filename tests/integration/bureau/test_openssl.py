"""The files with the most used CMS tool: `openssl cms` reads ours, and we read what it signs."""

import subprocess
from io import BytesIO
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import load_der_x509_certificate

from issuance.bureau.errors import BureauFileRefused
from issuance.bureau.records import FileKind, RecordWriter, Tag, checked
from issuance.bureau.reply import Finished
from issuance.bureau.signing import read_signed
from issuance.bureau.standin.identity import ENCRYPTION
from tests.support.bureau import Partner, header, partner, sealed_file

KINDS = ("ec-p256", "ec-p384", "rsa-2048")
RECORDS = [(Tag.FINISHED, Finished(f"{number:016}", bytes(10)).encode()) for number in range(4000)]


def openssl(*arguments: object) -> None:
    done = subprocess.run(["openssl", "cms", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def on_disk(folder: Path, name: str, one: Partner) -> tuple[Path, Path]:
    key, certificate = folder / f"{name}.key", folder / f"{name}.pem"
    key.write_bytes(one.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    certificate.write_bytes(load_der_x509_certificate(one.certificate).public_bytes(Encoding.PEM))
    return key, certificate


@pytest.mark.parametrize("kind", KINDS)
def test_openssl_decrypts_and_verifies_an_order(kind: str, tmp_path: Path) -> None:
    recipient, signer = partner(kind, ENCRYPTION), partner(kind)
    key, certificate = on_disk(tmp_path, "bureau", recipient)
    _, trusted = on_disk(tmp_path, "office", signer)
    order, inner, content = (tmp_path / name for name in ("order.p7m", "inner.p7s", "order.bin"))
    order.write_bytes(sealed_file(header(FileKind.RESULTS), RECORDS, signer.signer, recipient.certificate))
    openssl(
        "-decrypt", "-binary", "-inform", "DER", "-in", order, "-inkey", key, "-recip", certificate, "-out", inner
    )  # fmt: skip
    openssl(
        "-verify", "-binary", "-inform", "DER", "-in", inner, "-CAfile", trusted, "-no_check_time", "-purpose", "any",
        "-out", content,
    )  # fmt: skip
    with content.open("rb") as stream:
        found = checked(stream)
    assert (found.header, found.counts[Tag.FINISHED]) == (header(FileKind.RESULTS), len(RECORDS))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("option", ["-binary", "-stream", "-keyid", "-nocerts", "-md=sha512"])
def test_a_reply_signed_by_openssl_is_read(kind: str, option: str, tmp_path: Path) -> None:
    signer = partner(kind)
    key, certificate = on_disk(tmp_path, "bureau", signer)
    plain, reply = tmp_path / "reply.bin", tmp_path / "reply.p7s"
    with plain.open("wb") as file:
        writer = RecordWriter(file.write, header(FileKind.RESULTS))
        for tag, body in RECORDS:
            writer.add(tag, body)
        digest = writer.close()
    openssl(
        "-sign", "-binary", "-nodetach", "-outform", "DER", "-in", plain, "-signer", certificate, "-inkey", key,
        "-out", reply, *option.split("="),
    )  # fmt: skip
    content = BytesIO()
    with reply.open("rb") as stream:
        assert read_signed(stream, signer.certificate, content.write) is not None
    content.seek(0)
    assert checked(content).digest == digest


def test_a_detached_signature_holds_no_reply(tmp_path: Path) -> None:
    signer = partner()
    key, certificate = on_disk(tmp_path, "bureau", signer)
    plain, reply = tmp_path / "reply.bin", tmp_path / "reply.p7s"
    plain.write_bytes(b"results")
    openssl(
        "-sign", "-binary", "-outform", "DER", "-in", plain, "-signer", certificate, "-inkey", key, "-out", reply
    )  # fmt: skip
    with pytest.raises(BureauFileRefused), reply.open("rb") as stream:
        read_signed(stream, signer.certificate, lambda piece: None)
