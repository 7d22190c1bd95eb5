"""Applications to active cards a minute through the whole way, in process, and where the time goes.

One card after the other, on SQLite. Two floors: `active_cards` beside the same bytes to the same chips and as many
signatures; `durable_cards` beside those and the commits to disk that no order of work can save, as each intent has to
be safe before the chip hears of it.
"""

from __future__ import annotations

import secrets
import sqlite3
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from card_io.ciphers import kcv_aes
from card_io.diversification import kdf3
from card_io.secret import Secret
from card_io.virtual.card import VirtualCard
from card_io.virtual.chip import cplc_for, diversification_data
from card_io.virtual.keysets import KeySet
from issuance.keys.file_vault import FileVault
from issuance.production.drivers import run_local
from issuance.production.relay import OpenedSlot
from issuance.production.sealing import SealingKey, seal_pins
from scripts.benchmarks.figure import Figure
from scripts.benchmarks.recording import Recorded, RecordingConnection
from uec.demo import people
from uec.domain.actors import CITIZEN, Actor, system_actor
from uec.domain.lifecycle import ApplicationState, CardState, CheckRegister, Route
from uec.gateways.questions import CheckAnswer, told
from uec.gateways.truth import Truth
from uec.processes import seldom_collected
from uec.services import (
    authority,
    batches,
    checks,
    decision,
    handover,
    intake,
    operations,
    points,
    preparation,
    production_office,
    rules,
    staff,
    unblock_letters,
)
from uec.services.card_sessions import Desk, Runner, anchors_of, do_operation
from uec.services.forms import ApplicationForm
from uec.services.installation import Administrator, TransportKey, install
from uec.services.journal_writer import JournalWriter
from uec.services.register import import_municipalities, import_register
from uec.services.unblock_letters import LetterBox
from uec.settings import Settings, settings_from
from uec.store.engine import make_engine, session_factory
from uec.store.tables import Application, Card, Resident
from uec.synthetic.register import write_municipalities, write_register

CARDS, RUNS = 40, 3
QUICK_CARDS, QUICK_RUNS = 8, 1
MAKER_KEY = bytes(range(0x40, 0x50))
PINS = {"pin1": Secret(b"4815"), "pin2": Secret(b"162342")}
LETTERS = LetterBox(secrets.token_bytes(32), secrets.token_bytes)
# Application and decision; writing claimed, the intents of four bundles, the outcome of the inspection; the hand-over
# asked for, claimed, its intents, its outcome.
DURABLE_MOMENTS = 12
DURABLE_GOAL = 0.25
SIGNATURES_A_CARD = 5  # four certificates and the security object
SHIPPED_PROFILES = Path(__file__).parents[2] / "config" / "profiles"


@dataclass(frozen=True)
class InProcessRegisters:
    """The registers without the network between."""

    truth: Truth

    def check_many(self, questions: Sequence[tuple[CheckRegister, checks.Person]]) -> list[CheckAnswer]:
        """Answer from the truth."""
        return [self.truth.answer(register, told(register, person)) for register, person in questions]


class Line:
    """An installed office in a folder of its own, and everybody in it."""

    def __init__(self, folder: Path, residents: int, *, database_url: str | None = None) -> None:
        self._folder = folder
        self.settings = _settings(folder, database_url)
        passphrases = (Secret(secrets.token_bytes(16).hex().encode()), Secret(secrets.token_bytes(16).hex().encode()))
        half = secrets.token_bytes(16)
        other = bytes(a ^ b for a, b in zip(half, MAKER_KEY, strict=True))
        transport = TransportKey((Secret(half), Secret(other)), kcv_aes(MAKER_KEY).hex())
        admin = Administrator("admin", "Admin", people.PASSWORD)
        install(
            self.settings, passphrases=passphrases, administrator=admin, now=now(), random=secrets.token_bytes,
            transport=transport,
        )  # fmt: skip
        self.vault = FileVault.unlock(self.settings.vault_path, passphrases)
        self.engine = make_engine(self.settings.database_url)
        self.sessions: sessionmaker[Session] = session_factory(self.engine)
        self.registers = InProcessRegisters(_fill(folder, self.sessions, residents))
        self.desk = self._desk()
        self._signed_in: dict[str, int] = {}
        self.spent: dict[str, float] = defaultdict(float)
        self.recorded: dict[int, Recorded] = {}
        self.chips: dict[int, VirtualCard] = {}

    def _desk(self) -> Desk:
        with self.sessions() as session:
            bench = production_office.Bench(
                sessions=self.sessions,
                vault=self.vault,
                ca=authority.open_authority(session, self.vault, settings=self.settings),
                document_signer=authority.document_signer(session, self.vault),
                profile=rules.card_profile(self.settings),
                clock=now,
                random=secrets.token_bytes,
                writer=JournalWriter(self.sessions),
            )
            session.rollback()
        return Desk(bench, anchors_of(bench), SealingKey(), partial(rules.card_profile, self.settings))

    def actor(self, login: str) -> Actor:
        """A member of staff, who is signed in already: looked up anew for each request, as by the web."""
        with self.sessions() as session:
            staff_id = self._signed_in.get(login) or staff.find(session, login).id
            self._signed_in[login] = staff_id
            found = staff.actor_of(session, staff_id)
            session.rollback()
        if found is None:
            raise LookupError(login)
        return found

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of the block to a stage."""
        started = time.perf_counter()
        yield
        self.spent[name] += time.perf_counter() - started

    def run(self, count: int) -> int:
        """So many people from application to active card; returns how many cards became active."""
        forms = self.forms(count)
        card_ids = self.queue(forms)
        with self.stage("write and inspect"):
            self._work(card_ids)
        with self.stage("hand-over"):
            for card_id in card_ids:
                self._hand_over(card_id)
        with self.sessions() as session:
            return len(
                session.scalars(select(Card.id).where(Card.id.in_(card_ids), Card.state == CardState.ACTIVE)).all()
            )

    def queue(self, forms: Sequence[ApplicationForm]) -> list[int]:
        """Everything up to the request to write the cards; their ids."""
        with self.stage("applications"):
            self._apply(forms)
        with self.stage("checks"):
            self._check()
        with self.stage("decisions"):
            self._decide()
        with self.stage("plan and release"):
            batch_ids = self._plan()
        with self.stage("data"):
            self._prepare(batch_ids)
        return self._request(batch_ids)

    def forms(self, count: int) -> list[ApplicationForm]:
        """So many people of the register who have not applied yet."""
        with self.sessions() as session:
            point = points.list_points(session)[0]
            adults = select(Resident).where(
                Resident.birth_date < now().date().replace(year=now().year - 20, day=1),
                Resident.death_date.is_(None),
                Resident.snils.not_in(select(Application.snils)),
            )
            found = session.scalars(adults.order_by(Resident.id).limit(count)).all()
            session.commit()
        if len(found) < count:
            raise LookupError("the register is too small for this benchmark")
        return [_form(resident, point.id) for resident in found]

    def _apply(self, forms: Sequence[ApplicationForm]) -> None:
        policy = self.settings.policy.on(now().date())
        for form in forms:
            with self.sessions() as session:
                intake.submit_application(
                    session, form=form, route=Route.WEB, actor=CITIZEN, policy=policy, now=now(),
                    random=secrets.token_bytes,
                )  # fmt: skip

    def _check(self) -> None:
        policy = self.settings.policy.on(now().date())
        with self.sessions() as session:
            checks.start_checks(session, now=now())
            while checks.run_checks(session, self.registers, policy=policy, now=now()).asked:
                pass

    def _decide(self) -> None:
        officer = self.actor("officer")
        with self.sessions() as session:
            for one in session.scalars(
                select(Application.id).where(Application.state == ApplicationState.CHECKED)
            ).all():
                decision.approve(session, one, actor=officer, reason="seen", now=now())

    def _plan(self) -> list[int]:
        planner, releaser = self.actor("planner"), self.actor("releaser")
        with self.sessions() as session:
            made = batches.plan(
                session, actor=planner, rules=rules.batch_rules(self.settings, today=now().date()), now=now()
            )
            for batch in made.batches:
                batches.release(session, batch.id, actor=releaser, now=now())
        return [batch.id for batch in made.batches]

    def _prepare(self, batch_ids: Sequence[int]) -> None:
        profile = self.desk.bench.profile
        with self.sessions() as session:
            for batch_id in batch_ids:
                preparation.prepare(session, batch_id, profile=profile, issuer="UOS", now=now())

    def _request(self, batch_ids: Sequence[int]) -> list[int]:
        producer = self.actor("producer")
        with self.sessions() as session:
            for batch_id in batch_ids:
                operations.request_batch(session, batch_id, station_id=None, actor=producer, now=now())
            card_ids = list(session.scalars(select(Card.id).where(Card.batch_id.in_(batch_ids))))
        for card_id in card_ids:  # the maker's work, so outside of the time
            seed = secrets.token_bytes(16)
            self.recorded[card_id], self.chips[card_id] = Recorded(seed), blank(seed)
        return card_ids

    def _work(self, card_ids: Sequence[int]) -> None:
        for _ in card_ids:
            with self.sessions() as session:
                operation = operations.claim_operation(session, now=now())
            if operation is None or operation.card_id is None:
                raise LookupError("an operation was lost")
            card_id = operation.card_id
            slot = self.slot(card_id)
            ended = do_operation(self.desk, operation, _runner(slot))
            if ended.error_text:
                raise LookupError(ended.error_text)

    def slot(self, card_id: int) -> OpenedSlot:
        """The chip that becomes this card."""
        return OpenedSlot(lambda: RecordingConnection(self.chips[card_id], self.recorded[card_id]))

    def _hand_over(self, card_id: int) -> None:
        operator = self.actor("operator2")
        with self.sessions() as session:
            number = session.get_one(Card, card_id).number
            letter = unblock_letters.draw(session, card_id, box=LETTERS, settings=self.settings, now=now())
            sealed = seal_pins(self.desk.sealing_key.public_key, PINS | letter, card_number=number)
            handover.request(
                session, card_id, actor=operator, station_id=None, reader=None, sealed_pins=sealed,
                holder_checked=True, now=now(),
            )  # fmt: skip
        self._work([card_id])

    def floor_seconds(self, card_ids: Sequence[int]) -> float:
        """The same bytes to the same cards, and as many signatures, with nothing around them."""
        key = ec.generate_private_key(ec.SECP256R1())
        cards = [(blank(self.recorded[card_id].seed), self.recorded[card_id].commands) for card_id in card_ids]
        started = time.perf_counter()
        for card, commands in cards:
            for command in commands:
                if command is None:
                    card.power_on()
                else:
                    card.process(command)
            for _ in range(SIGNATURES_A_CARD):
                key.sign(b"to be signed", ec.ECDSA(hashes.SHA256()))
        return time.perf_counter() - started

    def durable_seconds(self, cards: int) -> float:
        """What the disk alone asks for: the moments of so many cards that must outlive a power cut, one row each."""
        disk = sqlite3.connect(self._folder / "floor.db", isolation_level=None)
        disk.execute("PRAGMA journal_mode = WAL")
        disk.execute("PRAGMA synchronous = FULL")
        disk.execute("CREATE TABLE IF NOT EXISTS moment (facts BLOB)")
        started = time.perf_counter()
        for _ in range(cards * DURABLE_MOMENTS):
            disk.execute("INSERT INTO moment VALUES (?)", (bytes(500),))
        seconds = time.perf_counter() - started
        disk.close()
        return seconds

    def close(self) -> None:
        """Let database and vault go."""
        self.engine.dispose()
        self.vault.close()


def figures(*, quick: bool) -> Iterator[Figure | str]:
    """Cards a minute against the bare bytes and signatures, and the share of each stage."""
    cards, runs = (QUICK_CARDS, QUICK_RUNS) if quick else (CARDS, RUNS)
    with seldom_collected(), tempfile.TemporaryDirectory() as folder:  # as in the processes that do this work
        line = Line(Path(folder), residents=cards * (runs + 1) * 3)
        try:
            yield from _measured(line, cards, runs)
        finally:
            line.close()


def _measured(line: Line, cards: int, runs: int) -> Iterator[Figure | str]:
    line.run(QUICK_CARDS)  # warms caches up and is thrown away
    rates, floors, disks, shares = [], [], [], defaultdict(list)
    for _ in range(runs):
        line.spent.clear()
        line.recorded.clear()
        active = line.run(cards)
        if active != cards:
            raise LookupError(f"{active} of {cards} cards became active")
        seconds = sum(line.spent.values())
        rates.append(60 * cards / seconds)
        bare, disk = line.floor_seconds(list(line.recorded)), line.durable_seconds(cards)
        floors.append(60 * cards / bare)
        disks.append(60 * cards / (bare + disk))
        for name, spent in line.spent.items():
            shares[name].append(spent / seconds)
    yield Figure("flow.active_cards", "cards/min", statistics.median(rates), floor=statistics.median(floors))
    yield Figure("flow.durable_cards", "cards/min", statistics.median(rates), statistics.median(disks), DURABLE_GOAL)
    yield "stage               share   ms a card"
    for name, values in shares.items():
        share = statistics.median(values)
        yield f"{name:<18}  {share:5.1%}  {share * 60_000 / statistics.median(rates):9.2f}"
        yield Figure(f"flow.share.{name.replace(' ', '_')}", "of the time", share)


def now() -> datetime:
    """The present moment."""
    return datetime.now(UTC)


def blank(seed: bytes) -> VirtualCard:
    """A blank as the maker delivers it; the same seed gives the same chip."""
    keys = kdf3(Secret(MAKER_KEY), diversification_data(cplc_for(seed)))
    return VirtualCard.blank(seed, initial_keys=KeySet(keys.enc, keys.mac, keys.dek))


def _runner(slot: OpenedSlot) -> Runner:
    return lambda start, office: run_local(start(), slot, office)


def _settings(folder: Path, database_url: str | None) -> Settings:
    table = {"state_dir": "state", "profile_dir": str(SHIPPED_PROFILES), "pki": {"organisation": "UOS"}}
    if database_url is not None:
        table["database_url"] = database_url
    return settings_from(table, folder / "uec.toml")


def _fill(folder: Path, sessions: sessionmaker[Session], residents: int) -> Truth:
    register, municipalities = folder / "residents.csv", folder / "municipalities.csv"
    write_register(register, residents=residents, seed=1, dirty=0.0)
    write_municipalities(municipalities)
    actor = system_actor("bench")
    with sessions() as session:
        import_municipalities(session, path=municipalities, actor=actor, now=now())
        import_register(session, path=register, rejects_path=folder / "rejects.csv", actor=actor, now=now())
        people.seed(session, now=now(), random=secrets.token_bytes)
    return Truth.of_file(register, now().date())


def _form(resident: Resident, point_id: int) -> ApplicationForm:
    optional = ("patronymic", "oms", "phone", "email")
    same = set(ApplicationForm.__dataclass_fields__) & set(Resident.__table__.columns.keys()) - set(optional)
    values = {name: getattr(resident, name) for name in same} | {n: getattr(resident, n) or "" for n in optional}
    if not values["phone"] and not values["email"]:
        values["email"] = "bench@example.ru"
    return ApplicationForm(**values, point_id=point_id)
