"""What an applicant reads of an application, in every state it can be in: a headline, a course, one advice."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime

import pytest
from flask.testing import FlaskClient

from uec.domain.lifecycle import ApplicationState
from uec.services.views import ApplicationStatusView
from uec.web.status_course import Mark, advice_of, course_of, headline_of

View = Callable[..., ApplicationStatusView]
ENDED_EARLY = {ApplicationState.REJECTED, ApplicationState.WITHDRAWN}
ON_ITS_WAY = [state for state in ApplicationState if state not in ENDED_EARLY]
WAITS = "Сейчас ничего делать не нужно"


@pytest.fixture(autouse=True)
def in_a_request(client: FlaskClient) -> Iterator[None]:
    """Words are chosen by the request's language, Russian unless it says otherwise."""
    with client.application.test_request_context("/status"):
        yield


@pytest.fixture
def view() -> View:
    def made(state: ApplicationState, promised_on: date | None = None) -> ApplicationStatusView:
        return ApplicationStatusView(
            number="2026-0000001",
            state=state,
            submitted_at=datetime(2026, 3, 2, 9, 30, tzinfo=UTC),
            due_on=date(2026, 4, 1),
            promised_on=promised_on,
            point_name_ru="МФЦ",
            point_name_en="Centre",
            point_address="ул. Республики, 14",
            decision_reason=None,
            card_ready=state is ApplicationState.READY,
        )

    return made


def places(marks: list[Mark]) -> tuple[int, list[int]]:
    """How many marks are done, and which one is being worked on."""
    return sum(mark.done for mark in marks), [number for number, mark in enumerate(marks) if mark.now]


@pytest.mark.parametrize("state", ON_ITS_WAY)
def test_a_course_is_done_up_to_where_it_is(view: View, state: ApplicationState) -> None:
    marks = course_of(view(state))
    assert len(marks) == 5 and all(mark.text for mark in marks)
    done, now = places(marks)
    assert [mark.done for mark in marks] == [True] * done + [False] * (5 - done)
    assert now == ([] if state is ApplicationState.CLOSED else [done]), "the first that is not done is being worked on"


def test_the_course_never_goes_back_on_the_usual_way(view: View) -> None:
    way = [
        ApplicationState.SUBMITTED, ApplicationState.CHECKING, ApplicationState.CHECKED, ApplicationState.APPROVED,
        ApplicationState.PLANNED, ApplicationState.IN_PRODUCTION, ApplicationState.READY, ApplicationState.CLOSED,
    ]  # fmt: skip
    done = [places(course_of(view(state)))[0] for state in way]
    assert done == sorted(done) and done[0] == 1 and done[-1] == 5


@pytest.mark.parametrize("state", sorted(ENDED_EARLY))
def test_what_ended_early_shows_its_end_and_nothing_to_come(view: View, state: ApplicationState) -> None:
    marks = course_of(view(state))
    assert [(mark.done, mark.now) for mark in marks] == [(True, False), (True, True)]
    assert marks[1].text == {"REJECTED": "Отклонено", "WITHDRAWN": "Отозвано"}[state.value]


def test_every_state_has_a_headline_of_its_own(view: View) -> None:
    assert len({headline_of(view(state)) for state in ApplicationState}) == len(ApplicationState)


def test_one_is_told_to_do_something_only_where_there_is_something_to_do(view: View) -> None:
    waiting = {state for state in ApplicationState if WAITS in advice_of(view(state))}
    assert waiting == {
        ApplicationState.SUBMITTED, ApplicationState.CHECKING, ApplicationState.CHECKED, ApplicationState.APPROVED,
        ApplicationState.PLANNED, ApplicationState.IN_PRODUCTION,
    }  # fmt: skip
    assert "пункт" in advice_of(view(ApplicationState.READY))
    assert "потер" in advice_of(view(ApplicationState.CLOSED)).lower()


def test_days_are_told_where_they_are_known(view: View) -> None:
    planned = course_of(view(ApplicationState.PLANNED, promised_on=date(2026, 3, 20)))
    assert "20 марта 2026" in planned[3].when and "1 апреля 2026" in planned[4].when
    assert course_of(view(ApplicationState.APPROVED))[3].when == "", "no day is made up"
    assert course_of(view(ApplicationState.READY))[4].when == "", "what waits already has no last day to come"
