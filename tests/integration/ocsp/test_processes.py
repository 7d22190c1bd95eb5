"""The real processes (`uec ocsp run`, `uec worker`, `uec scheduler`) before OpenSSL's own client.

The whole story stands in one test a database, because starting the processes is what costs.
"""

import base64
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp as library
from sqlalchemy import select

from tests.integration.ocsp.conftest import Site
from uec.jobs import JOBS
from uec.ocsp.desk import KEEP
from uec.services import authority, cards, ocsp_answers
from uec.store.tables import AuditEntry, OcspSigner

SEEN_WITHIN = timedelta(minutes=1)
WAIT_S = 120.0


def wait_until(holds: Callable[[], bool]) -> float:
    """Wait; how many seconds it took."""
    started = time.monotonic()
    while not holds():
        assert time.monotonic() - started < WAIT_S, "it took too long"
        time.sleep(0.25)
    return time.monotonic() - started


def all_signed(site: Site) -> bool:
    site.processes.check()
    with site.office.sessions() as session:
        stock = ocsp_answers.stock(session, now=datetime.now(UTC))
    return stock.answers > 0 and stock.due == 0


def request_of(site: Site) -> bytes:
    with site.office.sessions() as session:
        issuing = authority.certificates(session).issuing
    builder = library.OCSPRequestBuilder().add_certificate(
        x509.load_der_x509_certificate(site.certificate()), x509.load_der_x509_certificate(issuing), hashes.SHA1()
    )
    return builder.build().public_bytes(Encoding.DER)


@pytest.mark.slow
def test_a_suspension_is_seen_within_a_minute_and_every_question_gets_its_answer(site: Site) -> None:
    site.start("worker", "scheduler", "ocsp")
    wait_until(lambda: all_signed(site))
    for arguments in (("-no_nonce",), (), ("-sha256",)):
        asked = site.openssl_asks(*arguments)
        assert "Response verify OK" in asked.stderr, asked.stderr
        assert ": good" in asked.stdout
    never = site.openssl_asks("-no_nonce", about=("-serial", "0x1234567890"))
    assert "Response verify OK" in never.stderr and ": unknown" in never.stdout

    get = f"{site.url}/{quote(base64.b64encode(request_of(site)).decode(), safe='')}"
    first = httpx.get(get)
    assert (first.status_code, first.headers["content-type"]) == (200, "application/ocsp-response")
    assert library.load_der_ocsp_response(first.content).serial_number == site.serial
    assert httpx.get(get, headers={"If-None-Match": first.headers["etag"]}).status_code == 304
    assert {"max-age=15", "must-revalidate"} <= set(first.headers["cache-control"].split(", "))
    assert first.headers["last-modified"].endswith("GMT") and first.headers["expires"].endswith("GMT")

    with site.office.sessions() as session:
        cards.suspend(session, site.card_id, actor=site.office.staff.security, reason="lost", now=datetime.now(UTC))
    fresh = wait_until(lambda: "certificateHold" in site.openssl_asks().stdout)
    cached = wait_until(lambda: "certificateHold" in site.openssl_asks("-no_nonce").stdout)
    # Half a minute for the rhythm and for what the responder and a cache keep; the other half is the machine's.
    assert JOBS["ocsp"].every + KEEP <= SEEN_WITHIN / 2
    print(f"a suspension was seen after {fresh:.1f} s with a nonce, {fresh + cached:.1f} s without")
    wait_until(lambda: all_signed(site))

    site.vault.stop()
    ahead = site.openssl_asks("-no_nonce")
    assert "Response verify OK" in ahead.stderr and "certificateHold" in ahead.stdout, "no vault is needed for it"
    assert "trylater" in site.openssl_asks().stdout + site.openssl_asks().stderr
    assert "malformed" in error_of(httpx.post(site.url, content=b"noise").content)
    assert "malformed" in error_of(httpx.post(site.url, content=bytes(100_000)).content)
    assert "malformed" in error_of(httpx.get(f"{site.url}/{'A' * 300}").content)
    assert httpx.put(site.url, content=b"").status_code == 405
    with site.office.sessions() as session:
        assert len(session.scalars(select(OcspSigner).where(OcspSigner.der.is_not(None))).all()) == 1
        issued = select(AuditEntry.subject_id).where(AuditEntry.subject_kind == "ocsp-signer")
        assert session.scalars(issued).all() == ["1"]


def error_of(answer: bytes) -> str:
    return library.load_der_ocsp_response(answer).response_status.name.lower()
