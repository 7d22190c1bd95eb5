"""The register gateway against its stand-in over real HTTP: three outcomes, and every way of being away."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import httpx
import pytest

from uec.domain.errors import GatewayUnavailable, InvalidFile, InvalidInput
from uec.domain.lifecycle import CheckOutcome, CheckRegister
from uec.domain.register_row import COLUMNS
from uec.gateways.questions import ASKED, CheckAnswer, Person
from uec.gateways.register_client import BULK, RegisterGateway
from uec.gateways.standin import StandIn, Trouble, serve
from uec.gateways.truth import Truth
from uec.processes import free_port
from uec.synthetic.register import HEADER, lines

TODAY = date(2026, 1, 15)
MATCH, MISMATCH, UNAVAILABLE = CheckOutcome.MATCH, CheckOutcome.MISMATCH, CheckOutcome.UNAVAILABLE


@dataclass(frozen=True)
class Somebody:
    """A person as the office asks about."""

    surname: str
    name: str
    patronymic: str
    birth_date: str
    sex: str
    snils: str
    oms: str
    doc_type: str
    doc_series: str
    doc_number: str
    doc_date: str


def somebody(text: str) -> Somebody:
    row = dict(zip(COLUMNS, text.split(";"), strict=True))
    return Somebody(**{name: row[name] for name in Somebody.__dataclass_fields__})


ROWS = [line.text for line in lines(300, 11, dirty=0)]
DEAD = [somebody(text) for text in ROWS if not text.endswith(";")]
PEOPLE = [somebody(text) for text in ROWS if text.endswith(";") and ";;" not in text.split(";passport")[0]]


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    path = tmp_path_factory.mktemp("truth") / "register.csv"
    path.write_text("\n".join([HEADER, *ROWS, "a;b", '"open', ROWS[0].replace("1", "x")]), encoding="utf-8")
    return Truth.of_file(path, TODAY)


@pytest.fixture
def standin(truth: Truth) -> Iterator[StandIn]:
    with StandIn(truth) as running:
        yield running


@pytest.fixture
def gateway(standin: StandIn) -> Iterator[RegisterGateway]:
    with RegisterGateway(standin.url, timeout_s=60) as opened:
        yield opened


def test_dirty_rows_are_no_truth(truth: Truth) -> None:
    assert len(truth) == len(ROWS)


@pytest.mark.parametrize("register", list(CheckRegister))
def test_who_is_as_said_matches(gateway: RegisterGateway, register: CheckRegister) -> None:
    assert gateway.check(register, PEOPLE[0]).outcome is MATCH
    shouted = replace(PEOPLE[1], surname=PEOPLE[1].surname.upper().replace("Ё", "Е"))
    assert gateway.check(register, shouted).outcome is MATCH


@pytest.mark.parametrize("register", list(CheckRegister))
def test_each_part_that_differs_is_told(gateway: RegisterGateway, register: CheckRegister) -> None:
    for part in ASKED[register]:
        answer = gateway.check(register, replace(PEOPLE[0], **{part: "другое"}))
        assert (answer.outcome, part in answer.detail) == (MISMATCH, True), part


def test_a_register_learns_only_what_it_needs() -> None:
    assert set(ASKED[CheckRegister.OMS]) == {"oms", "surname", "name", "patronymic", "birth_date"}
    assert all("address" not in parts and "phone" not in parts for parts in ASKED.values())


def test_the_dead_do_not_match(gateway: RegisterGateway) -> None:
    assert DEAD
    answer = gateway.check(CheckRegister.RESIDENCE, DEAD[0])
    assert (answer.outcome, answer.detail) == (MISMATCH, "the person has died")


def test_down_slow_and_dropped_are_unavailable_and_pass(standin: StandIn, gateway: RegisterGateway) -> None:
    with RegisterGateway(standin.url, timeout_s=0.3) as hasty:
        for trouble, asked, word in (
            ({"down": True}, gateway, "503"),
            ({"drop": True}, gateway, "reached"),
            ({"delay_s": 5.0}, hasty, "in time"),
        ):
            assert httpx.post(f"{standin.url}/control", json=trouble, timeout=60).status_code == 200
            answer = asked.check(CheckRegister.SNILS, PEOPLE[0])
            assert (answer.outcome, word in answer.detail) == (UNAVAILABLE, True), answer
            standin.trouble = Trouble()
            assert gateway.check(CheckRegister.SNILS, PEOPLE[0]).outcome is MATCH


def test_slow_within_the_limit_is_an_answer(standin: StandIn, gateway: RegisterGateway) -> None:
    standin.make_trouble(delay_s=0.15)
    begun = time.monotonic()
    assert gateway.check(CheckRegister.SNILS, PEOPLE[0]).outcome is MATCH
    assert time.monotonic() - begun >= 0.15


def test_trouble_of_one_register_leaves_the_others(standin: StandIn, gateway: RegisterGateway) -> None:
    standin.make_trouble(down=True, registers=["PASSPORT"])
    assert gateway.check(CheckRegister.PASSPORT, PEOPLE[0]).outcome is UNAVAILABLE
    assert gateway.check(CheckRegister.SNILS, PEOPLE[0]).outcome is MATCH


def test_a_fixed_share_of_people_is_refused_on_request(standin: StandIn, gateway: RegisterGateway) -> None:
    standin.make_trouble(mismatch_share=0.3)
    questions = [(CheckRegister.SNILS, person) for person in PEOPLE]
    answers = gateway.check_many(questions)
    share = sum(answer.outcome is MISMATCH for answer in answers) / len(answers)
    assert 0.15 < share < 0.45
    assert gateway.check_many(questions) == answers


def test_many_questions_keep_their_order(standin: StandIn, gateway: RegisterGateway) -> None:
    wrong = replace(PEOPLE[0], snils="11223344595")
    questions = [(CheckRegister.SNILS, wrong if n % 7 == 0 else PEOPLE[1]) for n in range(BULK + 20)]
    outcomes = [answer.outcome for answer in gateway.check_many(questions)]
    assert outcomes == [MISMATCH if n % 7 == 0 else MATCH for n in range(BULK + 20)]
    assert gateway.check_many([]) == []
    standin.make_trouble(down=True)
    assert {answer.outcome for answer in gateway.check_many(questions[:3])} == {UNAVAILABLE}


def test_a_register_that_is_down_spoils_no_other_and_is_not_pestered(
    standin: StandIn, gateway: RegisterGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    standin.make_trouble(down=True, registers=["PASSPORT"])
    bulk, asked = RegisterGateway._ask_part, list[CheckRegister]()

    def counted(self: RegisterGateway, register: CheckRegister, people: Sequence[Person]) -> list[CheckAnswer]:
        asked.append(register)
        return bulk(self, register, people)

    monkeypatch.setattr(RegisterGateway, "_ask_part", counted)
    registers = (CheckRegister.PASSPORT, CheckRegister.SNILS)
    questions = [(register, PEOPLE[1]) for _ in range(BULK + 5) for register in registers]
    outcomes = [answer.outcome for answer in gateway.check_many(questions)]
    assert outcomes == [UNAVAILABLE, MATCH] * (BULK + 5)
    assert asked == [CheckRegister.PASSPORT, CheckRegister.SNILS, CheckRegister.SNILS], "asked once when it is silent"


def test_nobody_listens() -> None:
    with RegisterGateway(f"http://127.0.0.1:{free_port()}", timeout_s=0.5) as gateway:
        assert gateway.check(CheckRegister.SNILS, PEOPLE[0]).outcome is UNAVAILABLE
    with RegisterGateway("nowhere") as gateway:
        assert gateway.check(CheckRegister.SNILS, PEOPLE[0]).outcome is UNAVAILABLE


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nnot js{",
        b'HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n{"outcome": "MAYBE"}',
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull",
        b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere.invalid/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n" + b"[" * 50_000,
        b"",
    ],
)
def test_nonsense_is_never_a_no(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(2)

        def reply() -> None:
            # A gateway that gave up on the register does not come back: the server may close before the second visit.
            with contextlib.suppress(OSError):
                for _ in range(2):
                    connection, _address = server.accept()
                    with connection:
                        connection.recv(65536)
                        connection.sendall(answer)

        thread = threading.Thread(target=reply, daemon=True)
        thread.start()
        with RegisterGateway(f"http://127.0.0.1:{server.getsockname()[1]}", timeout_s=0.5) as gateway:
            assert gateway.check(CheckRegister.SNILS, PEOPLE[0]).outcome is UNAVAILABLE
            assert gateway.check_many([(CheckRegister.SNILS, PEOPLE[0])])[0].outcome is UNAVAILABLE
        thread.join(2)


def test_the_standin_refuses_what_it_cannot_read(standin: StandIn) -> None:
    def post(path: str, content: bytes, **headers: str) -> int:
        return httpx.post(f"{standin.url}{path}", content=content, headers=headers).status_code

    assert post("/v1/checks/SNILS", b"not json") == 400
    assert post("/v1/checks/SNILS", b"[]") == 400
    assert post("/v1/checks/SNILS", b"[" * 50_000) == 400
    assert post("/v1/checks/SNILS", b"{}") == 400
    assert post("/v1/checks/SNILS", json.dumps({"person": {"snils": 5}}).encode()) == 400
    assert post("/v1/checks/NOTHING", b'{"person": {}}') == 400
    assert post("/v1/checks", b'{"checks": [5]}') == 400
    assert post("/elsewhere", b"{}") == 404
    assert post("/control", b'{"delay_s": 1e9}') == 400
    assert post("/control", b'{"nonsense": 1}') == 400
    assert post("/control", b'{"registers": ["NOTHING"]}') == 400
    assert post("/control", b'{"down": 1}') == 400
    assert httpx.get(f"{standin.url}/elsewhere").status_code == 404
    assert httpx.get(f"{standin.url}/health").json() == {"status": "ok"}
    state = httpx.get(f"{standin.url}/control").json()
    assert (state["delay_s"], state["people"]) == (0.0, len(ROWS))
    with socket.create_connection(standin.url.removeprefix("http://").split(":")) as raw:  # type: ignore[arg-type]
        raw.sendall(b"POST /control HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n")
        assert b" 413 " in raw.recv(4096)


def test_trouble_is_checked() -> None:
    assert Trouble().changed({"registers": ["SNILS"]}).concerns(CheckRegister.SNILS)
    with pytest.raises(InvalidInput):
        Trouble().changed({"mismatch_share": 2})


def test_a_taken_port_and_a_missing_file_are_one_sentence(standin: StandIn, truth: Truth, tmp_path: Path) -> None:
    with pytest.raises(GatewayUnavailable, match="choose another port"):
        StandIn(truth, port=int(standin.url.rpartition(":")[2]))
    with pytest.raises(InvalidFile, match="cannot be read"):
        serve(tmp_path / "nowhere.csv", port=0)
    (tmp_path / "x.csv").write_text("a;b\n", encoding="utf-8")
    with pytest.raises(InvalidFile, match="lacks the columns"):
        serve(tmp_path / "x.csv", port=0)


def test_many_ask_at_once(standin: StandIn, gateway: RegisterGateway) -> None:
    outcomes: list[CheckOutcome] = []

    def ask() -> None:
        for person in PEOPLE[:20]:
            outcomes.append(gateway.check(CheckRegister.SNILS, person).outcome)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [MATCH] * 160
    assert standin.questions == 160
