"""The whole main job once: residents in, applications by three routes, cards made, handed over, lost and replaced.

Runs on an installed office whose processes work beside it (`uec.demo.site`); every step goes through the same services
as the pages. What does not hold is collected, so that the report says everything that is wrong.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from secrets import token_bytes

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from issuance.keys.access import ClientKind
from issuance.keys.client import VaultClient
from issuance.keys.port import KeyPurpose
from uec.demo.desks import Desks
from uec.demo.hands import Hands
from uec.demo.leftovers import leave_work
from uec.demo.office import DemoOffice, MainJobFailed, open_hands
from uec.demo.report import Report
from uec.demo.tray import Tray
from uec.demo.verdict import openssl_says_revoked
from uec.domain.actors import CITIZEN, system_actor
from uec.domain.lifecycle import (
    ApplicationReason,
    ApplicationState,
    CardState,
    Route,
)
from uec.services import (
    applications,
    audit,
    authority,
    card_lists,
    cards,
    cohort,
    decision,
    notices,
    publication,
    stock_balance,
)
from uec.services.audit_verify import verify_file
from uec.services.forms import ApplicationForm
from uec.services.register import import_municipalities, import_register
from uec.settings import Settings
from uec.store.engine import make_engine, session_factory
from uec.store.tables import Card, Certificate, Crl

__all__ = ["MainJob", "Report", "run_main_job"]

WEB_APPLICANTS, WINDOW_APPLICANTS, COHORT_MEMBERS = 6, 4, 3


def run_main_job(
    settings: Settings,
    *,
    transport: str,
    tray: Tray,
    residents_csv: Path,
    municipalities_csv: Path | None = None,
    say: Callable[[str], None] = lambda _line: None,
    alive: Callable[[], None] = lambda: None,
) -> Report:
    """Run the main job on an installed office with points and staff; never raises for a step that does not hold.

    `transport` is `pcsc` (a station is connected, the hub works) or `in-process` (cards in this process; vault, worker
    and register stand-in run). `alive` raises when one of the office's processes has ended, which ends the job too.
    """
    report = Report(transport)
    with ExitStack() as stack:
        engine = make_engine(settings.database_url)
        stack.callback(engine.dispose)
        office = DemoOffice(settings, session_factory(engine), alive)
        hands = open_hands(office, tray, transport, stack)
        job = MainJob(office, hands, report, say)
        try:
            job.run(residents_csv, municipalities_csv)
        except MainJobFailed as error:
            report.problems.append(str(error))
        job.count()
    return report


class MainJob(Desks):
    """The steps, in order; each is a stage with its time."""

    def __init__(self, office: DemoOffice, hands: Hands, report: Report, say: Callable[[str], None]) -> None:
        super().__init__(office, hands, report)
        self._say = say

    def run(self, residents_csv: Path, municipalities_csv: Path | None) -> None:
        """Every stage."""
        with self._stage("import", "importing the register of residents"):
            self._import(residents_csv, municipalities_csv)
        with self._stage("applications", "taking applications on the web and at a window"):
            self._apply()
        with self._stage("checks", "asking the registers"):
            self.await_checks()
        with self._stage("decisions", "deciding; a list for mass emission goes by two people"):
            self._decide()
            self._mass_emission()
        with self._stage("plan", "planning, releasing and preparing batches"):
            batch_ids = self.plan()
        with self._stage("personalise", "writing and inspecting cards"):
            made = self.personalise(batch_ids)
        with self._stage("hand_over", "handing cards over"):
            active = self._hand_over(made)
        with self._stage("life", "suspending, resuming, losing and replacing a card"):
            lost = self._live(active)
        with self._stage("replacement", "making and handing over the replacement"):
            self._replace(lost)
        with self._stage("lists", "publishing the revocation list and asking OpenSSL"):
            self._publish(lost, active[-1])
        with self._stage("audit", "exporting the audit and verifying it offline"):
            self._audit()
        with self._stage("leftovers", "leaving some work for whoever opens the pages"):
            self._report.try_out += leave_work(self)

    def count(self) -> None:
        """Count what there is now."""
        report = self._report
        with self._sessions() as session:
            wrong = stock_balance.verify(session)
            report.expect(not wrong, f"The stock does not balance: {'; '.join(wrong)}.")
            by_state = applications.lengths_by_state(session)
            report.applications = {state.value: length.rows for state, length in sorted(by_state.items())}
            states = {state: length.rows for state, length in card_lists.lengths_by_state(session).items()}
            made = select(func.count()).select_from(Card).where(Card.personalised_at.is_not(None))
            report.cards = {
                "personalised": session.scalar(made) or 0,
                "active": states.get(CardState.ACTIVE, 0),
                "replaced": states.get(CardState.REPLACED, 0),
                "planned": states.get(CardState.PLANNED, 0) + states.get(CardState.PREPARED, 0),
            }
        report.expect(report.cards["active"] > 0, "No card is active.")
        report.expect(report.cards["replaced"] == 1, "Not exactly one card was replaced.")

    @contextmanager
    def _stage(self, name: str, line: str) -> Iterator[None]:
        self._say(line)
        started = time.perf_counter()
        try:
            yield
        finally:
            self._report.stages[name] = time.perf_counter() - started

    def _import(self, residents_csv: Path, municipalities_csv: Path | None) -> None:
        operator = system_actor("demo")
        rejects = residents_csv.with_suffix(".rejects.csv")
        with self._sessions() as session:
            if municipalities_csv is not None:
                import_municipalities(session, path=municipalities_csv, actor=operator, now=self._office.now())
            now = self._office.now()
            told = import_register(
                session,
                path=residents_csv,
                rejects_path=rejects,
                actor=operator,
                now=now,
                today=self._office.settings.policy.day(now),
            )
        known = told.imported + told.updated + told.unchanged
        self._report.residents = {
            "rows": told.rows,
            "imported": told.imported,
            "updated": told.updated,
            "unchanged": told.unchanged,
            "rejected": told.rejected,
        }
        self._report.expect(known > 0 and known + told.rejected == told.rows, "The import does not add up.")

    def _apply(self) -> None:
        people = self.people(WEB_APPLICANTS + WINDOW_APPLICANTS)
        operator = self._office.actor("operator1")
        for number, resident in enumerate(people):
            at_window = number >= WEB_APPLICANTS
            form = self.form_of(resident)
            if number == 0:  # somebody who mistyped the number of the passport: a register will say so
                form = _mistyped(form)
            self.submit(form, Route.WINDOW if at_window else Route.WEB, operator if at_window else CITIZEN)

    def _decide(self) -> None:
        officer, now = self._office.actor("officer"), self._office.now()
        with self._sessions() as session:
            checked = list(session.scalars(self.in_state(ApplicationState.CHECKED)))
            failed = list(session.scalars(self.in_state(ApplicationState.CHECK_FAILED)))
            for application_id in checked:
                decision.approve(session, application_id, actor=officer, reason="все реестры подтвердили", now=now)
            for application_id in failed:
                decision.reject(session, application_id, actor=officer, reason="паспорт не подтверждён", now=now)
        self._report.expect(len(checked) == WEB_APPLICANTS + WINDOW_APPLICANTS - 1, f"{len(checked)} were confirmed.")
        self._report.expect(len(failed) == 1, f"{len(failed)} applications with a mistyped passport were found, not 1.")

    def _mass_emission(self) -> None:
        planner, approver, now = self._office.actor("planner"), self._office.actor("approver"), self._office.now()
        policy = self._office.settings.policy.at(now)
        with self._sessions() as session:
            # The notice stood its time before the demonstration began.
            notice = notices.propose(
                session,
                text="Универсальную электронную карту получит каждый житель области, который не откажется от неё.",
                places=["Газета области", "Портал области"],
                banks=["Банк, победивший в конкурсе", "Второй банк"],
                published_on=policy.day(now) - timedelta(days=policy.refusal_window_days + policy.bank_choice_days + 1),
                actor=planner,
                policy=policy,
                now=now,
            )
            notices.confirm(session, notice.id, actor=approver, now=now)
            drafted = cohort.compute(
                session, actor=planner, as_of=policy.day(now), policy=policy, now=now, limit=COHORT_MEMBERS
            )
            cohort.propose(session, drafted.id, actor=planner, now=now)
            cohort.approve(session, drafted.id, actor=approver, digest=drafted.digest, now=now)
            opened = cohort.open_applications(session, drafted.id, actor=planner, policy=policy, now=now)
        self._report.expect(opened == COHORT_MEMBERS, f"{opened} applications came out of a list of {COHORT_MEMBERS}.")

    def _hand_over(self, card_ids: list[int]) -> list[int]:
        self.hand_over(card_ids)
        with self._sessions() as session:
            active = list(session.scalars(select(Card.id).where(Card.state == CardState.ACTIVE).order_by(Card.id)))
        self._report.expect(set(card_ids) <= set(active), "Not every card that was handed over is active.")
        if len(active) < 2:
            raise MainJobFailed("Two active cards are needed to go on.")
        return active

    def _live(self, active: list[int]) -> int:
        security, now = self._office.actor("security"), self._office.now()
        lost = active[0]
        with self._sessions() as session:
            cards.suspend(session, lost, actor=security, reason="по просьбе держателя", now=now)
            self._report.expect(session.get_one(Card, lost).state is CardState.SUSPENDED, "The card is not suspended.")
            cards.resume(session, lost, actor=security, reason="карта нашлась", now=now)
            cards.report_lost(session, lost, actor=self._office.actor("operator1"), reason="утрата", now=now)
        return lost

    def _replace(self, lost: int) -> None:
        now = self._office.now()
        with self._sessions() as session:
            cards.replace(
                session,
                lost,
                actor=self._office.actor("operator1"),
                reason=ApplicationReason.DUPLICATE,
                policy=self._office.settings.policy.at(now),
                now=now,
                random=token_bytes,
            )
        self.await_checks()
        with self._sessions() as session:
            (again,) = session.scalars(self.in_state(ApplicationState.CHECKED))
            decision.approve(session, again, actor=self._office.actor("officer"), reason="дубликат", now=now)
        self.hand_over(self.personalise(self.plan()))

    def _publish(self, lost: int, active: int) -> None:
        newest = select(func.max(Crl.number)).where(Crl.issuer == publication.ISSUING)
        with self._sessions() as session:
            known = authority.certificates(session)
            before = session.scalar(newest) or 0
        self._office.until(
            lambda session: (
                not publication.crl_due(
                    session, policy=self._office.settings.policy.at(self._office.now()), now=self._office.now()
                )
                and (session.scalar(newest) or 0) >= max(before, 1)
            ),
            "The revocation list",
            job="publish",
        )
        with self._sessions() as session:
            crl = publication.latest_crl(session)
            leaves = {card_id: self._certificate(session, card_id) for card_id in (lost, active)}
        for card_id, revoked in ((lost, True), (active, False)):
            says = openssl_says_revoked(known.root, known.issuing, crl, leaves[card_id])
            self._report.expect(says is revoked, f"OpenSSL does not agree about card {card_id}.")

    def _certificate(self, session: Session, card_id: int) -> bytes:
        of_card = (Certificate.card_id == card_id, Certificate.profile == "authentication")
        return session.scalars(select(Certificate.der).where(*of_card)).one() or b""

    def _audit(self) -> None:
        with (
            VaultClient(self._office.settings.vault_socket, ClientKind.WORKER) as vault,
            tempfile.TemporaryDirectory() as folder,
            self._sessions() as session,
        ):
            audit.sign_head(session, vault, now=self._office.now())
            file = Path(folder) / "audit.jsonl"
            audit.export_file(session, file)
            key = load_der_public_key(vault.public_key(vault.active(KeyPurpose.AUDIT)))
            told = verify_file(file, key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        self._report.audit = {"entries": told.entries, "heads": told.heads, "findings": len(told.findings)}
        self._report.expect(told.ok, "The audit does not verify.")


def _mistyped(form: ApplicationForm) -> ApplicationForm:
    return replace(form, doc_number=f"{(int(form.doc_number) + 1) % 1_000_000:06}")
