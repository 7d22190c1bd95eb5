"""Certificates, OCSP answers, card keys, revocation lists and a token, each beside what it costs bare."""

from __future__ import annotations

import hashlib
import resource
import statistics
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pkcs11
from sqlalchemy.orm import Session

from card_io.ciphers import aes_ecb_encrypt
from issuance.keys import card_keys
from issuance.keys.access import ClientKind
from issuance.keys.client import VaultClient
from issuance.keys.file_vault import FileVault
from issuance.keys.pkcs11_vault import Pkcs11Vault
from issuance.keys.port import KeyAlgorithm, KeyPurpose
from issuance.keys.service import VaultService
from issuance.pki import ocsp, template
from issuance.pki.ca import CertificateRequest
from issuance.pki.crl import RevocationReason, RevokedEntry, build_crl, encode_entry
from issuance.pki.names import encode_subject
from issuance.pki.signing import Signer
from scripts.benchmarks.figure import Figure, median_seconds
from tests.support.keys import NOW, make_vault
from tests.support.pki import TODAY, Authority, fresh_public_key, make_authority
from tests.support.postgres import PREFIX, Server, server_programs
from tests.support.tokens import PIN_HALVES, new_token
from uec.services import crl_entries
from uec.store.engine import make_engine, session_factory

RUNS = 5
GOALS = {KeyAlgorithm.EC_P256: 0.85, KeyAlgorithm.RSA_2048: 0.95}
OCSP_GOAL = 0.8
CARD_KEYS_GOAL = 0.7
CRL_GOAL, CRL_MEMORY_GOAL_MB = 1.5, 700
TOKEN_GOAL = 0.9


def figures(*, quick: bool) -> Iterator[Figure | str]:
    """Every figure with its floor from the same run."""
    count = 500 if quick else 4000
    with tempfile.TemporaryDirectory() as folder, make_vault(Path(folder) / "vault") as vault:
        for algorithm in GOALS:
            vault.generate(KeyPurpose.CA_ISSUING, algorithm, now=NOW)
            authority = make_authority(vault)
            yield from _certificates(authority, algorithm, count if algorithm is KeyAlgorithm.EC_P256 else count // 4)
        vault.generate(KeyPurpose.CA_ISSUING, KeyAlgorithm.EC_P256, now=NOW)
        authority = make_authority(vault)
        yield from _ocsp(vault, authority, count)
        yield _card_keys(100_000 if quick else 1_400_000)
        yield from _crl_from_database(authority, 50_000 if quick else 1_000_000)
        yield _token(Path(folder), 10 if quick else 50)


def _cpu_seconds(*works: Callable[[], object]) -> list[float]:
    """Median CPU seconds of each piece of work; they take turns, so that a busy machine is busy for all of them."""
    samples: list[list[float]] = [[] for _ in works]
    for run in range(RUNS + 1):
        for work, sample in zip(works, samples, strict=True):
            started = time.process_time()
            work()
            if run:  # the first one warms up
                sample.append(time.process_time() - started)
    return [statistics.median(sample) for sample in samples]


def _requests(authority: Authority, count: int) -> list[CertificateRequest]:
    """Requests of `count` cards: a key and a subject of their own each."""
    keys = [fresh_public_key() for _ in range(min(count, 200))]
    config = authority.ca.config
    return [
        replace(
            authority.request(public_key=keys[number % len(keys)]),
            subject=config.subject(
                common_name=f"Иванова Мария {number}",
                surname="Иванова",
                given_name="Мария",
                serial_number=f"{number:016d}",
            ),
            serial=(1 << 127) + number,
        )
        for number in range(count)
    ]


def _certificates(authority: Authority, algorithm: KeyAlgorithm, count: int) -> Iterator[Figure]:
    ca, vault = authority.ca, authority.vault
    requests = _requests(authority, count)
    messages = [ca.prepare(request).tbs_der for request in requests]
    profile = ca.profiles["authentication"]
    filled = template.for_profile(profile, ca.signer, ca.config, None)

    def from_template() -> None:
        tbs = [
            filled.fill(
                item.serial,
                template.validity(item.not_before, item.not_after),
                encode_subject(item.subject, profile),
                item.public_key,
            )
            for item in requests
        ]
        ca.assemble(tbs)

    bare, templated, whole = _cpu_seconds(
        lambda: vault.sign(ca.signer.ref, messages),
        from_template,
        lambda: ca.sign([ca.prepare(request) for request in requests], now=TODAY),
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
    bare, signed = _cpu_seconds(
        lambda: vault.sign(signer.ref, messages), lambda: responder.presign(states, period, now=TODAY)
    )
    yield Figure("pki.ocsp.signed", "1/cpu-s", count / signed, count / bare, OCSP_GOAL)


def _card_keys(cards: int) -> Figure:
    """Three keys a card, a thousand cards a call; the floor is AES over blocks made before, cut into keys."""
    kdds = [number.to_bytes(10, "big") for number in range(cards)]
    batches = [kdds[at : at + 1000] for at in range(0, cards, 1000)]
    key = bytes(range(16))
    blocks = [b"".join(kdd + bytes(6) for kdd in batch) * 3 for batch in batches]
    master = card_keys.Master(16, lambda _: [], lambda data: aes_ecb_encrypt(key, data))

    def floor() -> None:
        for batch in blocks:
            struct.unpack("16s" * (len(batch) // 16), aes_ecb_encrypt(key, batch))

    def derive() -> None:
        for batch in batches:
            card_keys.kdf3_streams(master, batch)

    bare, derived = _cpu_seconds(floor, derive)
    return Figure(f"pki.card-keys.{cards}x3", "1/cpu-s", 3 * cards / derived, 3 * cards / bare, CARD_KEYS_GOAL)


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
        entries = crl_entries.complete(session, part=None, parts=0, now=TODAY)
        assert entries.count == count
        end = TODAY + timedelta(days=1)
        build_crl(signer, number=1, this_update=TODAY, next_update=end, entries=entries.pieces)

    bare, built = (median_seconds(work, runs=3) for work in (floor, publish))
    yield Figure(f"pki.crl.{count}.from-database", "s", built, bare, CRL_GOAL, at_most=True)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    yield Figure(f"pki.crl.{count}.memory", "MB", memory, None, CRL_MEMORY_GOAL_MB, at_most=True)


def _token(folder: Path, batches: int) -> Figure:
    """P-256 signatures by SoftHSM2, a hundred a request over the vault's socket, beside python-pkcs11 alone."""
    token = new_token(folder / "token")
    with Pkcs11Vault.create(token, PIN_HALVES) as vault:
        ref = vault.generate(KeyPurpose.CA_ISSUING, KeyAlgorithm.EC_P256, now=NOW)
    messages = [[b"%d-%d" % (batch, number) * 40 for number in range(100)] for batch in range(batches)]
    pin = "".join(half.reveal().decode() for half in PIN_HALVES)
    session = pkcs11.lib(str(token.module)).get_token(token_label=token.label).open(user_pin=pin)
    key = session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, label=f"uec/{ref.purpose}/{ref.version}")

    def bare() -> None:
        for batch in messages:
            for message in batch:
                key.sign(hashlib.sha256(message).digest(), mechanism=pkcs11.Mechanism.ECDSA)

    floor = median_seconds(bare, runs=3)
    session.close()
    path = folder / "v.sock"
    with (
        Pkcs11Vault.unlock(token, PIN_HALVES) as vault,
        VaultService(vault, path),
        VaultClient(path, ClientKind.HUB) as client,
    ):
        served = median_seconds(lambda: [client.sign(ref, batch) for batch in messages], runs=3)
    count = 100 * batches
    return Figure("pki.vault.softhsm2.batches-of-100", "1/s", count / served, count / floor, TOKEN_GOAL)
