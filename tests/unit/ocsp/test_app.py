"""The responder's HTTP side without a server: memory, its bounds and its age, methods, conditions, long bodies."""

import asyncio
import base64
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pytest

from uec.ocsp import app
from uec.ocsp.app import KEEP_S, MAX_REQUEST_BYTES, Responder
from uec.ocsp.desk import Desk, Reply

ETAG = '"abc"'


class CountingDesk(Desk):
    """A desk that says what it was asked."""

    def __init__(self, *, keep: bool = True) -> None:
        self.asked: list[str | bytes] = []
        self.counted: dict[str, int] = {}
        self.keep, self.hold = keep, threading.Event()
        self.hold.set()

    def answer(self, data: bytes) -> Reply:
        self.hold.wait(60)
        self.asked.append(data)
        return Reply(b"DER" + data[:10], (("ETag", ETAG),), keep=self.keep)

    def answer_path(self, path: str) -> Reply:
        self.asked.append(path)
        return Reply(b"DER", (("ETag", ETAG),), keep=self.keep)

    def refuse_busy(self) -> Reply:
        return Reply(b"later", ())

    def count(self, kind: str, times: int = 1) -> None:
        self.counted[kind] = self.counted.get(kind, 0) + times

    def report(self) -> dict[str, int]:
        return self.counted


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.001)


@dataclass
class Scope:
    method: str = "GET"
    path: str = "/"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Exchange:
    body: bytes = b""
    status: int = 0
    sent: bytes | None = None
    headers: list[tuple[str, str]] = field(default_factory=list)
    read: int = 0

    async def __call__(self) -> bytes:
        self.read = len(self.body)
        return self.body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for at in range(0, len(self.body), 1000):
            piece = self.body[at : at + 1000]
            self.read += len(piece)
            yield piece

    def response_empty(self, status: int, headers: list[tuple[str, str]]) -> None:
        self.status, self.headers = status, headers

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status, self.headers, self.sent = status, headers, body


class Time:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def ask(responder: Responder, scope: Scope, body: bytes = b"") -> Exchange:
    exchange = Exchange(body)
    asyncio.run(responder.__rsgi__(scope, exchange))
    return exchange


def test_the_same_question_is_asked_once_and_again_after_its_time() -> None:
    desk, clock = CountingDesk(), Time()
    responder = Responder(desk, clock=clock)
    for _ in range(3):
        assert ask(responder, Scope(path="/AAAA")).sent == b"DER"
    assert desk.asked == ["AAAA"]
    clock.now += KEEP_S - 0.001
    ask(responder, Scope(path="/AAAA"))
    assert len(desk.asked) == 1
    clock.now += 0.002
    ask(responder, Scope(path="/AAAA"))
    assert len(desk.asked) == 2


def test_get_and_post_are_remembered_apart_and_what_may_not_be_kept_is_not() -> None:
    desk = CountingDesk()
    responder = Responder(desk)
    ask(responder, Scope("POST", headers={"content-length": "4"}), b"AAAA")
    ask(responder, Scope("POST", headers={"content-length": "4"}), b"AAAA")
    ask(responder, Scope(path="/AAAA"))
    assert desk.asked == [b"AAAA", "AAAA"]
    forgetful = CountingDesk(keep=False)
    responder = Responder(forgetful)
    for _ in range(3):
        ask(responder, Scope(path="/AAAA"))
    assert len(forgetful.asked) == 3


def test_the_path_of_the_responders_address_is_left_out() -> None:
    desk = CountingDesk()
    request = base64.b64encode(bytes(range(250))).decode()
    ask(Responder(desk, "/pki/ocsp"), Scope(path=f"/pki/ocsp/{request}"))
    ask(Responder(desk, "/pki/ocsp"), Scope(path=f"/pki/ocsp/{quote(request, safe='')}"))
    assert desk.asked == [request, quote(request, safe="")]


def test_who_has_the_answer_already_gets_none() -> None:
    responder = Responder(CountingDesk())
    same = ask(responder, Scope(path="/A", headers={"if-none-match": ETAG}))
    assert (same.status, same.sent) == (304, None) and ("ETag", ETAG) in same.headers
    other = ask(responder, Scope(path="/A", headers={"if-none-match": '"old"'}))
    assert other.status == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "BREW"])
def test_other_methods_are_told_which_there_are(method: str) -> None:
    desk = CountingDesk()
    refused = ask(Responder(desk), Scope(method))
    assert refused.status == 405 and ("Allow", "GET, HEAD, POST") in refused.headers
    assert desk.asked == []


def test_a_head_is_answered_as_the_get_it_stands_for() -> None:
    desk = CountingDesk()
    responder = Responder(desk)
    whole, head = ask(responder, Scope(path="/A")), ask(responder, Scope("HEAD", path="/A"))
    assert (head.status, head.headers, head.sent) == (200, whole.headers, whole.sent), "the server leaves the body out"
    assert ask(responder, Scope("HEAD", path="/A", headers={"if-none-match": ETAG})).status == 304
    assert desk.asked == ["A"]


@pytest.mark.parametrize("slashes", ["/pki/ocsp/", "/pki/ocsp//", "/", "//"])
def test_slashes_before_the_request_are_none_of_it(slashes: str) -> None:
    desk = CountingDesk()
    ask(Responder(desk, "/pki/ocsp"), Scope(path=f"{slashes}MEow/Q=="))
    assert desk.asked == ["MEow/Q=="]


def test_whoever_stops_in_the_middle_of_a_body_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "BODY_S", 0.01)
    desk = CountingDesk()

    class Stopped(Exchange):
        async def __call__(self) -> bytes:
            await asyncio.sleep(10)
            return b"never"

    exchange = Stopped()
    asyncio.run(Responder(desk).__rsgi__(Scope("POST", headers={"content-length": "100"}), exchange))
    assert exchange.status == 408 and ("Connection", "close") in exchange.headers
    assert desk.asked == []


@pytest.mark.parametrize(
    "headers", [{}, {"content-length": "100000"}, {"content-length": "-1"}, {"content-length": "x"}]
)
def test_a_long_body_is_not_read_to_its_end(headers: dict[str, str]) -> None:
    desk = CountingDesk()
    exchange = ask(Responder(desk), Scope("POST", headers=headers), bytes(100_000))
    assert MAX_REQUEST_BYTES < exchange.read < MAX_REQUEST_BYTES + 1001
    (asked,) = desk.asked
    assert len(asked) == exchange.read, "the desk sees that it is too long, and calls it malformed"


def test_a_body_in_pieces_is_put_together() -> None:
    desk = CountingDesk()
    ask(Responder(desk), Scope("POST"), bytes(2500))
    assert desk.asked == [bytes(2500)]


def test_memory_has_a_bound_and_forgets_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "REMEMBERED", 3)
    desk = CountingDesk()
    responder = Responder(desk)
    for letter in "ABCD":
        ask(responder, Scope(path=f"/{letter}"))
    ask(responder, Scope(path="/D"))
    ask(responder, Scope(path="/B"))
    assert desk.asked == list("ABCD")
    ask(responder, Scope(path="/A"))
    assert desk.asked == list("ABCDA")


def test_what_is_too_old_goes_with_the_next_that_comes() -> None:
    desk, clock = CountingDesk(), Time()
    responder = Responder(desk, clock=clock)
    for letter in "ABC":
        ask(responder, Scope(path=f"/{letter}"))
    clock.now += KEEP_S - 1
    ask(responder, Scope(path="/D"))
    assert list(responder._memory) == ["/A", "/B", "/C", "/D"]
    clock.now += 1
    ask(responder, Scope(path="/E"))
    assert list(responder._memory) == ["/D", "/E"]


def test_when_too_many_wait_the_next_is_told_to_try_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "WAITING", 2)
    desk = CountingDesk()
    desk.hold.clear()
    responder = Responder(desk)

    async def story() -> list[Any]:
        scope = Scope("POST", headers={"content-length": "1"})
        waiting = [Exchange(b"1"), Exchange(b"2")]
        tasks = [asyncio.create_task(responder.__rsgi__(scope, exchange)) for exchange in waiting]
        await until(lambda: responder._waiting == 2)
        refused = Exchange(b"3")
        await responder.__rsgi__(scope, refused)
        desk.hold.set()
        await asyncio.gather(*tasks)
        again = Exchange(b"3")
        await responder.__rsgi__(scope, again)
        return [exchange.sent for exchange in (*waiting, refused, again)]

    assert asyncio.run(story()) == [b"DER1", b"DER2", b"later", b"DER3"]


def test_what_was_answered_from_memory_is_reported_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "REPORT_S", 0.01)
    desk = CountingDesk()
    responder = Responder(desk)

    async def story() -> None:
        loop = asyncio.get_running_loop()
        responder.__rsgi_init__(loop)
        for _ in range(5):
            await responder.__rsgi__(Scope(path="/A"), Exchange())
        await until(lambda: sum(desk.counted.values()) >= 4)
        responder.__rsgi_del__(loop)

    asyncio.run(story())
    assert desk.counted == {"again": 4}
