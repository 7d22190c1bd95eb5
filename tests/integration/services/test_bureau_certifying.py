"""Certificates of a bureau's answer in bulk: in parts, each once, whatever is killed or refused on the way."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, sessionmaker

from issuance.bureau.answer import Closing
from issuance.bureau.records import RecordReader
from issuance.bureau.sealed import opened_order
from issuance.bureau.standin import identity
from issuance.errors import VaultUnavailable
from issuance.pki.hygiene import public_key_digest
from tests.flow.test_bureau_life import answer
from tests.integration.services.test_certificates import while_it_signs
from tests.support.bureau_office import BureauOffice, open_bureau_office
from uec.domain.actors import Actor
from uec.domain.bureau import BureauRefused, Certificates, OrderedState, OrderState
from uec.domain.lifecycle import ApplicationState, CardState, CertificateState
from uec.services import bureau_answers, bureau_certifying, cards, certification
from uec.services.bureau_certifying import Waiting
from uec.services.bureau_rejecting import reject
from uec.services.bureau_sending import Sender
from uec.store.tables import AuditEntry, BureauCard, BureauFile, Card, Certificate, JournalEntry, Revocation

PEOPLE = (1, 2, 3, 4, 5)
SLOTS = 4

pytestmark = pytest.mark.slow


class Killed(BaseException):
    """The process ended here."""


@pytest.fixture
def bureau(sessions: sessionmaker[Session], tmp_path: Path) -> Iterator[BureauOffice]:
    opened = open_bureau_office(sessions, tmp_path)
    yield opened
    opened.office.desk.bench.vault.close()


@pytest.fixture
def order_id(bureau: BureauOffice, monkeypatch: pytest.MonkeyPatch) -> int:
    """An order whose results were taken; parts are of two cards."""
    monkeypatch.setattr(bureau_certifying, "AT_ONCE", 2)
    made = bureau.order(*PEOPLE, certificates=Certificates.ANSWER)
    bureau.standin()
    bureau.take_all()
    assert bureau.counts(made) == {OrderedState.MADE: len(PEOPLE)}
    return made


def certificates(bureau: BureauOffice) -> list[Certificate]:
    with bureau.office.sessions() as session:
        return list(
            session.scalars(select(Certificate).where(Certificate.card_id.is_not(None)).order_by(Certificate.id))
        )


def closings(bureau: BureauOffice, path: Path) -> list[Closing]:
    """What the bureau reads in an answer."""
    me = identity.load(bureau.folder / "bureau")
    with opened_order(path, recipient=me.recipient, key=me.decryption_key, signer=me.office) as stream:
        return [Closing.decode(body) for _, body in RecordReader(stream).records()]


def check_whole(bureau: BureauOffice, path: Path) -> None:
    """Every card has its certificates once, on hold, told once, and the answer has exactly these."""
    made = certificates(bureau)
    assert len(made) == len(PEOPLE) * SLOTS == len({one.public_key_digest for one in made})
    assert {one.state for one in made} == {CertificateState.HELD} and all(one.der for one in made)
    by_card = {card.number: {one.der for one in made if one.card_id == card.id} for card in bureau.cards(1)}
    assert {one.number: set(one.certificates.values()) for one in closings(bureau, path)} == by_card
    with bureau.office.sessions() as session:
        told = {str(one.id) for one in made}
        issued = select(func.count()).where(AuditEntry.action == "certificate.issue", AuditEntry.subject_id.in_(told))
        assert session.scalar(issued) == len(made) == session.scalar(select(func.count()).select_from(Revocation))
        closing = select(func.count()).where(JournalEntry.kind == "finish_intent")
        assert session.scalar(closing) == len(PEOPLE)


def test_parts_make_one_answer(bureau: BureauOffice, order_id: int) -> None:
    path = answer(bureau, order_id)
    check_whole(bureau, path)
    assert bureau.counts(order_id) == {OrderedState.ANSWERED: len(PEOPLE)}
    assert any(f"{len(PEOPLE)} finished" in line for line in bureau.standin())
    bureau.take_all()
    assert bureau.row(order_id).state is OrderState.COMPLETE
    assert bureau.counts(order_id) == {OrderedState.FINISHED: len(PEOPLE)}


@pytest.mark.parametrize(
    "part", [pytest.param(0, marks=pytest.mark.nightly), 1, pytest.param(2, marks=pytest.mark.nightly)]
)
@pytest.mark.parametrize("place", ["_intend", "_keep"])
def test_killed_in_any_part_the_next_run_goes_on(
    bureau: BureauOffice, order_id: int, monkeypatch: pytest.MonkeyPatch, place: str, part: int
) -> None:
    """Before what is intended is committed, and before what is signed is."""
    real, seen = getattr(certification, place), []

    def dies(*given: object) -> object:
        found = real(*given)
        seen.append(place)
        if len(seen) > part:
            raise Killed
        return found

    with monkeypatch.context() as patch:
        patch.setattr(certification, place, dies)
        with pytest.raises(Killed):
            answer(bureau, order_id)
    before = {one.serial for one in certificates(bureau)}
    assert len(before) == min(len(PEOPLE), 2 * (part + (place == "_keep"))) * SLOTS, "committed before it was signed"
    assert list((bureau.desk / "in").glob("*answer*")) == []
    check_whole(bureau, answer(bureau, order_id))
    assert before <= {one.serial for one in certificates(bureau)}, "what was intended is what was signed"


def test_killed_after_the_commit_the_answer_is_put_into_its_place(
    bureau: BureauOffice, order_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_given: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", dies)
        with pytest.raises(Killed):
            answer(bureau, order_id)
    assert bureau.counts(order_id) == {OrderedState.ANSWERED: len(PEOPLE)}
    place = bureau.desk / "in"
    (place / "stray.part").write_bytes(b"somebody's")
    assert [path.suffix for path in place.glob("*answer*")] == [".part"]
    with bureau.office.sessions() as session:
        assert bureau_answers.due(session) == []
        (path,) = bureau_answers.put_into_place(session, bureau.exchange)
        assert path.suffix == ".p7m" and bureau_answers.put_into_place(session, bureau.exchange) == []
        assert session.scalars(select(BureauFile.name).where(BureauFile.kind == "answer")).all() == [path.name]
    check_whole(bureau, path)


def test_with_the_vault_away_nothing_is_rejected(
    bureau: BureauOffice, order_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_given: object, **_named: object) -> list[bytes]:
        raise VaultUnavailable("the vault is away", path="vault")

    with monkeypatch.context() as patch, pytest.raises(VaultUnavailable):
        patch.setattr(type(bureau.office.desk.bench.ca), "sign", away)
        answer(bureau, order_id)
    assert bureau.counts(order_id) == {OrderedState.MADE: len(PEOPLE)}
    assert {one.state for one in certificates(bureau)} == {CertificateState.INTENDED}
    check_whole(bureau, answer(bureau, order_id))


def test_a_refused_card_keeps_no_other_back(bureau: BureauOffice, order_id: int) -> None:
    """Its key was certified for another card meanwhile: it is made again, and the answer has the others."""
    lost, other, *_ = bureau.cards(order_id)
    with bureau.office.sessions() as session:
        (keys,) = bureau_certifying.reported_keys(session, [lost.id]).values()
        taken = Certificate(
            card_id=other.id, profile="authentication", serial="1", tbs_digest="", subject="CN=x",
            public_key_digest=public_key_digest(next(iter(keys.public.values()))), not_before=bureau.office.clock(),
            not_after=bureau.office.clock(), intended_at=bureau.office.clock(), state=CertificateState.INTENDED,
        )  # fmt: skip
        session.add(taken)
        session.commit()
    path = answer(bureau, order_id)
    assert bureau.counts(order_id) == {OrderedState.ANSWERED: len(PEOPLE) - 1, OrderedState.REJECTED: 1}
    assert lost.number not in {one.number for one in closings(bureau, path)}
    assert not [one for one in certificates(bureau) if one.card_id == lost.id]
    with bureau.office.sessions() as session:
        assert session.get_one(Card, lost.id).state is CardState.SPOILED
        told = session.scalars(select(AuditEntry).where(AuditEntry.action == "certificate.refuse")).one()
    assert (told.subject_id, told.details["finding"]) == (str(lost.id), "shared")
    application = bureau.office.application_of(lost.id)
    assert (application.state, application.remake) == (ApplicationState.APPROVED, True)


def test_one_key_in_two_cards_of_a_part_is_certified_for_one(bureau: BureauOffice, order_id: int) -> None:
    office = bureau.office
    first, second, *_ = bureau.cards(order_id)
    issuer = certification.Issuer(
        office.desk.bench.ca, office.desk.bench.profile, office.clock(), office.desk.bench.random
    )
    with office.sessions() as session:
        digest = bureau.row(order_id).digest or b""
        waiting = [one for part in bureau_certifying.waiting(session, order_id) for one in part]
        asked = bureau_certifying._made(
            session, digest, [one for one in waiting if one.card_id in (first.id, second.id)]
        )
        said = certification.issue_all(session, {first.id: asked[first.id], second.id: asked[first.id]}, issuer=issuer)
    assert isinstance(said[first.id], dict) and getattr(said[second.id], "finding", "") == "shared"
    assert {one.card_id for one in certificates(bureau)} == {first.id}


def test_what_is_reported_while_others_are_certified_waits_for_the_next_answer(
    bureau: BureauOffice, order_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = bureau.cards(order_id)[-1].id
    real, looks = bureau_certifying.waiting, []

    def early(session: Session, order: int) -> Iterator[Sequence[Waiting]]:
        looks.append(order)
        for part in real(session, order):
            yield part if len(looks) > 1 else [one for one in part if one.card_id != late]

    with monkeypatch.context() as patch:
        patch.setattr(bureau_certifying, "waiting", early)
        first = closings(bureau, answer(bureau, order_id))
    assert len(first) == len(PEOPLE) - 1 and bureau.counts(order_id)[OrderedState.MADE] == 1
    (second,) = closings(bureau, answer(bureau, order_id))
    assert {one.number for one in (*first, second)} == {card.number for card in bureau.cards(order_id)}


def test_another_process_answers_while_this_one_signs(
    bureau: BureauOffice, order_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []
    with monkeypatch.context() as patch:
        while_it_signs(patch, lambda: made.append(answer(bureau, order_id)))
        with pytest.raises(BureauRefused) as caught:
            answer(bureau, order_id)
    assert caught.value.finding == "nothing-to-answer"
    assert bureau.counts(order_id) == {OrderedState.ANSWERED: len(PEOPLE)}
    check_whole(bureau, made[0])


def test_a_part_is_what_waits_when_it_is_its_turn(
    bureau: BureauOffice, order_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process has answered everything by the time that the order is free."""
    real, made, asked = bureau_certifying.locked, [], []
    bench, now = bureau.office.desk.bench, bureau.office.clock()

    def late(session: Session, table: type[object], key: int) -> object:
        if not made:
            made.append(bureau)
            answer(bureau, order_id)
            monkeypatch.setattr(certification, "issue_all", lambda *_, **__: asked.append(key) or {})
        return real(session, table, key)

    monkeypatch.setattr(bureau_certifying, "locked", late)
    issuer = certification.Issuer(bench.ca, bench.profile, now, bench.random)
    with bureau.office.sessions() as session:
        bureau_certifying.certify(session, order_id, issuer=issuer, actor=bureau.office.staff.releaser, now=now)
        assert not session.in_transaction(), "nothing stays locked"
    assert (len(made), asked) == (1, [])


def test_a_card_spoiled_while_it_is_signed_keeps_no_other_back(
    bureau: BureauOffice, order_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost, *_ = bureau.cards(order_id)
    office = bureau.office

    def spoil() -> None:
        with office.sessions() as session:
            cards.spoil(session, lost.id, actor=office.staff.producer, reason="torn", now=office.clock())

    with monkeypatch.context() as patch:
        while_it_signs(patch, spoil)
        path = answer(bureau, order_id)
    assert bureau.counts(order_id) == {OrderedState.ANSWERED: len(PEOPLE) - 1, OrderedState.REJECTED: 1}
    assert {one.number for one in closings(bureau, path)} == {
        card.number for card in bureau.cards(order_id) if card.id != lost.id
    }
    assert {(one.state, one.der) for one in certificates(bureau) if one.card_id == lost.id} == {
        (CertificateState.REVOKED, None)
    }
    with office.sessions() as session:
        told = session.scalars(select(AuditEntry).where(AuditEntry.action == "certificate.refuse")).one()
    assert (told.subject_id, told.details["code"]) == (str(lost.id), "certificate-refused")


def test_a_card_with_some_of_its_certificates_waits_for_its_answer(bureau: BureauOffice, order_id: int) -> None:
    """One of them was revoked before it was signed, and nobody has rejected the card yet."""
    office, bench = bureau.office, bureau.office.desk.bench
    (first, *_), row = bureau.cards(order_id), bureau.row(order_id)
    issuer = certification.Issuer(bench.ca, bench.profile, office.clock(), bench.random)
    with office.sessions() as session:
        bureau_certifying.certify(session, order_id, issuer=issuer, actor=office.staff.releaser, now=office.clock())
        torn = session.scalars(select(Certificate).where(Certificate.card_id == first.id).limit(1)).one()
        torn.der = None
        waiting = [one for part in bureau_certifying.waiting(session, order_id) for one in part]
        sender = Sender(bench.vault, bench.document_signer, bench.profile)
        closed = bureau_answers._closed(session, row, waiting, sender, office.clock())
    assert {one.number for _, one in closed} == {one.number for one in waiting} - {first.number}


def spoil(bureau: BureauOffice, card_id: int) -> None:
    """Somebody ends a card that lies at the bureau: its certificates are revoked with it."""
    office = bureau.office
    with office.sessions() as session:
        cards.spoil(session, card_id, actor=office.staff.producer, reason="torn", now=office.clock())


def check_left_out(bureau: BureauOffice, order_id: int, path: Path, lost: Card) -> None:
    """The answer has every card but one, whose certificates are revoked: it is out of its order, and made again."""
    others = {card.number for card in bureau.cards(order_id) if card.id != lost.id}
    assert {one.number for one in closings(bureau, path)} == others
    assert bureau.counts(order_id) == {OrderedState.ANSWERED: len(PEOPLE) - 1, OrderedState.REJECTED: 1}
    states = {one.state for one in certificates(bureau) if one.card_id == lost.id}
    assert states == {CertificateState.REVOKED}
    answered = {der for one in closings(bureau, path) for der in one.certificates.values()}
    assert not answered & {one.der for one in certificates(bureau) if one.state is CertificateState.REVOKED}
    application = bureau.office.application_of(lost.id)
    assert (application.state, application.remake) == (ApplicationState.APPROVED, True)
    with bureau.office.sessions() as session:
        row = session.scalars(select(BureauCard).where(BureauCard.card_id == lost.id)).one()
    assert row.reason == "not-wanted: the card is SPOILED by now"
    assert bureau.files("kind", "name")[-1] == ("answer", path.name)


def test_a_certificate_revoked_before_the_answer_is_written_is_not_in_it(
    bureau: BureauOffice, order_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Certified, and ended by a clerk before the answer is begun."""
    lost, *_ = bureau.cards(order_id)
    real, runs = bureau_certifying.certify, []

    def certify(*given: Any, **named: Any) -> None:
        real(*given, **named)
        runs.append(given)
        if len(runs) == 1:
            spoil(bureau, lost.id)

    monkeypatch.setattr(bureau_certifying, "certify", certify)
    first = answer(bureau, order_id)
    assert lost.number not in {one.number for one in closings(bureau, first)}
    assert bureau.counts(order_id) == {OrderedState.ANSWERED: len(PEOPLE) - 1, OrderedState.MADE: 1}
    with pytest.raises(BureauRefused) as caught:
        answer(bureau, order_id)
    assert caught.value.finding == "nothing-to-answer"
    check_left_out(bureau, order_id, first, lost)


@pytest.mark.postgres
def test_a_certificate_revoked_while_the_answer_is_written_is_not_in_it(
    bureau: BureauOffice, order_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its card stands in the file already when a clerk ends it: the file is written anew without it."""
    with bureau.office.sessions() as session:
        if session.get_bind().dialect.name == "sqlite":
            return  # one writer at a time: the clerk waits until the answer is committed
    lost, *_ = bureau.cards(order_id)
    real, written = bureau_answers._closed, []

    def closed(*given: Any) -> object:
        found = real(*given)
        if not written:
            spoil(bureau, lost.id)
        written.extend(one.number for _, one in found)
        return found

    monkeypatch.setattr(bureau_answers, "_closed", closed)
    path = answer(bureau, order_id)
    assert written.count(lost.number) == 1 and len(written) == 2 * len(PEOPLE) - 1, "written, and written anew"
    check_left_out(bureau, order_id, path, lost)
    assert len(list((bureau.desk / "in").glob("*answer*"))) == 1


def test_an_order_that_loses_its_last_cards_is_complete(bureau: BureauOffice, order_id: int) -> None:
    """All were ended here before they were certified: nothing is answered, and nothing awaited any more."""
    for card in bureau.cards(order_id):
        spoil(bureau, card.id)
    with pytest.raises(BureauRefused) as caught:
        answer(bureau, order_id)
    assert caught.value.finding == "nothing-to-answer"
    assert bureau.counts(order_id) == {OrderedState.REJECTED: len(PEOPLE)}
    assert bureau.row(order_id).state is OrderState.COMPLETE
    assert list((bureau.desk / "in").glob("*answer*")) == []


def test_a_card_that_went_on_elsewhere_is_in_no_answer(bureau: BureauOffice, order_id: int) -> None:
    """However its state came about: the answer says nothing of it, and is made."""
    lost, *_ = bureau.cards(order_id)
    with bureau.office.sessions() as session:
        session.execute(update(Card).where(Card.id == lost.id).values(state=CardState.PERSONALISED))
        session.commit()
    path = answer(bureau, order_id)
    assert lost.number not in {one.number for one in closings(bureau, path)}
    assert bureau.counts(order_id) == {OrderedState.ANSWERED: len(PEOPLE) - 1, OrderedState.REJECTED: 1}
    assert bureau.office.card(lost.id).state is CardState.PERSONALISED, "the order lets go of it, and nothing else"


def test_what_was_answered_meanwhile_is_not_rejected(bureau: BureauOffice, order_id: int) -> None:
    answer(bureau, order_id)
    office = bureau.office
    with office.sessions() as session:
        row = session.scalars(select(BureauCard).where(BureauCard.order_id == order_id).limit(1)).one()
        reject(
            session, row.id, row.card_id, state=OrderedState.MADE, reason="late", actor=office.staff.releaser,
            now=office.clock(),
        )  # fmt: skip
        session.commit()
        session.refresh(row)
        assert (row.state, row.reason) == (OrderedState.ANSWERED, None)
        assert session.get_one(Card, row.card_id).state is CardState.WRITING


def test_each_rejected_card_is_let_go_before_the_next(
    bureau: BureauOffice, order_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who ends another card of the batch holds it and waits for the batch: nobody holds that and waits for cards."""
    both, seen = [card.id for card in bureau.cards(order_id)[:2]], []

    def look(session: Session, row_id: int, card_id: int, **rest: Actor) -> None:
        assert not session.in_transaction()
        seen.append(card_id)
        reject(session, row_id, card_id, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(bureau_certifying, "reject", look)
    monkeypatch.setattr(bureau_certifying, "barred_among", lambda _, ids: {one for one in ids if one in both})
    answer(bureau, order_id)
    assert seen == both
    assert bureau.counts(order_id) == {OrderedState.ANSWERED: len(PEOPLE) - 2, OrderedState.REJECTED: 2}


def taken_first(patch: pytest.MonkeyPatch) -> None:
    """Another process puts a finished file into its place just before this one does."""
    real = Path.replace

    def replace(part: Path, path: Path) -> Path:
        real(part, path)
        return real(part, path)

    patch.setattr(Path, "replace", replace)


def test_an_answer_that_another_process_put_into_its_place(
    bureau: BureauOffice, order_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        taken_first(patch)
        path = answer(bureau, order_id)
    check_whole(bureau, path)
    path.rename(path.with_suffix(bureau_answers.PART))
    (bureau.desk / "in" / "gone.part").symlink_to("nowhere")  # seen in the folder, and away when it is opened
    with monkeypatch.context() as patch, bureau.office.sessions() as session:
        taken_first(patch)
        assert bureau_answers.put_into_place(session, bureau.exchange) == [path]
    check_whole(bureau, path)


def test_a_finished_answer_that_is_lost_is_told(
    bureau: BureauOffice, order_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.replace

    def lose(part: Path, path: Path) -> Path:
        part.unlink()
        return real(part, path)

    monkeypatch.setattr(Path, "replace", lose)
    with pytest.raises(FileNotFoundError):
        answer(bureau, order_id)
