"""Security objects made in bulk are those made one by one: the same bytes signed, the same bytes put together."""

import hashlib
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuance.errors import InvalidSecurityObject, IssuerExpired, PkiError
from issuance.keys.port import KeyAlgorithm, KeyPurpose
from issuance.pki import security_batch, security_object
from issuance.pki.security_object import encode
from tests.support.keys import make_vault
from tests.support.pki import TODAY, Authority, make_authority, openssl, pem

GROUPS = {1: b"card", 2: b"person", 3: b"documents", 4: b"photo"}
DIGESTS = st.dictionaries(st.integers(1, 16), st.binary(min_size=32, max_size=32), min_size=1).map(
    lambda found: dict(sorted(found.items()))
)


@pytest.fixture(params=[KeyAlgorithm.EC_P256, KeyAlgorithm.EC_P384, KeyAlgorithm.RSA_2048])
def authority(request: pytest.FixtureRequest, tmp_path: Path) -> Authority:
    vault = make_vault(tmp_path / "vault")
    vault.generate(KeyPurpose.DOCUMENT_SIGNER, request.param, now=TODAY)
    made = make_authority(vault)
    request.addfinalizer(vault.close)
    return made


def test_a_card_put_together_again_is_verified_as_if_signed_alone(authority: Authority, tmp_path: Path) -> None:
    signer, lists = authority.document_signer, [security_batch.hash_list(GROUPS), {1: hashlib.sha256(b"x").digest()}]
    signatures = security_batch.sign(signer, security_batch.contents(lists), now=TODAY)
    whole = [
        security_batch.assemble(signer.certificate, one, signed_at=TODAY, signature=signature)
        for one, signature in zip(lists, signatures, strict=True)
    ]
    found = security_object.verify(whole[0], authority.trust, GROUPS)
    assert found.digests == lists[0] and found.signed_at == TODAY and found.certificate == signer.certificate
    assert security_object.verify(whole[1], authority.trust).digests == lists[1]
    file, root = tmp_path / "object.der", tmp_path / "issuing.pem"
    file.write_bytes(whole[0])
    pem(root, authority.ca.issuing)
    checked = openssl(
        "cms", "-verify", "-inform", "DER", "-in", file, "-CAfile", root, "-partial_chain", "-purpose", "any",
        "-binary", "-out", tmp_path / "content",
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr
    assert (tmp_path / "content").read_bytes() == encode(lists[0])


def test_a_signer_out_of_its_time_signs_nothing(authority: Authority) -> None:
    with pytest.raises(IssuerExpired):
        security_batch.sign(authority.document_signer, [b"content"], now=TODAY + timedelta(days=5000))


@given(st.lists(DIGESTS, max_size=5))
def test_contents_are_those_encoded_one_by_one(lists: list[dict[int, bytes]]) -> None:
    assert security_batch.contents(lists) == [encode(one) for one in lists]


def test_an_impossible_list_is_refused_as_ever() -> None:
    for wrong in ({}, {17: bytes(32)}):
        with pytest.raises(PkiError):
            security_batch.contents([wrong])
    with pytest.raises(ValueError, match="order"):
        security_batch.contents([{2: bytes(32), 1: bytes(32)}])


def test_other_digests_give_a_signature_that_does_not_fit(authority: Authority) -> None:
    signer, one = authority.document_signer, security_batch.hash_list(GROUPS)
    (signature,) = security_batch.sign(signer, security_batch.contents([one]), now=TODAY)
    other = one | {2: bytes(32)}
    whole = security_batch.assemble(signer.certificate, other, signed_at=TODAY, signature=signature)
    with pytest.raises(InvalidSecurityObject):
        security_object.verify(whole, authority.trust)


@given(st.lists(st.lists(st.binary(max_size=80), min_size=3, max_size=3), min_size=1, max_size=4))
def test_contents_of_columns_are_those_of_the_cards(cards: list[list[bytes]]) -> None:
    columns = {number: [card[place] for card in cards] for place, number in enumerate((1, 2, 16))}
    lists = [security_batch.hash_list(dict(zip(columns, card, strict=True))) for card in cards]
    assert security_batch.contents_of(columns) == security_batch.contents(lists)


def test_columns_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="order"):
        security_batch.contents_of({2: [b"two"], 1: [b"one"]})
