"""The issuing process is killed (SIGKILL) at random moments; database, vault and certificates are then reconciled.

The vault writes down every message it signs, so a certificate that somebody holds and the database does not know would
be found, wherever it went.
"""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from cryptography import x509
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from issuance.keys.port import KeyPurpose, KeyRef
from issuance.keys.service import VaultService
from issuance.production.bundle import Record, RecordKind
from tests.support.desk import CardOffice, open_card_office
from tests.support.issuing_process import keys_of, made_by
from tests.support.office import POLICY
from uec.domain.actors import system_actor
from uec.domain.lifecycle import CertificateState
from uec.services import certification, journal, publication
from uec.store.tables import Card, Certificate, OcspAnswer


@dataclass
class Scene:
    """An office with one card being written, and everything its vault has signed as an issuing authority."""

    office: CardOffice
    card_id: int
    url: str
    socket: Path
    signed: list[bytes] = field(default_factory=list)

    def issue(self, number: int) -> dict[str, bytes]:
        bench = self.office.desk.bench
        issuer = certification.Issuer(bench.ca, bench.profile, datetime.now(UTC), bench.random)
        with self.office.sessions() as session:
            return certification.issue(session, self.card_id, made_by(number), issuer=issuer)

    def rows(self) -> list[Certificate]:
        with self.office.sessions() as session:
            return list(session.scalars(select(Certificate).where(Certificate.card_id == self.card_id)))


@pytest.fixture
def scene(sessions: sessionmaker[Session], database_url: str, tmp_path: Path) -> Iterator[Scene]:
    office = open_card_office(sessions, tmp_path, start=datetime.now(UTC) - timedelta(hours=1))
    office.approve_applicants(1)
    for batch_id in office.plan():
        office.release(batch_id)
    with sessions() as session:
        card_id = session.scalars(select(Card.id)).one()
        claimed = Record(RecordKind.CHIP_CLAIMED, {"chip_id": "00" * 10})
        journal.append(session, card_id, claimed, operation_id=None, actor=system_actor("test"), now=datetime.now(UTC))
    vault = office.desk.bench.vault
    with TemporaryDirectory(prefix="uec-") as short:
        made = Scene(office, card_id, database_url, Path(short) / "v.sock")
        sign = vault.sign

        def write_down(ref: KeyRef, messages: Sequence[bytes]) -> list[bytes]:
            if ref.purpose is KeyPurpose.CA_ISSUING:
                made.signed += messages
            return sign(ref, messages)

        vault.sign = write_down  # type: ignore[method-assign]
        with VaultService(vault, made.socket):
            yield made
    vault.close()


def kill_again_and_again(scene: Scene, kills: int) -> tuple[int, Counter[str]]:
    """Kill so often; the number of the last request that was told as done, and what was found after each kill."""
    chance, last, found = random.Random(20260302), -1, Counter[str]()
    command = [sys.executable, "-m", "tests.support.issuing_process", scene.url, str(scene.socket), str(scene.card_id)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        pace = 0.0  # what a request takes here and now: the kills strike within two of them
        for turn in range(kills):
            process.stdin.write(f"go {last + 1}\n")
            process.stdin.flush()
            pid = int(process.stdout.readline())
            assert process.stdout.readline() == "ready\n"
            signed_before, begun = len(scene.signed), time.monotonic()
            if not turn:
                assert int(process.stdout.readline()) == last + 1
                last, pace = last + 1, time.monotonic() - begun
            time.sleep(chance.uniform(0, 2 * pace))
            os.kill(pid, signal.SIGKILL)
            while (line := process.stdout.readline()) != "ended\n":
                assert int(line) == last + 1, "the same request is done once, then the next"
                last += 1
            found[after(scene, last, scene.signed[signed_before:])] += 1
        process.stdin.close()
        process.wait()
    return last, found


def after(scene: Scene, last: int, bodies: Sequence[bytes]) -> str:
    """What the killed process left of the request it was at; `bodies` is what it had signed."""
    digests = {hashlib.sha256(key).hexdigest() for key in keys_of(last + 1).values()}
    torn = [row for row in scene.rows() if row.public_key_digest in digests]
    if not torn:
        return "nothing begun"
    if all(row.der is not None for row in torn):
        return "issued and not told"
    assert all(row.der is None for row in torn), "all certificates of a request are kept at once"
    signed = {hashlib.sha256(body).hexdigest() for body in bodies}
    return "signed and lost" if any(row.tbs_digest in signed for row in torn) else "intended and not signed"


def reconcile(scene: Scene, last: int) -> None:
    issuing = x509.load_der_x509_certificate(scene.office.desk.bench.ca.issuing)
    for number in range(last + 2):  # the torn one too: whoever asks again gets it
        made = scene.issue(number)
        assert scene.issue(number) == made
    rows = scene.rows()
    assert len(rows) == (last + 2) * len(keys_of(0))
    known = {row.tbs_digest for row in rows}
    signed = {hashlib.sha256(body).hexdigest() for body in scene.signed}
    assert signed <= known, "something was signed that the database does not know"
    assert len({row.public_key_digest for row in rows}) == len(rows), "a key has one certificate"
    assert {row.state for row in rows} == {CertificateState.HELD}
    for row in rows:
        parsed = x509.load_der_x509_certificate(row.der or b"")
        parsed.verify_directly_issued_by(issuing)
        assert hashlib.sha256(parsed.tbs_certificate_bytes).hexdigest() == row.tbs_digest
        assert f"{parsed.serial_number:032x}" == row.serial
    with scene.office.sessions() as session:
        publication.publish_due(session, scene.office.desk.bench.ca, policy=POLICY, now=datetime.now(UTC))
        listed = x509.load_der_x509_crl(publication.latest_crl(session))
        assert {entry.serial_number for entry in listed} == {int(row.serial, 16) for row in rows}
        expected = set(session.scalars(select(OcspAnswer.certificate_id)))
        assert {row.id for row in rows} <= expected


def check_killed_often(scene: Scene, kills: int, tell: Callable[[str, object], None]) -> None:
    last, found = kill_again_and_again(scene, kills)
    reconcile(scene, last)
    tell("counted", f"{kills} kills, {last + 1} requests told as done; left behind: {dict(found)}")
    assert sum(found.values()) == kills
    assert found["nothing begun"] < kills, "it was never killed at work"


@pytest.mark.slow
def test_killed_at_twenty_moments_nothing_is_unknown_and_nothing_twice(
    scene: Scene, record_property: Callable[[str, object], None]
) -> None:
    check_killed_often(scene, 20, record_property)


@pytest.mark.nightly
@pytest.mark.slow
def test_killed_at_many_moments_nothing_is_unknown_and_nothing_twice(
    scene: Scene, record_property: Callable[[str, object], None]
) -> None:
    check_killed_often(scene, 150, record_property)
