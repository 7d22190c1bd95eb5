"""Which reader takes which work, and what a worker hears when a station goes away."""

import asyncio
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

import pytest
from websockets.asyncio.server import ServerConnection

from issuance.production.bundle import Answers, Fault, Send, Step
from issuance.station.wire import (
    Attested,
    BadMessage,
    Challenge,
    Heard,
    Message,
    Play,
    Played,
    Reader,
    Readers,
    Release,
    decode,
)
from tests.support.desk import SETTINGS
from uec.hub.links import StationLink, plain_readers
from uec.hub.strangers import introduce
from uec.hub.work import Workshop


class Socket:
    """What the hub sends, kept."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.came = threading.Event()

    async def send(self, text: str) -> None:
        self.sent.append(decode(text))
        self.came.set()


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    thread = threading.Thread(target=made.run_forever)
    thread.start()
    yield made
    settle(made)
    made.call_soon_threadsafe(made.stop)
    thread.join()
    made.close()


def linked(loop: asyncio.AbstractEventLoop, *readers: Reader) -> tuple[StationLink, Socket]:
    link, socket = StationLink(1, "window-1", loop), Socket()
    link.attach(cast(ServerConnection, socket))
    assert link.hear(Readers(readers))
    for name in link.strangers():
        link.introduce(name, link.insertion(name), None)
    settle(loop)
    socket.sent.clear()
    socket.came.clear()
    return link, socket


def settle(loop: asyncio.AbstractEventLoop) -> None:
    """What is under way is sent."""
    asyncio.run_coroutine_threadsafe(asyncio.sleep(0.01), loop).result(60)


def test_the_first_reader_with_a_card_is_taken(loop: asyncio.AbstractEventLoop) -> None:
    link, _ = linked(loop, Reader("a", card=False, insertion=0), Reader("b", card=True, insertion=1))
    assert link.take(None, 7) == "b"
    assert link.take(None, 8) is None, "it is busy"


def test_a_named_reader_is_waited_for(loop: asyncio.AbstractEventLoop) -> None:
    link, _ = linked(loop, Reader("a", card=False, insertion=0), Reader("b", card=True, insertion=1))
    assert link.take("a", 7) is None
    assert link.take("nowhere", 7) is None
    link.hear(Readers((Reader("a", card=True, insertion=1),)))
    assert link.take("a", 7) == "a"


def test_work_that_refuses_in_words_gets_another_card_that_was_only_asked_for_its_name(
    loop: asyncio.AbstractEventLoop,
) -> None:
    link, _ = linked(loop, Reader("a", card=True, insertion=1))
    link.introduce("a", 1, 9)
    assert link.take("a", 7) is None, "a line waits for its own card"
    assert link.take("a", 7, waits_for_own=False) == "a"
    assert link.take("a", 8, waits_for_own=False) is None, "it is busy"
    link.give_back("a")
    assert link.take("a", 8, waits_for_own=False) is None, "it was worked on: the clerk is changing it"


def test_a_used_card_serves_its_own_number_until_it_is_taken_out(loop: asyncio.AbstractEventLoop) -> None:
    link, _ = linked(loop, Reader("a", card=True, insertion=1))
    assert link.take(None, 7) == "a"
    link.give_back("a")
    assert link.take(None, 8) is None, "the finished card must not meet the next job"
    assert link.take(None, 7) == "a", "but it may be handed over at once"
    link.give_back("a")
    assert link.take("a", None) == "a", "and be looked at"
    link.give_back("a")
    link.hear(Readers((Reader("a", card=True, insertion=2),)))
    assert link.take(None, 8) == "a"


def test_a_look_does_not_bind_the_card_to_nothing(loop: asyncio.AbstractEventLoop) -> None:
    link, _ = linked(loop, Reader("a", card=True, insertion=1))
    assert link.take("a", None) == "a"
    link.give_back("a")
    assert link.take(None, 8) == "a", "a blank that was only looked at may be written"


def test_what_a_reader_was_used_for_outlives_the_link(loop: asyncio.AbstractEventLoop) -> None:
    link, first = linked(loop, Reader("a", card=True, insertion=1))
    assert link.take(None, 7) == "a"
    link.detach(cast(ServerConnection, first))
    assert not link.open and link.insertion("a") is None and link.take("a", 7) is None
    link.attach(cast(ServerConnection, Socket()))
    link.hear(Readers((Reader("a", card=True, insertion=1),)))
    assert link.take("a", 8) is None, "still busy with card 7"
    link.give_back("a")
    assert link.take("a", 7) == "a"


def test_an_old_socket_that_goes_late_changes_nothing(loop: asyncio.AbstractEventLoop) -> None:
    link, first = linked(loop, Reader("a", card=True, insertion=1))
    assert link.attach(cast(ServerConnection, Socket())) is cast(object, first)
    link.detach(cast(ServerConnection, first))
    assert link.open


def answering(link: StationLink, socket: Socket, answer: Message) -> threading.Thread:
    def work() -> None:
        socket.came.wait(60)
        link.hear(answer)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_bundle_comes_back_to_the_one_who_asked(loop: asyncio.AbstractEventLoop) -> None:
    link, socket = linked(loop, Reader("a", card=True, insertion=1))
    answers = Answers((b"\x90\x00",), complete=True)
    thread = answering(link, socket, Played(1, answers))
    bundle = Send((Step(b"\x00\xa4\x04\x00"),))
    assert link.exchange("a", bundle) == answers
    thread.join()
    assert socket.sent == [Play(1, "a", bundle)]


def test_a_lost_link_is_an_answer(loop: asyncio.AbstractEventLoop) -> None:
    link, socket = linked(loop, Reader("a", card=True, insertion=1))

    def lose() -> None:
        socket.came.wait(60)
        link.detach(cast(ServerConnection, socket))

    thread = threading.Thread(target=lose)
    thread.start()
    lost = Answers((), complete=False, fault=Fault.LINK_LOST)
    assert link.exchange("a", Send(())) == lost
    thread.join()
    assert link.exchange("a", Send(())) == lost, "and at once when it is known to be gone"
    assert link.attest(bytes(32)) == {"station_id": 1}


def test_a_transcript_is_witnessed(loop: asyncio.AbstractEventLoop) -> None:
    link, socket = linked(loop, Reader("a", card=True, insertion=1))
    thread = answering(link, socket, Attested(1, "3006"))
    assert link.attest(bytes(32)) == {"station_id": 1, "signature": "3006"}
    thread.join()


def test_the_card_is_released_at_the_station(loop: asyncio.AbstractEventLoop) -> None:
    link, socket = linked(loop, Reader("a", card=True, insertion=1))
    link.take("a", 7)
    link.give_back("a")
    assert socket.came.wait(60)
    assert socket.sent == [Release("a")]


class Eager:
    """A guard at which other work always waits: whenever it opens, that work tries for a reader."""

    def __init__(self, link: StationLink) -> None:
        self._inner, self._link, self._trying = threading.Lock(), link, False
        self.taken: list[str] = []

    def __enter__(self) -> None:
        self._inner.acquire()

    def __exit__(self, *_: object) -> None:
        self._inner.release()
        if not self._trying:
            self._trying = True
            self.taken += [reader] if (reader := self._link.take(None, 7)) else []
            self._trying = False


@pytest.mark.parametrize("way", ["introduced", "given back"])
def test_a_reader_that_is_free_again_is_taken_once_and_released_before(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    link, socket = linked(loop, Reader("a", card=False, insertion=0))
    link.hear(Readers((Reader("a", card=True, insertion=1),)))
    assert link.take("a", None) == "a" if way == "given back" else link.strangers(every=True) == ["a"]
    eager = Eager(link)
    monkeypatch.setattr(link, "_guard", eager)
    if way == "given back":
        link.give_back("a")
    else:
        monkeypatch.setattr(link, "exchange", lambda *_: Answers((), complete=False, fault=Fault.CARD_REMOVED))
        introduce(cast(Workshop, SimpleNamespace(settings=SETTINGS)), link, "a")
    assert eager.taken == ["a"], "the work that waited has it"
    assert link.take(None, 8) is None, "and no other"
    settle(loop)
    assert socket.sent[-1] == Release("a")


def test_what_a_hub_does_not_expect_is_refused(loop: asyncio.AbstractEventLoop) -> None:
    link, _ = linked(loop)
    with pytest.raises(BadMessage):
        link.hear(Challenge("00", 1))
    assert not link.hear(Heard(1, 2))
    assert not link.hear(Played(99, Answers((), complete=True))), "an answer nobody waits for any more"


def test_pages_see_names_and_cards_only() -> None:
    assert plain_readers((Reader("a", card=True, insertion=9, pad=("verify",)),)) == [
        {"name": "a", "card": True, "pad": ["verify"]}
    ]


def test_a_card_that_came_in_the_middle_of_the_work_meets_no_other_job(loop: asyncio.AbstractEventLoop) -> None:
    link, _ = linked(loop, Reader("a", card=True, insertion=1))
    assert link.take("a", 7) == "a" and link.begin("a") == 1
    link.hear(Readers((Reader("a", card=False, insertion=1),)))
    assert link.begin("a") is None
    link.hear(Readers((Reader("a", card=True, insertion=2),)))
    assert link.begin("a") == 2
    link.give_back("a")
    assert link.take(None, 8) is None, "the card of 7 still lies there"
    link.hear(Readers((Reader("a", card=True, insertion=3),)))
    assert link.take(None, 8) == "a"


CARD_IN_A = Reader("a", card=True, insertion=4)


def newcomer(loop: asyncio.AbstractEventLoop, *readers: Reader) -> StationLink:
    link = StationLink(1, "window-1", loop)
    link.attach(cast(ServerConnection, Socket()))
    link.hear(Readers(readers))
    return link


def test_a_card_that_lay_there_before_is_met_before_it_gets_any_job(loop: asyncio.AbstractEventLoop) -> None:
    link = newcomer(loop, CARD_IN_A)
    assert link.take(None, 7) is None
    assert link.strangers() == ["a"] and link.strangers() == [], "one asks it"
    link.introduce("a", 4, 9)
    assert link.take(None, 7) is None, "it is card 9"
    assert link.cards == {9} and link.take(None, 9) == "a"


def test_a_stranger_that_is_none_of_ours_is_a_blank(loop: asyncio.AbstractEventLoop) -> None:
    link = newcomer(loop, CARD_IN_A)
    link.strangers()
    link.introduce("a", 4, None)
    assert link.take(None, 7) == "a"


def test_a_stranger_that_could_not_be_asked_is_asked_again_like_any_card(loop: asyncio.AbstractEventLoop) -> None:
    link = newcomer(loop, CARD_IN_A)
    link.strangers()
    link.introduce("a", None, None)
    assert link.take(None, 7) == "a", "the work itself refuses it by name"


def test_somebody_who_names_the_reader_needs_no_introduction(loop: asyncio.AbstractEventLoop) -> None:
    assert newcomer(loop, CARD_IN_A).take("a", 7) == "a"


def test_a_card_put_in_later_is_no_stranger_but_may_be_asked(loop: asyncio.AbstractEventLoop) -> None:
    link = newcomer(loop, Reader("a", card=False, insertion=0))
    link.hear(Readers((Reader("a", card=True, insertion=1),)))
    assert link.strangers() == []
    assert link.strangers(every=True) == ["a"]


def test_a_card_that_is_still_being_looked_at_lay_there_before(loop: asyncio.AbstractEventLoop) -> None:
    """Its reader counts as empty until then; a card put in meanwhile is another insertion."""
    link = newcomer(loop, Reader("a", card=False, insertion=4), Reader("b", card=False, insertion=1))
    link.hear(Readers((CARD_IN_A, Reader("b", card=True, insertion=2))))
    assert link.take(None, 7) == "b" and link.take(None, 8) is None
    assert link.strangers() == ["a"]
    link.introduce("a", 4, 9)
    assert link.cards == {7, 9} and link.take(None, 8) is None


def test_a_blank_that_has_by_chance_the_number_of_the_last_card_does_not_pass_for_it(
    loop: asyncio.AbstractEventLoop,
) -> None:
    link, _ = linked(loop, CARD_IN_A)
    assert link.take(None, 7) == "a"
    link.give_back("a")
    link.attach(cast(ServerConnection, Socket()))
    link.hear(Readers((Reader("a", card=False, insertion=4),)))
    link.hear(Readers((CARD_IN_A,)))
    assert not link.cards and link.take(None, 7) is None, "nobody knows yet"
    assert link.strangers() == ["a"]
    link.introduce("a", 4, None)
    assert link.take(None, 8) == "a"


def test_readers_that_come_late_bring_strangers(loop: asyncio.AbstractEventLoop) -> None:
    """A machine's card service starts after its station, or is started anew while cards lie in the readers."""
    link = newcomer(loop)
    link.hear(Readers((CARD_IN_A,)))
    assert link.take(None, 7) is None and link.strangers() == ["a"]
    link.introduce("a", 4, 9)
    link.hear(Readers(()))
    link.hear(Readers((Reader("a", card=True, insertion=5),)))
    assert link.take(None, 7) is None and link.strangers() == ["a"]
    link.introduce("a", 5, 9)
    link.hear(Readers((Reader("a", card=False, insertion=5),)))
    link.hear(Readers((Reader("a", card=True, insertion=6),)))
    assert link.strangers() == [] and link.take(None, 7) == "a"


def test_a_station_that_comes_again_is_asked_again(loop: asyncio.AbstractEventLoop) -> None:
    """Its process may be a new one that counts insertions from one."""
    link, _ = linked(loop, CARD_IN_A)
    assert link.take(None, 7) == "a"
    link.give_back("a")
    link.attach(cast(ServerConnection, Socket()))
    link.hear(Readers((CARD_IN_A,)))
    assert link.take(None, 7) is None or link.cards == {7}
    assert link.strangers() == ["a"]
    link.introduce("a", 4, 12)
    assert link.cards == {12}


def test_a_begun_card_goes_to_the_reader_that_holds_it(loop: asyncio.AbstractEventLoop) -> None:
    link = newcomer(loop, Reader("a", card=True, insertion=1), Reader("b", card=True, insertion=1))
    for name, card_id in zip(link.strangers(), (None, 7), strict=True):
        link.introduce(name, 1, card_id)
    assert link.take(None, 7) == "b", "though a would do for a fresh card"


def test_a_reader_whose_work_another_hub_got_is_free_for_the_next(loop: asyncio.AbstractEventLoop) -> None:
    link, _ = linked(loop, CARD_IN_A)
    assert link.take(None, 7) == "a"
    link.untake("a")
    assert link.take(None, 8) == "a", "nothing was done with its card"
    link.give_back("a")
    assert link.take("a", None) == "a"
    link.untake("a")
    assert link.cards == {8}, "it is whose it was"
