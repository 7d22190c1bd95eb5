"""The demo's folder, port, transport and processes: nothing of anybody is wiped, and what breaks is said or mended."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from card_io.pcsc import Context
from card_io.pcscd import Pcscd, ServiceUnavailable
from card_io.secret import Secret
from issuance.production.profile import load_profile
from issuance.production.sealing import seal_pins
from tests.support.desk import LETTER
from tests.support.line import UEC_PROFILE
from tests.support.pcsc import PcscService, wait_until
from uec.demo import people
from uec.demo import site as site_module
from uec.demo.desks import PINS
from uec.demo.site import IN_PROCESS, MARKER, PCSC, DemoRunning, NotOurs, Plan, PortTaken, Site
from uec.demo.slots import FolderSlots
from uec.demo.tray import Tray
from uec.domain.lifecycle import CardState, OperationKind, OperationState
from uec.processes import ProcessFailed, ProcessGroup, free_port
from uec.services import handover, operations, staff, stations
from uec.settings import load_settings
from uec.store.engine import make_engine, session_factory
from uec.store.tables import Card

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def plan(folder: Path, *, port: int | None = None, transport: str = IN_PROCESS) -> Plan:
    return Plan(folder, residents=20, seed=1, database_url="", port=port or free_port(), transport=transport)


def silent(_: str) -> None:
    pass


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No installation: what a demo does before it."""
    monkeypatch.setattr(Site, "_install", lambda self: None)


@pytest.mark.usefixtures("quick")
def test_a_folder_that_is_not_a_demos_is_not_wiped(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    with Site(plan(folder), silent) as site, pytest.raises(NotOurs, match="--folder"):
        site.prepare()
    assert (folder / "thesis.txt").read_text() == "years of work"
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]


@pytest.mark.usefixtures("quick")
def test_the_folder_of_a_running_demo_is_not_wiped(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    with Site(plan(folder), silent) as first:
        first.prepare()
        (folder / "state").mkdir()
        (folder / "state" / "uec.db").write_text("people")
        with Site(plan(folder), silent) as second, pytest.raises(DemoRunning, match="already"):
            second.prepare()
        assert (folder / "state" / "uec.db").read_text() == "people"
    with Site(plan(folder), silent) as third:
        third.prepare()
        assert not (folder / "state").exists(), "once the first has ended, its folder is made anew"
        assert (folder / MARKER).exists()


@pytest.mark.usefixtures("quick")
def test_a_taken_port_is_said_before_anything_is_touched(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    with Site(plan(folder), silent) as before:
        before.prepare()
    (folder / "kept").touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with Site(plan(folder, port=port), silent) as site, pytest.raises(PortTaken, match=rf"Port {port} is in use"):
            site.prepare()
    assert (folder / "kept").exists()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Site]:
    """A site whose only process sleeps."""
    site = Site(plan(tmp_path / "demo"), silent)
    with site, ProcessGroup(tmp_path / "logs") as group:
        site._processes = group
        group.start("sleeper", SLEEP)
        yield site


def test_a_process_that_dies_by_itself_is_reported(running: Site) -> None:
    running.check()
    os.kill(running._processes.children[0].process.pid, signal.SIGKILL)
    running._processes.children[0].process.wait()
    with pytest.raises(ProcessFailed, match=r"'sleeper' ended with code -9.*log"):
        running.check()


class NoService(Pcscd):
    """A machine without pcscd."""

    def ensure(self) -> None:
        raise ServiceUnavailable("there is no pcscd; run `apt-get install pcscd vsmartcard-vpcd`")


def test_without_pcsc_it_falls_back_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site_module, "Pcscd", NoService)
    monkeypatch.setattr(site_module, "READERS_TIMEOUT_S", 30.0)
    said: list[str] = []
    asked: list[str] = []
    monkeypatch.setattr(Site, "_station", lambda self, readers: asked.append(readers))
    with Site(plan(tmp_path, transport="auto"), said.append) as site:
        site.tray = Tray(tmp_path / "tray", maker_key=Secret(bytes(16)), profile=load_profile(UEC_PROFILE))
        site._start_station()
        assert site.transport == IN_PROCESS
        assert site.tray.readers == FolderSlots(tmp_path / "readers").names
    assert asked == [f"virtual:{tmp_path / 'readers'}"]
    assert said == [
        "no PC/SC here, so cards are written in process: "
        "there is no pcscd; run `apt-get install pcscd vsmartcard-vpcd`",
        "starting a station whose readers are a folder",
    ]


def test_pcsc_that_was_asked_for_is_not_replaced_by_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site_module, "Pcscd", NoService)
    with Site(plan(tmp_path, transport=PCSC), silent) as site, pytest.raises(ServiceUnavailable, match="apt-get"):
        site._start_station()


def test_the_smart_card_service_is_brought_back_with_its_cards(
    running: Site, pcsc: PcscService, tmp_path: Path
) -> None:
    tray = Tray(tmp_path / "tray", maker_key=Secret(bytes(16)), profile=load_profile(UEC_PROFILE))
    tray.insert(1, tray.blank())
    assert present(pcsc.readers[1])
    running.tray, running._service = tray, Pcscd()
    try:
        pcsc.stop()  # ours in a run of these tests alone; else the machine's own goes on and nothing has to be mended
        running.check()
        wait_until(lambda: present(pcsc.readers[1]), "the card did not come back with the service")
    finally:
        tray.close()
        running._service.stop()


def present(reader: str) -> bool:
    with Context() as context:
        return context.slots()[reader].present


def run_demo(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "uec.demo", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def members(group: int) -> set[int]:
    """The living processes of a session."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[3]) == group and fields[0] != "Z":
            found.add(int(stat.parent.name))
    return found


def cards_are_written_and_handed_over_at_the_window(folder: Path, said: str) -> None:
    """What the demo leaves to try, without PC/SC: the tray's page fills the readers of a real station."""
    page = re.search(r"The card tray: +(http://127\.0\.0\.1:\d+)", said)
    assert page is not None
    engine = make_engine(load_settings(folder / "uec.toml").database_url)
    sessions = session_factory(engine)
    try:
        with httpx.Client(base_url=page[1]) as tray:
            blanks = re.findall(r"заготовка ([0-9a-f]{8})", tray.get("/").text, re.IGNORECASE)
            put(tray, reader=0, card=blanks[0])
            with sessions() as session:
                (to_write,) = session.scalars(select(Card.id).where(Card.state == CardState.PREPARED))
                (to_hand_over,) = session.scalars(select(Card.id).where(Card.state == CardState.PERSONALISED))
                number = session.get_one(Card, to_hand_over).number
                writing = operations.request_operation(
                    session, kind=OperationKind.PERSONALISE, card_id=to_write, **by(session, "producer", "1")
                )
            until_done(sessions, writing)
            held = re.search(rf"{number}.*?name=\"card\" value=\"([0-9a-f]{{8}})\"", tray.get("/").text, re.DOTALL)
            assert held is not None
            put(tray, reader=1, card=held[1])
            with sessions() as session:
                pins = seal_pins(
                    stations.hub_public_key(session, now=datetime.now(UTC)), PINS | LETTER, card_number=number
                )
                handing = handover.request(
                    session, to_hand_over, sealed_pins=pins, holder_checked=True, **by(session, "operator2", "2")
                )
            until_done(sessions, handing)
        with sessions() as session:
            assert session.get_one(Card, to_write).state is CardState.PERSONALISED
            assert session.get_one(Card, to_hand_over).state is CardState.ACTIVE
    finally:
        engine.dispose()


def put(tray: httpx.Client, *, reader: int, card: str) -> None:
    key = re.search(r'name="key" value="([^"]+)"', tray.get("/").text)
    assert key is not None
    answer = tray.post("/", data={"key": key[1], "action": "put", "reader": str(reader), "card": card})
    assert answer.status_code == 303, answer.text


def by(session: Session, login: str, reader: str) -> dict[str, Any]:
    """Who asks, when, and where."""
    now = datetime.now(UTC)
    (station,) = stations.list_stations(session, now=now)
    assert station.online
    actor = staff.sign_in(session, login, people.PASSWORD, now)
    return {"actor": actor, "now": now, "station_id": station.id, "reader": f"Virtual reader {reader}"}


def until_done(sessions: sessionmaker[Session], operation_id: int) -> None:
    def ended() -> bool:
        with sessions() as session:
            view = operations.operation(session, operation_id)
        assert view.state is not OperationState.FAILED, view.error_text
        return view.state is OperationState.DONE

    wait_until(ended, "the station did not do its work")


@pytest.mark.slow
def test_ctrl_c_ends_everything_at_once(tmp_path: Path) -> None:
    port = free_port()
    folder = tmp_path / "demo"
    demo = run_demo("--residents", "300", "--port", str(port), "--folder", str(folder), "--transport", IN_PROCESS)
    assert demo.stdout is not None and demo.stderr is not None
    try:
        shown = []
        for line in demo.stdout:
            shown.append(line)
            if line.startswith("Stop with Ctrl-C"):
                break
        else:
            pytest.fail(demo.stderr.read())
        said = "".join(shown)
        for task in ("as releaser release batch", "as producer write the card", "as operator2 hand card", "as officer"):
            assert f"  - {task}" in said, said
        assert len(members(demo.pid)) >= 9, "demo, stand-in, vault, hub, worker, scheduler, OCSP, pages, station"
        cards_are_written_and_handed_over_at_the_window(folder, said)
        second = run_demo("--port", str(port), "--folder", str(tmp_path / "other"))
        warned = second.communicate(timeout=120)[1]
        assert (second.returncode, warned) == (
            1,
            f"uec: Port {port} is in use; stop what listens there, or start with --port and another number.\n",
        )
        os.killpg(demo.pid, signal.SIGINT)
        demo.wait(120)
        wait_until(lambda: not members(demo.pid), "something lives on")
    finally:
        end_all(demo)
    assert demo.returncode == 0


@pytest.mark.slow
def test_a_killed_demo_leaves_nothing_behind(tmp_path: Path) -> None:
    arguments = ("--port", str(free_port()), "--folder", str(tmp_path / "demo"), "--transport", IN_PROCESS)
    demo = run_demo("--residents", "100", *arguments)
    assert demo.stdout is not None
    try:
        assert any(line.startswith("Stop with Ctrl-C") for line in demo.stdout)
        assert len(members(demo.pid)) >= 7, "demo, stand-in, vault, hub, worker, scheduler, pages"
        demo.kill()
        demo.wait(60)
        wait_until(lambda: not members(demo.pid), "something lives on")
    finally:
        end_all(demo)


def end_all(demo: "subprocess.Popen[str]") -> None:
    for process in members(demo.pid):
        with contextlib.suppress(ProcessLookupError):  # gone since the look
            os.kill(process, signal.SIGKILL)
    demo.wait(60)
    assert demo.stdout is not None and demo.stderr is not None
    demo.stdout.close()
    demo.stderr.close()
