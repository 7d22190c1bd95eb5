"""Certificates, OCSP answers, card keys, revocation lists and a token, each beside what it costs bare."""

from __future__ import annotations

import hashlib
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from sqlalchemy.orm import Session

from issuance.keys.file_vault import FileVault
from issuance.keys.port import KeyAlgorithm, KeyPurpose
from issuance.pki import ocsp, template
from issuance.pki.ca import CertificateRequest
from issuance.pki.crl import RevocationReason, RevokedEntry, build_crl, encode_entry
from issuance.pki.names import encode_subject
from issuance.pki.signing import Signer
from scripts.benchmarks import keys
from scripts.benchmarks import ocsp as ocsp_served
from scripts.benchmarks.figure import Figure, median_seconds, medians
from tests.support.keys import NOW, make_vault
from tests.support.pki import TODAY, Authority, fresh_public_key, make_authority
from tests.support.postgres import PREFIX, Server, server_programs
from uec.services import crl_entries
from uec.store.engine import make_engine, session_factory

RUNS = 25
CARD_PROFILES = ("authentication", "signature", "key-agreement")
GOALS = {KeyAlgorithm.EC_P256: 0.85, KeyAlgorithm.RSA_2048: 0.95}
OCSP_GOAL = 0.8
CRL_GOAL, CRL_MEMORY_GOAL_MB = 1.5, 700


def figures(*, quick: bool) -> Iterator[Figure | str]:
    """Every figure with its floor from the same run."""
    count = 500 if quick else 1000
    with tempfile.TemporaryDirectory() as folder, make_vault(Path(folder) / "vault") as vault:
        for algorithm in GOALS:
            vault.generate(KeyPurpose.CA_ISSUING, algorithm, now=NOW)
            authority = make_authority(vault)
            yield from _certificates(authority, algorithm, count if algorithm is KeyAlgorithm.EC_P256 else count // 4)
        vault.generate(KeyPurpose.CA_ISSUING, KeyAlgorithm.EC_P256, now=NOW)
        authority = make_authority(vault)
        yield from _ocsp(vault, authority, count)
        yield from ocsp_served.figures(quick=quick)
        yield from _crl_from_database(authority, 50_000 if quick else 1_000_000)
        yield from keys.figures(quick=quick)


def _requests(authority: Authority, count: int) -> list[CertificateRequest]:
    """So many requests, three a card: a card's certificates name one subject, each has a key of its own."""
    publics = [fresh_public_key() for _ in range(min(count, 200))]
    subjects = [
        authority.ca.config.subject(
            common_name=f"Иванова Мария {number}",
            surname="Иванова",
            given_name="Мария",
            serial_number=f"{number:016d}",
        )
        for number in range(-(-count // len(CARD_PROFILES)))
    ]
    return [
        replace(
            authority.request(CARD_PROFILES[number % len(CARD_PROFILES)], public_key=publics[number % len(publics)]),
            subject=subjects[number // len(CARD_PROFILES)],
            serial=(1 << 127) + number,
        )
        for number in range(count)
    ]


def _anew(requests: Sequence[CertificateRequest]) -> list[CertificateRequest]:
    """The same requests of cards that nothing is remembered of."""
    subjects = {id(request.subject): replace(request.subject) for request in requests}
    return [replace(request, subject=subjects[id(request.subject)]) for request in requests]


def _certificates(authority: Authority, algorithm: KeyAlgorithm, count: int) -> Iterator[Figure]:
    ca, vault = authority.ca, authority.vault
    requests = _requests(authority, count)
    messages = [ca.prepare(request).tbs_der for request in requests]
    made = {
        name: (ca.profiles[name], template.for_profile(ca.profiles[name], ca.signer, ca.config, None))
        for name in CARD_PROFILES
    }

    key_digest = {item.public_key: item.key_digest for item in requests}
    # Each run meets cards that are new to it.
    templated_requests, whole_requests = (iter([_anew(requests) for _ in range(RUNS + 1)]) for _ in range(2))

    def from_template() -> None:
        tbs = []
        for item in next(templated_requests):
            profile, filled = made[item.profile]
            tbs.append(
                filled.fill(
                    item.serial,
                    template.validity(item.not_before, item.not_after),
                    encode_subject(item.subject, profile),
                    item.public_key,
                    key_digest[item.public_key],  # known since the key was looked up among all others
                )
            )
        ca.assemble(tbs)

    bare, templated, whole = medians(
        (
            lambda: vault.sign(ca.signer.ref, messages),
            from_template,
            lambda: ca.sign([ca.prepare(request) for request in next(whole_requests)], now=TODAY),
        ),
        runs=RUNS,
        clock=time.process_time,
    )
    name = f"pki.certificates.{algorithm}"
    yield Figure(name, "1/cpu-s", count / templated, count / bare, GOALS[algorithm])
    yield Figure(f"{name}.with-hygiene", "1/cpu-s", count / whole, count / bare)


def _ocsp(vault: FileVault, authority: Authority, count: int) -> Iterator[Figure]:
    key = vault.public_key(vault.active(KeyPurpose.OCSP))
    certificate = authority.issue("ocsp", public_key=key, subject=authority.ca.config.subject(common_name="OCSP"))
    signer = Signer.find(vault, KeyPurpose.OCSP, certificate)
    responder = ocsp.Responder(signer, authority.ca.issuing)
    period = ocsp.Period(TODAY, TODAY + timedelta(hours=1))
    states: dict[int, ocsp.Status] = {(1 << 127) + number: ocsp.Good() for number in range(count)}
    messages = [bytes(250)] * count
    bare, signed = medians(
        (lambda: vault.sign(signer.ref, messages), lambda: responder.presign(states, period, now=TODAY)),
        runs=RUNS,
        clock=time.process_time,
    )
    yield Figure("pki.ocsp.signed", "1/cpu-s", count / signed, count / bare, OCSP_GOAL)


def _crl_from_database(authority: Authority, count: int) -> Iterator[Figure]:
    """A list of `count` entries out of PostgreSQL; the floor copies the same entries out, hashes and signs."""
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir="/tmp") as folder:
        server = Server(_programs(), Path(folder))
        try:
            engine = make_engine(server.dsn(server.migrated()))
            with session_factory(engine)() as session:
                _fill(session, count)
                yield from _crl_figures(session, authority, count)
            engine.dispose()
        finally:
            server.stop()


def _programs() -> Path:
    found = server_programs()
    if found is None:
        raise SystemExit("PostgreSQL is needed: apt-get install postgresql")
    return found


def _fill(session: Session, count: int) -> None:
    session.connection().exec_driver_sql(
        "INSERT INTO certificate (id, profile, serial, tbs_digest, public_key_digest, subject, not_before, not_after,"
        " state, intended_at) SELECT n, 'authentication', '8' || lpad(to_hex(n), 31, '0'), '', n::text, 'CN=x', now(),"
        f" now() + interval '5 years', 'INTENDED', now() FROM generate_series(1, {count}) n"
    )
    copy = "COPY revocation (id, certificate_id, reason, revoked_at, entry_der) FROM STDIN (FORMAT BINARY)"
    with session.connection().connection.cursor().copy(copy) as rows:
        rows.set_types(["int4", "int4", "varchar", "timestamptz", "bytea"])
        for number in range(1, count + 1):
            entry = encode_entry(RevokedEntry((1 << 127) + number, TODAY, RevocationReason.SUPERSEDED))
            rows.write_row((number, number, "superseded", TODAY, entry))
    session.connection().exec_driver_sql("ANALYZE")
    session.commit()


def _crl_figures(session: Session, authority: Authority, count: int) -> Iterator[Figure]:
    signer = authority.ca.signer
    query = (
        "COPY (SELECT r.entry_der FROM revocation r JOIN certificate c ON c.id = r.certificate_id"
        " WHERE r.lifted_at IS NULL AND c.not_after >= now()) TO STDOUT (FORMAT BINARY)"
    )

    def floor() -> None:
        digest = hashlib.sha256()
        with session.connection().connection.cursor().copy(query) as rows:
            for data in rows:
                digest.update(data)
        signer.vault.sign_digests(signer.ref, [digest.digest()])

    def publish() -> None:
        entries = crl_entries.complete(session, part=None, now=TODAY)
        assert entries.count == count
        end = TODAY + timedelta(days=1)
        build_crl(signer, number=1, this_update=TODAY, next_update=end, entries=entries.pieces)

    bare, built = (median_seconds(work, runs=3) for work in (floor, publish))
    yield Figure(f"pki.crl.{count}.from-database", "s", built, bare, CRL_GOAL, at_most=True)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    yield Figure(f"pki.crl.{count}.memory", "MB", memory, None, CRL_MEMORY_GOAL_MB, at_most=True)
