"""Every certified key is looked at again at night; what is wrong is found and stands in the audit."""

from collections.abc import Collection
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from issuance.errors import UnfitKey
from issuance.keys.port import KeyAlgorithm
from issuance.pki.hygiene import WeakKeyList, public_key_digest
from tests.support.keys import make_vault
from tests.support.pki import TODAY, Authority, fresh_public_key, make_authority
from uec.domain.lifecycle import CertificateState
from uec.services import key_sweep
from uec.store.tables import AuditEntry, Certificate


def store(session: Session, authority: Authority, number: int, *, der: bytes | None = None) -> int:
    key = fresh_public_key()
    row = Certificate(
        profile="authentication",
        serial=f"{number:032x}",
        tbs_digest="0" * 64,
        public_key_digest=public_key_digest(key),
        subject="CN=x",
        not_before=TODAY,
        not_after=TODAY + timedelta(days=10),
        state=CertificateState.INTENDED,
        intended_at=TODAY,
    )
    session.add(row)
    session.flush()
    row.state, row.issued_at = CertificateState.ISSUED, TODAY
    row.der = authority.issue(public_key=key) if der is None else der
    session.flush()
    return row.id


def test_sound_keys_give_no_finding_and_the_sweep_is_noted(sessions: sessionmaker[Session], tmp_path: Path) -> None:
    with make_vault(tmp_path / "vault") as vault, sessions() as session:
        authority = make_authority(vault)
        for number in range(1, 6):
            store(session, authority, number)
        swept = key_sweep.sweep_keys(session, now=TODAY)
        assert (swept.looked_at, swept.findings) == (5, {})
        details = session.scalars(select(AuditEntry.details).where(AuditEntry.action == "certificate.sweep")).one()
        assert details == {"looked_at": 5, "found": 0, "first": {}, "weak_keys_known": 0}


def test_what_has_become_weak_or_was_swapped_or_is_unreadable_is_found(
    sessions: sessionmaker[Session], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_sweep, "PART", 2)
    with make_vault(tmp_path / "vault") as vault, sessions() as session:
        authority = make_authority(vault)
        sound = store(session, authority, 1)
        swapped = store(session, authority, 2, der=authority.issue())
        broken = store(session, authority, 3, der=b"\x30\x00")
        weak = store(session, authority, 4)
        weak_digest = session.get_one(Certificate, weak).public_key_digest
        real = key_sweep.check_public_key

        def stricter(spki: bytes, kinds: Collection[KeyAlgorithm], *, weak_keys: WeakKeyList) -> None:
            real(spki, kinds, weak_keys=weak_keys)
            if public_key_digest(spki) == weak_digest:
                raise UnfitKey("on a list that came later", finding="listed")

        monkeypatch.setattr(key_sweep, "check_public_key", stricter)
        swept = key_sweep.sweep_keys(session, now=TODAY)
        assert swept.looked_at == 4
        assert swept.findings == {swapped: "another-key", broken: "unreadable", weak: "listed"}
        assert sound not in swept.findings
        details = session.scalars(select(AuditEntry.details).where(AuditEntry.action == "certificate.sweep")).one()
        assert details["found"] == 3 and details["first"][str(weak)] == "listed"
