"""Signed and encrypted files: read back by whom they are for alone, and no byte of them can be changed."""

from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from issuance.bureau.envelope import EncryptingWriter, read_enveloped
from issuance.bureau.errors import BureauFileRefused
from issuance.bureau.records import FileKind, Tag, checked
from issuance.bureau.reply import Finished
from issuance.bureau.sealed import opened_order, opened_reply
from issuance.bureau.signing import SigningWriter, issuer_and_serial, read_signed
from issuance.bureau.standin.identity import ENCRYPTION
from issuance.pki import der
from tests.support.bureau import NOW, Partner, header, partner, sealed_file, signed_file

KINDS = ("ec-p256", "ec-p384", "rsa-2048")
RECORDS = [(Tag.FINISHED, Finished("1" * 16, bytes(10)).encode())]


def sealed_bytes(recipient: Partner, signer: Partner, content: bytes) -> bytes:
    out = BytesIO()
    envelope = EncryptingWriter(out.write, recipient.certificate)
    signed = SigningWriter(envelope.write, signer.signer, now=NOW)
    for at in range(0, len(content), 777):
        signed.write(content[at : at + 777])
    signed.close()
    envelope.close()
    return out.getvalue()


def opened_bytes(file: bytes, recipient: Partner, signer: Partner) -> bytes:
    inner, content = BytesIO(), BytesIO()
    read_enveloped(BytesIO(file), recipient.certificate, recipient.key, inner.write)
    inner.seek(0)
    read_signed(inner, signer.certificate, content.write)
    return content.getvalue()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 200_001])
def test_any_size_for_any_kind_of_key(kind: str, size: int) -> None:
    recipient, signer = partner(kind, ENCRYPTION), partner(kind)
    content = bytes(range(256)) * (size // 256) + bytes(size % 256)
    assert opened_bytes(sealed_bytes(recipient, signer, content), recipient, signer) == content


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_recipient_opens_it(kind: str) -> None:
    file = sealed_bytes(partner(kind, ENCRYPTION), partner(), b"keys")
    for other in (partner(kind, ENCRYPTION, "Other"), partner("ec-p256", ENCRYPTION, "Third")):
        with pytest.raises(BureauFileRefused) as caught:
            read_enveloped(BytesIO(file), other.certificate, other.key, lambda piece: None)
        assert caught.value.finding in {"not-for-us", "not-cms"}


def test_another_signer_is_refused() -> None:
    reply = signed_file(header(FileKind.RESULTS), RECORDS, partner().signer)
    with opened_reply(BytesIO(reply), partner().certificate) as stream:
        assert checked(stream).counts[Tag.FINISHED] == 1
    with (
        pytest.raises(BureauFileRefused) as caught,
        opened_reply(BytesIO(reply), partner("ec-p256", "signature", "Other").certificate),
    ):
        pass
    assert caught.value.finding == "wrong-signer"


def test_a_signature_by_another_key_under_the_same_name_is_refused() -> None:
    own = partner()
    forged = signed_file(
        header(FileKind.RESULTS), RECORDS, Partner(partner("ec-p256", ENCRYPTION).key, own.certificate).signer
    )
    with pytest.raises(BureauFileRefused) as caught:
        read_signed(BytesIO(forged), own.certificate, lambda piece: None)
    assert caught.value.finding == "wrong-signature"


SMALL = ("ec-p256", "rsa-2048")
ORDERS = {
    kind: sealed_file(header(), [], partner(kind).signer, partner(kind, ENCRYPTION).certificate) for kind in SMALL
}
REPLIES = {kind: signed_file(header(FileKind.RESULTS), RECORDS, partner(kind).signer) for kind in SMALL}


@pytest.mark.parametrize("kind", SMALL)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_any_flipped_byte_of_an_order_is_refused(kind: str, tmp_path: Path, data: st.DataObject) -> None:
    damaged = bytearray(ORDERS[kind])
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
    path, recipient = tmp_path / "order.p7m", partner(kind, ENCRYPTION)
    path.write_bytes(damaged)
    with (
        pytest.raises(BureauFileRefused),
        opened_order(path, recipient=recipient.certificate, key=recipient.key, signer=partner(kind).certificate),
    ):
        pass


@pytest.mark.parametrize("kind", SMALL)
def test_every_flipped_bit_of_a_reply_is_refused(kind: str) -> None:
    reply = REPLIES[kind]
    certificate, taken = partner(kind).certificate, []
    for place in range(len(reply)):
        damaged = bytearray(reply)
        damaged[place] ^= 1 << place % 8
        try:
            read_signed(BytesIO(bytes(damaged)), certificate, lambda piece: None)
            taken.append(place)
        except BureauFileRefused:
            continue
    assert taken == []


@pytest.mark.parametrize("kind", SMALL)
def test_every_bit_of_the_version_that_no_signature_covers_counts(kind: str) -> None:
    """The signer's part says its version as an INTEGER and as nothing else, before the name of who signed."""
    reply, certificate = REPLIES[kind], partner(kind).certificate
    end = reply.rindex(issuer_and_serial(certificate))
    assert reply[end - 3 : end] == der.integer(1)
    for bit in range(24):
        damaged = bytearray(reply)
        damaged[end - 3 + bit // 8] ^= 1 << bit % 8
        with pytest.raises(BureauFileRefused):
            read_signed(BytesIO(bytes(damaged)), certificate, lambda piece: None)


@pytest.mark.parametrize("kind", SMALL)
def test_a_file_cut_off_anywhere_is_refused(kind: str) -> None:
    signer, recipient = partner(kind), partner(kind, ENCRYPTION)
    for end in range(0, len(REPLIES[kind]), 7):
        with pytest.raises(BureauFileRefused):
            read_signed(BytesIO(REPLIES[kind][:end]), signer.certificate, lambda piece: None)
    for end in range(0, len(ORDERS[kind]), 7):
        with pytest.raises(BureauFileRefused):
            read_enveloped(BytesIO(ORDERS[kind][:end]), recipient.certificate, recipient.key, lambda piece: None)


@given(st.binary(max_size=200))
def test_no_other_bytes_are_taken_or_crash(content: bytes) -> None:
    recipient = partner("ec-p256", ENCRYPTION)
    with pytest.raises(BureauFileRefused):
        read_signed(BytesIO(content), partner().certificate, lambda piece: None)
    with pytest.raises(BureauFileRefused):
        read_enveloped(BytesIO(content), recipient.certificate, recipient.key, lambda piece: None)


def test_bytes_behind_the_end_are_refused() -> None:
    with pytest.raises(BureauFileRefused) as caught:
        read_signed(BytesIO(REPLIES["ec-p256"] + b"\x00"), partner().certificate, lambda piece: None)
    assert caught.value.finding == "trailing-bytes"
