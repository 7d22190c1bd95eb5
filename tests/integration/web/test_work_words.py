"""What the page says while the hub works at a card, and when it cannot: in Russian, and what to do."""

import re
from datetime import UTC, datetime

import pytest
from flask_babel import force_locale

from card_io.errors import CardError
from issuance.errors import IssuanceError
from issuance.production.bundle import RecordKind
from issuance.production.handover import hand_over
from tests.support.desk import CardOffice
from uec.domain.errors import UecError
from uec.domain.lifecycle import OperationKind, OperationState
from uec.hub.work import LINK_AWAY, PLUG_IN, PUT_BACK
from uec.services.quality import FAILURES
from uec.services.views import OperationView
from uec.settings import Settings
from uec.web.app import create_app
from uec.web.card_work import COURSES, headline_of, marks_of, problem_of, wait_of
from uec.web.filters import journal_kind

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
CYRILLIC = re.compile("[а-яё]")


def work(kind: OperationKind, state: OperationState, label: str = "", error_code: str | None = None) -> OperationView:
    return OperationView(
        id=1,
        kind=kind,
        state=state,
        card_id=1,
        station_id=1,
        reader="left",
        requested_at=MOMENT,
        started_at=MOMENT,
        finished_at=None,
        progress={"step": 0, "of": 0, "label": label},
        result={},
        error_code=error_code,
        error_text="An English sentence.",
    )


@pytest.mark.parametrize(
    ("label", "headline"),
    [
        (PUT_BACK, "Верните в считыватель ту же карту"),
        (PLUG_IN, "Считыватель не отвечает"),
        (LINK_AWAY, "Станция потеряла связь с офисом"),
    ],
)
def test_what_is_missing_is_asked_for(settings: Settings, office: CardOffice, label: str, headline: str) -> None:
    with create_app(settings, clock=office.clock).app_context(), force_locale("ru"):
        waiting = work(OperationKind.PERSONALISE, OperationState.RUNNING, label)
        wait = wait_of(waiting)
        assert wait is not None and CYRILLIC.search(wait.advice)
        assert headline_of(waiting) == wait.headline == headline
        assert wait_of(work(OperationKind.PERSONALISE, OperationState.RUNNING, "write_data")) is None
        assert wait_of(work(OperationKind.PERSONALISE, OperationState.DONE, label)) is None


@pytest.mark.parametrize("label", [PUT_BACK, PLUG_IN, LINK_AWAY, "find_card", "written"])
def test_progress_never_goes_back_while_a_card_is_awaited_or_recognised_again(
    settings: Settings, office: CardOffice, label: str
) -> None:
    kind, far = OperationKind.PERSONALISE, work(OperationKind.PERSONALISE, OperationState.RUNNING, label)
    far.progress["reached"] = "certificates"  # type: ignore[index]
    with create_app(settings, clock=office.clock).app_context(), force_locale("ru"):
        marks = marks_of(far)
    stage = COURSES[kind].index("inspect" if label == "written" else "certificates")
    assert [mark.now for mark in marks].index(True) == stage == sum(mark.done for mark in marks)


def test_the_stage_of_a_hand_over_is_the_one_that_the_hub_reports(settings: Settings, office: CardOffice) -> None:
    assert "choose_pins" in hand_over.__code__.co_consts, "the label of issuance.production"
    with create_app(settings, clock=office.clock).app_context(), force_locale("ru"):
        marks = marks_of(work(OperationKind.HAND_OVER, OperationState.RUNNING, "choose_pins"))
    assert [mark.now for mark in marks] == [label == "change_pins" for label in COURSES[OperationKind.HAND_OVER]]


@pytest.mark.parametrize(
    "code",
    [
        "card-scrapped",
        "inspection-failed",
        "uec.print_not_matched",
        "uec.card_not_ready",
        "uec.card_moved_on",
        "vault-unavailable",
        "card-lost",
        "card-locked",
        "card-active",
        "chip-taken",
        "wrong-card",
        "foreign-card",
        "unknown-keys",
        "counterfeit",
        "uec.not_for_this_card",
        "uec.station_away",
    ],
)
def test_a_clerk_is_told_in_russian_what_to_do(settings: Settings, office: CardOffice, code: str) -> None:
    with create_app(settings, clock=office.clock).app_context(), force_locale("ru"):
        problem, advice = problem_of(work(OperationKind.PERSONALISE, OperationState.FAILED, error_code=code))
    assert CYRILLIC.search(problem) and CYRILLIC.search(advice)
    assert "English" not in problem


@pytest.mark.parametrize("kind", list(OperationKind))
def test_a_blank_is_asked_for_only_where_one_is_written(
    settings: Settings, office: CardOffice, kind: OperationKind
) -> None:
    with create_app(settings, clock=office.clock).app_context(), force_locale("en"):
        problem, advice = problem_of(work(kind, OperationState.FAILED, error_code="foreign-card"))
    assert problem == "This is not a card that can be used here."
    assert ("blank" in advice) is (kind is OperationKind.PERSONALISE)
    assert ("this number" in advice) is (kind not in {OperationKind.PERSONALISE, OperationKind.READ})


def codes() -> set[str]:
    """Every code that an error of cards, readers, vault, office or stock may end a work with."""
    roots: list[type] = [IssuanceError, CardError, UecError]
    for root in roots:
        roots += [kind for kind in root.__subclasses__() if kind.__module__.split(".")[0] != "tests"]
    return {str(kind.code) for kind in roots if isinstance(kind.code, str)}


def test_no_error_reaches_a_clerk_in_a_programmers_words(settings: Settings, office: CardOffice) -> None:
    assert {"reader.card-mute", "pin-refused", "uec.chip_not_in_stock", "vault-locked"} <= codes()
    with create_app(settings, clock=office.clock).app_context(), force_locale("ru"):
        for code in sorted(codes()):
            failed = work(OperationKind.PERSONALISE, OperationState.FAILED, error_code=code)
            problem, advice = problem_of(failed)
            assert CYRILLIC.search(problem) and CYRILLIC.search(advice), code
            assert "English" not in problem + advice
        unforeseen = problem_of(work(OperationKind.READ, OperationState.FAILED, error_code="uec.brand_new"))
        assert "uec.brand_new" in unforeseen[0]


@pytest.mark.parametrize("code", sorted(FAILURES))
def test_what_is_counted_against_a_reader_has_words_of_its_own(
    settings: Settings, office: CardOffice, code: str
) -> None:
    with create_app(settings, clock=office.clock).app_context(), force_locale("ru"):
        assert f"({code})" not in problem_of(work(OperationKind.READ, OperationState.FAILED, error_code=code))[0]


@pytest.mark.parametrize("locale", ["ru", "en"])
def test_every_entry_of_a_cards_journal_has_its_words(settings: Settings, office: CardOffice, locale: str) -> None:
    with create_app(settings, clock=office.clock).app_context(), force_locale(locale):
        words = {kind: journal_kind(kind.value) for kind in RecordKind}
    assert [kind for kind, text in words.items() if text == kind.value] == []
    assert len(set(words.values())) == len(words), "no two are told alike"
    if locale == "ru":
        assert all(CYRILLIC.search(text) for text in words.values())
