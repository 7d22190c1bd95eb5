"""What the journal costs: cards in flight side by side on PostgreSQL, with every record durable and with none."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from issuance.production.asking import Talk
from issuance.production.bundle import Record, RecordKind
from issuance.production.drivers import run_local
from issuance.production.office import OfficePort
from scripts.benchmarks.figure import Figure, seconds
from scripts.benchmarks.flow import Line, now
from scripts.benchmarks.server import durable_server
from tests.support.postgres import Server
from uec.services import operations
from uec.services.card_sessions import Runner, do_operation

IN_FLIGHT = 16
CARDS, RUNS = 96, 3
QUICK_CARDS, QUICK_RUNS = 32, 2
GOAL = 0.8
MOVING = {RecordKind.CHIP_CLAIMED, RecordKind.INSPECTED}
"""Records that move the card in the office, journal or not."""

T = TypeVar("T")


class Forgetful:
    """An office that keeps no journal: a record is lost unless the card's state hangs on it."""

    def __init__(self, office: OfficePort) -> None:
        self._office = office

    def __getattr__(self, name: str) -> object:
        return getattr(self._office, name)

    def record(self, record: Record) -> None:
        """Forget it."""
        if record.kind in MOVING:
            self._office.record(record)


def figures(*, quick: bool) -> Iterator[Figure]:
    """Cards a second with the journal, beside those without it; chip timing off, fsync on."""
    cards, runs = (QUICK_CARDS, QUICK_RUNS) if quick else (CARDS, RUNS)
    with durable_server(Server) as server, tempfile.TemporaryDirectory() as folder:
        url = server.dsn(server.empty())
        line = Line(Path(folder), residents=cards * (2 * runs + 2) * 3, database_url=url)
        try:
            yield _beside(line, cards, runs)
        finally:
            line.close()


def _beside(line: Line, cards: int, runs: int) -> Figure:
    _rate(line, cards, lambda office: office)  # warms caches up and is thrown away
    kept, lost = [], []
    for _ in range(runs):
        kept.append(_rate(line, cards, lambda office: office))
        lost.append(_rate(line, cards, Forgetful))  # type: ignore[arg-type]
    return Figure("production.journal", "cards/s", statistics.median(kept), statistics.median(lost), GOAL)


def _rate(line: Line, cards: int, around: Callable[[OfficePort], OfficePort]) -> float:
    """Cards a second, written and inspected, so many in flight."""
    line.queue(line.forms(cards))

    def one(_: int) -> None:
        with line.sessions() as session:
            operation = operations.claim_operation(session, now=now())
        if operation is None or operation.card_id is None:
            raise LookupError("an operation was lost")
        ended = do_operation(line.desk, operation, _runner(line, operation.card_id, around))
        if ended.error_text:
            raise LookupError(ended.error_text)

    def shift() -> None:
        with ThreadPoolExecutor(IN_FLIGHT) as hands:
            list(hands.map(one, range(cards)))

    return cards / seconds(shift)


def _runner(line: Line, card_id: int, around: Callable[[OfficePort], OfficePort]) -> Runner:
    slot = line.slot(card_id)

    def run(start: Callable[[], Talk[T]], office: OfficePort) -> T:
        return run_local(start(), slot, around(office))

    return run
