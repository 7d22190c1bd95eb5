"""The signature in a PIV card's identifier: made in the vault, checked by OpenSSL, refused when anything changes."""

import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from card_io.applets.piv import ObjectId, parse_chuid
from issuance.errors import InvalidSecurityObject
from issuance.pki import chuid_signature, der
from issuance.production.piv import objects
from tests.support.keys import NOW
from tests.support.line import PIV_PROFILE, Line, make_line

CONTENT = bytes.fromhex("3019d4e739da739ced39ce739d836858210842108421c84210c3eb3410") + bytes(16) + b"\xfe\x00"


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    made = make_line(tmp_path_factory.mktemp("piv"), PIV_PROFILE)
    yield made
    made.office.vault.close()


def signed(line: Line, content: bytes = CONTENT) -> bytes:
    return chuid_signature.sign(line.office.document_signer, content, now=line.office.clock())


def test_the_issuers_own_signature_holds(line: Line) -> None:
    signature = signed(line)
    line.anchors.require_identifier(signature, CONTENT)
    with pytest.raises(InvalidSecurityObject):
        line.anchors.require_identifier(signature, CONTENT + b"\0")


@pytest.mark.parametrize("place", range(0, len(CONTENT), 7))
def test_a_changed_identifier_is_refused(line: Line, place: int) -> None:
    other = bytearray(CONTENT)
    other[place] ^= 1
    with pytest.raises(InvalidSecurityObject, match="identifier is not signed"):
        line.anchors.require_identifier(signed(line), bytes(other))


def test_every_byte_of_the_signature_counts(line: Line) -> None:
    whole = signed(line)
    for place in range(0, len(whole), 23):
        broken = whole[:place] + bytes([whole[place] ^ 0x01]) + whole[place + 1 :]
        with pytest.raises(InvalidSecurityObject):
            line.anchors.require_identifier(broken, CONTENT)
    for cut in (b"", whole[:-1], whole + b"\x00"):
        with pytest.raises(InvalidSecurityObject):
            line.anchors.require_identifier(cut, CONTENT)


def test_another_issuer_is_not_trusted(line: Line, tmp_path: Path) -> None:
    stranger = make_line(tmp_path, PIV_PROFILE)
    with pytest.raises(InvalidSecurityObject):
        line.anchors.require_identifier(signed(stranger), CONTENT)
    stranger.office.vault.close()


def test_the_content_is_left_out_and_the_signer_is_named(line: Line) -> None:
    whole = signed(line)
    assert CONTENT not in whole
    assert der.oid(chuid_signature.CHUID_SECURITY_OBJECT) in whole
    subject = x509.load_der_x509_certificate(line.office.document_signer.certificate).subject.public_bytes()
    assert der.sequence(der.oid(chuid_signature.PIV_SIGNER_DN), der.set_of([subject])) in whole


def test_openssl_checks_it(line: Line, tmp_path: Path) -> None:
    (tmp_path / "signature.der").write_bytes(signed(line))
    (tmp_path / "content").write_bytes(CONTENT)
    command = ["openssl", "cms", "-verify", "-inform", "DER", "-in", "signature.der", "-content", "content", "-binary"]
    done = subprocess.run([*command, "-noverify", "-out", "out"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out").read_bytes() == CONTENT


def test_what_is_signed_is_all_but_the_signature(line: Line) -> None:
    plain = objects.chuid(line.profile, "9643600000000001", (NOW + timedelta(days=1)).date())
    covered = objects.signed_part(plain.encode())
    assert covered == plain.encode().replace(b"\x3e\x00", b"")
    assert parse_chuid(plain.encode()).signature == b""
    assert ObjectId.CHUID == 0x5FC102
