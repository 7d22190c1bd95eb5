"""Stop-list documents: signed, read back, and refused when anything is not as signed."""

import base64
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuance.errors import InvalidStopList, IssuerExpired
from issuance.keys.port import KeyAlgorithm, KeyPurpose
from issuance.pki import stoplist
from issuance.pki.signing import Signer
from issuance.pki.stoplist import Delta, Scope, Snapshot, StopEntry, Stopped
from tests.support.keys import NOW, make_vault
from tests.support.pki import TODAY, Authority, make_authority

LOST = StopEntry(Stopped(Scope.CARD, "9643000000000017"), "lost", TODAY)
APPLET = Stopped(Scope.APPLET, "9643000000000025/F000000001")
SNAPSHOT = Snapshot(12, TODAY, TODAY + timedelta(hours=1), (LOST,))
DELTA = Delta(13, TODAY, TODAY + timedelta(hours=1), (LOST,), (APPLET,))


@pytest.mark.parametrize(
    "document", [SNAPSHOT, DELTA, Snapshot(0, TODAY, TODAY, ())], ids=["snapshot", "delta", "empty"]
)
def test_a_document_reads_back(authority: Authority, document: stoplist.Document) -> None:
    data = stoplist.sign(authority.document_signer, document)
    assert stoplist.verify(data, authority.trust, now=TODAY) == document
    assert data == stoplist.canonical(json.loads(data))


def test_spaces_added_on_the_way_do_not_matter(authority: Authority) -> None:
    data = json.dumps(json.loads(stoplist.sign(authority.document_signer, DELTA)), indent=2).encode()
    assert stoplist.verify(data, authority.trust, now=TODAY) == DELTA


def altered(data: bytes, **changes: Any) -> bytes:
    envelope = json.loads(data)
    envelope["body"].update(changes)
    return json.dumps(envelope).encode()


@pytest.mark.parametrize(
    "changes",
    [{"number": 14}, {"removed": []}, {"added": []}, {"next_update": "2030-01-01T00:00:00+00:00"}, {"extra": 1}],
    ids=str,
)
def test_any_change_of_the_body_is_refused(authority: Authority, changes: dict[str, Any]) -> None:
    data = stoplist.sign(authority.document_signer, DELTA)
    with pytest.raises(InvalidStopList) as caught:
        stoplist.verify(altered(data, **changes), authority.trust, now=TODAY)
    assert "signature is wrong" in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [{"format": "uec-stop-list/2"}, {"number": -1}, {"number": "12"}, {"number": True}, {"kind": "other"},
     {"issued_at": "2026-03-02T00:00:00"}, {"issued_at": "soon"}, {"added": None}, {"added": [{}]},
     {"added": [{"scope": "person", "id": "1", "reason": "x", "since": "2026-03-02T00:00:00Z"}]}],
    ids=str,
)  # fmt: skip
def test_a_malformed_body_is_refused(authority: Authority, changes: dict[str, Any]) -> None:
    data = stoplist.sign(authority.document_signer, DELTA)
    with pytest.raises(InvalidStopList):
        stoplist.verify(altered(data, **changes), authority.trust, now=TODAY)


@given(noise=st.binary(max_size=60) | st.sampled_from([b"{}", b"[]", b"null", b'{"body": 1}', b"[" * 5000]))
def test_noise_is_refused_and_nothing_worse(authority: Authority, noise: bytes) -> None:
    with pytest.raises(InvalidStopList):
        stoplist.verify(noise, authority.trust, now=TODAY)


def test_a_signature_of_the_same_key_over_something_else_is_no_stop_list(authority: Authority) -> None:
    envelope = json.loads(stoplist.sign(authority.document_signer, DELTA))
    (bare,) = authority.document_signer.sign([stoplist.canonical(envelope["body"])])
    envelope["signature"] = base64.b64encode(bare).decode()
    with pytest.raises(InvalidStopList):
        stoplist.verify(stoplist.canonical(envelope), authority.trust, now=TODAY)


def test_only_the_document_signer_of_this_authority_is_believed(authority: Authority, tmp_path: Path) -> None:
    key = authority.vault.public_key(authority.vault.active(KeyPurpose.STATION))
    station = Signer.find(authority.vault, KeyPurpose.STATION, authority.issue("station", public_key=key))
    with pytest.raises(InvalidStopList) as caught:
        stoplist.verify(stoplist.sign(station, DELTA), authority.trust, now=TODAY)
    assert "something else" in str(caught.value)
    with make_vault(tmp_path / "vault") as vault:
        stranger = make_authority(vault)
        with pytest.raises(InvalidStopList):
            stoplist.verify(stoplist.sign(stranger.document_signer, DELTA), authority.trust, now=TODAY)


def test_a_list_from_the_future_asks_to_check_the_clock(authority: Authority) -> None:
    data = stoplist.sign(authority.document_signer, DELTA)
    with pytest.raises(InvalidStopList) as caught:
        stoplist.verify(data, authority.trust, now=TODAY - timedelta(seconds=1))
    assert "clock" in str(caught.value)


def test_an_expired_signer_signs_no_list(authority: Authority) -> None:
    late = TODAY + timedelta(days=4000)
    with pytest.raises(IssuerExpired):
        stoplist.sign(authority.document_signer, Snapshot(1, late, late, ()))


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.EC_P384, KeyAlgorithm.RSA_2048])
def test_other_signature_algorithms_work_too(tmp_path: Path, algorithm: KeyAlgorithm) -> None:
    with make_vault(tmp_path / "vault") as vault:
        vault.generate(KeyPurpose.DOCUMENT_SIGNER, algorithm, now=NOW)
        other = make_authority(vault)
        data = stoplist.sign(other.document_signer, SNAPSHOT)
        assert stoplist.verify(data, other.trust, now=TODAY) == SNAPSHOT
