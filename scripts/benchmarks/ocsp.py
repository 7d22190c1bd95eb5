"""OCSP answers signed ahead, over HTTP, beside the same server's empty answer; both by the server's own CPU time.

Both servers get the same requests, and whoever asks does the same work with either answer: its pace decides how many
requests a server finds waiting when it looks, and so what each costs it.
"""

from __future__ import annotations

import base64
import random
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import insert
from sqlalchemy.orm import Session

from issuance.pki import der
from issuance.pki.ocsp import AskedIssuer
from scripts.benchmarks.figure import Figure
from tests.support.keys import make_vault
from uec.domain.actors import system_actor
from uec.processes import ProcessGroup, free_port, listens
from uec.services import authority, ocsp_answers, ocsp_signers, revocation
from uec.settings import Settings, load_settings
from uec.store.engine import make_engine, session_factory
from uec.store.migrate import upgrade
from uec.store.tables import Certificate

GOAL = 0.8
CERTIFICATES = 1000
CONNECTIONS = 32
ROUNDS = 25
_ANSWER = re.compile(rb"HTTP/1\.1 200 .*?\r\ncontent-length: (\d+)\r\n.*?\r\n\r\n", re.DOTALL)
FLOOR = (
    "import sys; from uec.cli.ocsp import serve; serve('scripts.benchmarks.ocsp:empty', '127.0.0.1', int(sys.argv[1]))"
)


class Empty:
    """The least that the server can answer."""

    async def __rsgi__(self, _scope: Any, exchange: Any) -> None:
        """Answer without headers and body."""
        exchange.response_empty(200, [])


empty = Empty()


def figures(*, quick: bool) -> Iterator[Figure | str]:
    """Answers a second, and a second of the server's CPU time, of both."""
    count = 1_600 if quick else 6_400
    with tempfile.TemporaryDirectory(prefix="uec-") as name:
        folder = Path(name)
        port, floor_port = free_port(), free_port()
        settings = _settings(folder, port)
        requests = _fill(settings, folder)
        with ProcessGroup(folder / "logs") as group:
            environment = {"UEC_SETTINGS": str(settings.source)}
            for label, command, at in (
                ("ocsp", ["-m", "uec", "ocsp", "run"], port),
                ("floor", ["-c", FLOOR, str(floor_port)], floor_port),
            ):
                group.start(
                    label,
                    [sys.executable, *command],
                    environment=environment,
                    ready=lambda at=at: listens("127.0.0.1", at),
                )
            served = _Load(port, _worker(group.children[0].process), requests)
            bare = _Load(floor_port, _worker(group.children[1].process), requests)
            with served, bare:
                for load in (served, bare):  # every answer is in memory then
                    load.ask(3 * CERTIFICATES)
                taken = [(served.ask(count), bare.ask(count)) for _ in range(ROUNDS)]
    for at, unit in ((0, "1/cpu-s"), (1, "1/s")):
        # The round in the middle by its ratio: what else the machine does falls on both halves of a round alike.
        rounds = sorted(((ours[at], theirs[at]) for ours, theirs in taken), key=lambda pair: pair[0] / pair[1])
        ours, theirs = rounds[ROUNDS // 2]
        goal = GOAL if at == 0 else None
        yield Figure(f"pki.ocsp.served{'' if at == 0 else '.wall-clock'}", unit, count / ours, count / theirs, goal)


class _Load:
    """Keeps a few connections busy; how much CPU time its server took, and how much time passed."""

    def __init__(self, port: int, server: Sequence[int], requests: Sequence[bytes]) -> None:
        self._server, self._requests, self._at = server, requests, 0
        self._connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(CONNECTIONS)]

    def __enter__(self) -> _Load:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._connections:
            connection.close()

    def ask(self, count: int) -> tuple[float, float]:
        """Ask so many times; CPU seconds of the server, and seconds."""
        cpu, started = _cpu_seconds(self._server), time.perf_counter()
        for _ in range(count // CONNECTIONS):
            for connection in self._connections:
                connection.sendall(self._requests[self._at % len(self._requests)])
                self._at += 1
            for connection in self._connections:
                _receive(connection)
        return _cpu_seconds(self._server) - cpu, time.perf_counter() - started


def _receive(connection: socket.socket) -> None:
    data = connection.recv(65536)
    head = _ANSWER.match(data)
    if head is None:
        raise RuntimeError(data.decode("latin-1"))
    left = head.end() + int(head[1]) - len(data)
    while left > 0:
        left -= len(connection.recv(left))


def _worker(process: subprocess.Popen[bytes]) -> list[int]:
    """The process that serves: the server's main process only watches it."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [process.pid, *map(int, children)]


def _cpu_seconds(pids: Sequence[int]) -> float:
    """What processes have used up to now, to the nanosecond: the time of their threads (proc(5), schedstat)."""
    spent = 0
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            spent += int((thread / "schedstat").read_text().split()[0])
    return spent / 1e9


def _settings(folder: Path, port: int) -> Settings:
    profiles = Path(__file__).parents[2] / "config" / "profiles"
    file = folder / "uec.toml"
    file.write_text(
        f'profile_dir = "{profiles}"\nocsp_listen = "127.0.0.1:{port}"\nocsp_url = "http://127.0.0.1:{port}"\n'
    )
    return load_settings(file)


def _fill(settings: Settings, folder: Path) -> list[bytes]:
    """An office with certificates whose answers are signed ahead; the requests about them, as bytes of HTTP."""
    upgrade(settings.database_url)
    engine = make_engine(settings.database_url)
    now = datetime.now(UTC)
    with make_vault(folder / "vault") as vault, session_factory(engine)() as session:
        actor, start = system_actor("benchmark"), now - timedelta(hours=1)
        known = authority.create(session, vault, settings=settings, actor=actor, now=start, random=vault.random)
        serials = [int.from_bytes(vault.random(16), "big") | 1 << 127 for _ in range(CERTIFICATES)]
        _issue(session, serials, now)
        ocsp_signers.renew_due(session, vault, settings=settings, now=now, random=vault.random)
        delegates = ocsp_signers.delegates(session, vault, now=now)
        ocsp_answers.sign_due(session, delegates, life=timedelta(days=1), now=now)
    engine.dispose()
    issuer = AskedIssuer(known.issuing)
    asked = [der.sequence(der.sequence(der.sequence(der.sequence(issuer.cert_id(serial))))) for serial in serials]
    random.Random(1).shuffle(asked)
    paths = [quote(base64.b64encode(request).decode(), safe="") for request in asked]
    return [f"GET /{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode() for path in paths]


def _issue(session: Session, serials: Sequence[int], now: datetime) -> None:
    row = {
        "profile": "authentication", "tbs_digest": "", "subject": "CN=x", "not_before": now,
        "not_after": now + timedelta(days=1000), "intended_at": now, "state": "INTENDED",
    }  # fmt: skip
    rows = [{**row, "serial": f"{serial:032x}", "public_key_digest": f"{serial:x}"} for serial in serials]
    made = session.scalars(insert(Certificate).returning(Certificate.id), rows).all()
    revocation.expect_answers(session, made, now=now)
    session.commit()
