"""Answers one OCSP request: with what was signed ahead where it can, by the vault where it must (RFC 6960, RFC 5019).

Hides database and vault. Every request gets an answer of OCSP's own: a signed one, or one of its error statuses. What
was refused is counted, and told to log and audit once a minute and not each time: strangers decide how often that is.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session, sessionmaker

from issuance.errors import IssuanceError
from issuance.keys.port import Vault
from issuance.pki.ocsp import AskedIssuer, ErrorStatus, Period, assemble, cache_headers, error_response
from issuance.pki.ocsp_request import CertId, MalformedRequest, OcspRequest, decode_get, parse_request
from uec.domain.errors import UecError
from uec.services import authority, ocsp_answers, ocsp_signers
from uec.services.ocsp_signers import Delegate
from uec.store import audit
from uec.store.engine import reading

log = logging.getLogger(__name__)

KEEP = timedelta(seconds=15)
"""How long an answer is kept in memory, and by HTTP caches: with both, a decision is seen within half a minute."""
SIGNED_NOW = timedelta(minutes=10)
"""How long an answer speaks that was signed when asked for."""
LOOK_AGAIN = timedelta(minutes=1)
MEDIA_TYPE = "application/ocsp-response"


@dataclass(frozen=True)
class Reply:
    """An answer in DER with its HTTP headers; `keep` is whether the same question may be given it again for a while."""

    body: bytes
    headers: tuple[tuple[str, str], ...]
    keep: bool = False


class Desk:
    """What a responder process has. Its methods may be called by several threads at once."""

    def __init__(self, sessions: sessionmaker[Session], vault: Vault, *, clock: Callable[[], datetime]) -> None:
        """`vault` is asked only for what was not signed ahead."""
        self._sessions, self._vault, self._clock = sessions, vault, clock
        self._issuers: tuple[tuple[bytes, AskedIssuer], ...] = ()
        self._delegates: dict[bytes, Delegate] = {}
        self._looked_at = self._found_at = datetime.min.replace(tzinfo=UTC)
        self._told = Counter[str]()
        # Three, so that a vault that hangs holds up nobody whose answer was signed ahead.
        self._looking, self._signing, self._counting = threading.Lock(), threading.Lock(), threading.Lock()

    def answer_path(self, path: str) -> Reply:
        """Answer a GET; `path` is what follows the responder's address, percent-encoded base64."""
        try:
            return self.answer(decode_get(path))
        except MalformedRequest:
            return self._refuse(ErrorStatus.MALFORMED_REQUEST)

    def answer(self, data: bytes) -> Reply:
        """Answer a request in DER."""
        try:
            request = parse_request(data)
        except MalformedRequest:
            return self._refuse(ErrorStatus.MALFORMED_REQUEST)
        try:
            return self._answer(request, self._clock())
        except (UecError, IssuanceError) as error:
            log.warning("no answer could be given: %s", error)
            return self._refuse(ErrorStatus.TRY_LATER)

    def refuse_busy(self) -> Reply:
        """The answer while too many wait for theirs already."""
        return self._refuse(ErrorStatus.TRY_LATER)

    def count(self, kind: str, times: int = 1) -> None:
        """Count answers of a kind."""
        with self._counting:
            self._told[kind] += times

    def report(self) -> dict[str, int]:
        """Tell log and audit what was answered since the last report; returns the counts by kind."""
        with self._counting:
            told, self._told = dict(self._told), Counter()
        if told:
            log.info("answered: %s", ", ".join(f"{kind} {count}" for kind, count in sorted(told.items())))
        refused = {kind: told[kind] for kind in REFUSALS.values() if kind in told}
        if refused:
            with self._sessions() as session:
                audit.record(
                    session,
                    actor=ocsp_signers.ACTOR,
                    action="ocsp.refuse",
                    subject_kind="ocsp",
                    subject_id="all",
                    details=refused,
                    now=self._clock(),
                )
                session.commit()
        return told

    def _answer(self, request: OcspRequest, now: datetime) -> Reply:
        found = self._issuer(request, now)
        if found is None:
            return self._refuse(ErrorStatus.UNAUTHORIZED)
        issuing, issuer = found
        ahead = request.nonce is None and len(request.questions) == 1 and issuer.is_plain(request.questions[0])
        if ahead and (reply := self._signed_ahead(request.questions[0], issuer, now)) is not None:
            return reply
        return self._sign_now(request, issuing, now, keep=ahead)

    def _issuer(self, request: OcspRequest, now: datetime) -> tuple[bytes, AskedIssuer] | None:
        """The issuing authority that is asked about; a new one is known within a minute."""
        with self._looking:
            if not self._looked_at <= now < self._looked_at + LOOK_AGAIN:
                with reading(self._sessions) as session:
                    known = authority.issuing_in_use(session, now=now)
                self._issuers = tuple((issuing, AskedIssuer(issuing)) for issuing in known)
                self._looked_at = now
        for issuing, issuer in self._issuers:
            if any(issuer.is_ours(question) for question in request.questions):
                return issuing, issuer
        return None

    def _signed_ahead(self, question: CertId, issuer: AskedIssuer, now: datetime) -> Reply | None:
        with reading(self._sessions) as session:
            kept = ocsp_answers.kept(session, question.serial, now=now)
        if kept is None or issuer.cert_id(question.serial) not in kept.content:
            return None
        self.count("ahead")
        body = assemble(kept.content, kept.signer)
        return Reply(body, cache_headers(body, kept.period, keep=KEEP, now=now), keep=True)

    def _sign_now(self, request: OcspRequest, issuing: bytes, now: datetime, *, keep: bool) -> Reply:
        delegate = self._delegate(issuing, now)
        start = now.replace(microsecond=0)
        period = Period(start, start + SIGNED_NOW)
        with reading(self._sessions) as session:
            states = ocsp_answers.states(
                session, [question.serial for question in request.questions], delegate.responder.issuer
            )
        body = delegate.responder.respond(request, lambda _serials: states, period, now=start)
        self.count("signed")
        if not (keep and states):
            return Reply(body, (("Content-Type", MEDIA_TYPE), ("Cache-Control", "no-store")))
        return Reply(body, cache_headers(body, period, keep=KEEP, now=now), keep=True)

    def _delegate(self, issuing: bytes, now: datetime) -> Delegate:
        with self._signing:
            if issuing not in self._delegates or not self._found_at <= now < self._found_at + LOOK_AGAIN:
                with reading(self._sessions) as session:
                    found = ocsp_signers.delegates(session, self._vault, now=now)
                self._delegates, self._found_at = {delegate.issuing: delegate for delegate in found}, now
            if issuing not in self._delegates:
                raise ocsp_signers.NoSigner(
                    "Nobody may sign answers about certificates yet: start `uec worker`, or run `uec ocsp refresh`."
                )
            return self._delegates[issuing]

    def _refuse(self, status: ErrorStatus) -> Reply:
        self.count(REFUSALS[status])
        return _ERRORS[status]


REFUSALS = {
    ErrorStatus.MALFORMED_REQUEST: "malformed",
    ErrorStatus.UNAUTHORIZED: "unauthorized",
    ErrorStatus.TRY_LATER: "try-later",
}
_ERRORS = {
    status: Reply(error_response(status), (("Content-Type", MEDIA_TYPE), ("Cache-Control", "no-store")))
    for status in REFUSALS
}
