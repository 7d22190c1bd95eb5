"""Certificates, OCSP answers and revocation lists a CPU-second, beside bare signatures by the same key."""

from __future__ import annotations

import hashlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from issuance.keys.file_vault import FileVault
from issuance.keys.port import KeyAlgorithm, KeyPurpose
from issuance.pki import ocsp, template
from issuance.pki.ca import CertificateRequest
from issuance.pki.crl import RevocationReason, RevokedEntry, build_crl, encode_entry
from issuance.pki.names import encode_subject
from issuance.pki.signing import Signer
from scripts.benchmarks.figure import Figure
from tests.support.keys import NOW, make_vault
from tests.support.pki import TODAY, Authority, fresh_public_key, make_authority

RUNS = 5
GOALS = {KeyAlgorithm.EC_P256: 0.85, KeyAlgorithm.RSA_2048: 0.95}
OCSP_GOAL = 0.8


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
        yield from _crl(authority, 100_000 if quick else 1_000_000)


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


def _crl(authority: Authority, count: int) -> Iterator[Figure]:
    entries = [
        encode_entry(RevokedEntry((1 << 127) + number, TODAY, RevocationReason.SUPERSEDED)) for number in range(count)
    ]
    signer = authority.ca.signer

    def floor() -> None:
        signer.vault.sign_digests(signer.ref, [hashlib.sha256(b"".join(entries)).digest()])

    bare, built = _cpu_seconds(
        floor,
        lambda: build_crl(signer, number=1, this_update=TODAY, next_update=TODAY + timedelta(days=1), entries=entries),
    )
    yield Figure(f"pki.crl.{count}.splice-and-sign", "cpu-s", built, bare)
