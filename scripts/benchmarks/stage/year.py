"""Half a year of a region's work behind the pages: every second person has a card, by statements; PostgreSQL only.

Batches, cards, the operations that made them, shifts and the ledger of blanks, letters and an audit entry a person.
The triggers that guard these tables row by row are off meanwhile, as a real half year keeps a server busy for half a
year. Hashes of the audit are made up; nothing else here contradicts the rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from scripts.benchmarks.stage.loading import loading

# Working days of it, the first whose cards still wait at the points, lines, blanks in a box.
DAYS, LATE, LINES, BOX = 120, 117, 30, 500
# Of so many who wait one has died since the last plan.
DYING = 700
LOT = "a1b2c3d40001"
# Tables that get a row a card or more.
FILLED = ("application", "card", "card_operation", "operation_place", "stock_movement", "message", "audit_entry")
# Accounts of the stock by number: stores, then for each shift hand, work and what it made.
_STORES, _HANDS, _WORKS, _GOODS = 1_000, 100_000, 200_000, 300_000


def live(url: str, *, points: int, days: Sequence[date]) -> None:
    """Put the last working days behind the applications of `stage.people`."""
    with loading(url, *FILLED) as connection:
        for statement in (*_made(days), *_production(points), *_stock(points), *_papers(), *_series()):
            connection.execute(statement.encode())


def _made(days: Sequence[date]) -> Iterator[str]:
    """Who has a card: of which point, of which day (0 is the oldest), by which shift, with which serial."""
    numbered = ", ".join(f"({number}, date '{day}')" for number, day in enumerate(days))
    yield f"CREATE TEMPORARY TABLE workday AS SELECT * FROM (VALUES {numbered}) days (n, d)"
    yield (
        "CREATE TEMPORARY TABLE made AS SELECT id, resident_id, point_id, n, d, "
        f"(point_id - 1) * {DAYS} + n + 1 AS shift, row_number() OVER (ORDER BY point_id, n, id) AS serial, "
        f"CASE WHEN n >= {LATE} THEN 'PERSONALISED' WHEN id % 97 = 1 THEN 'LOST' "
        "WHEN id % 89 = 1 THEN 'ANNULLED' WHEN id % 83 = 1 THEN 'SUSPENDED' ELSE 'ACTIVE' END AS state "
        f"FROM application JOIN workday ON n = id / 2 % {DAYS} WHERE id % 2 = 1"
    )
    yield "CREATE INDEX made_id ON made (id)"
    yield "ANALYZE made"


def _production(points: int) -> Iterator[str]:
    """The states of applications, batches, cards and the operations that made them."""
    yield (
        "UPDATE application SET route = CASE WHEN id % 20 = 0 THEN 'WEB' ELSE route END, "
        "due_on = CASE WHEN id % 20 = 0 THEN current_date + (id % 30)::int ELSE due_on END, state = CASE "
        f"WHEN id % 2 = 1 THEN CASE WHEN id / 2 % {DAYS} >= {LATE} THEN 'READY' ELSE 'CLOSED' END "
        "WHEN id % 400 = 0 THEN 'SUBMITTED' WHEN id % 400 = 20 THEN 'CHECKING' WHEN id % 400 = 40 THEN 'CHECKED' "
        "WHEN id % 400 = 60 THEN 'CHECK_FAILED' WHEN id % 400 = 80 THEN 'REJECTED' ELSE 'APPROVED' END "
        "WHERE id % 2 = 1 OR id % 20 = 0"
    )
    yield (
        "UPDATE issuance_point p SET daily_capacity = 20 + people / 200 FROM "
        "(SELECT point_id, count(*) AS people FROM application GROUP BY point_id) size WHERE size.point_id = p.id"
    )
    yield (
        "INSERT INTO batch (id, number, state, planned_for, point_id, profile, transport, line, planned_at, version) "
        f"SELECT shift, 'Y-' || lpad(shift::text, 6, '0'), CASE WHEN min(n) >= {LATE} THEN 'IN_PRODUCTION' "
        "ELSE 'CLOSED' END, min(d), min(point_id), 'uec', 'pcsc', "
        f"'L' || (1 + (min(point_id) * 7 + min(n)) % {LINES}), min(d) - interval '5 days', 1 FROM made GROUP BY shift"
    )
    yield (
        "INSERT INTO card (id, number, application_id, batch_id, resident_id, state, profile, printed_name, chip_id, "
        "kvn, key_version, expires_on, personalised_at, activated_at, promised_on, version) SELECT id, "
        f"'99' || lpad(id::text, 14, '0'), id, shift, resident_id, state, 'uec', 'HOLDER', "
        f"'{LOT}' || lpad(to_hex(serial), 8, '0'), 48, 1, d + 1825, d, "
        "CASE WHEN state <> 'PERSONALISED' THEN d + 4 END, d + 3, 1 FROM made"
    )
    yield (
        "INSERT INTO station (id, name, point_id, readers) SELECT n, 'Window ' || n, 1 + n % "
        f"{points}, '[]' FROM generate_series(1, {2 * points}) n"
    )
    yield (
        "INSERT INTO card_operation (id, kind, card_id, station_id, state, requested_at, started_at, finished_at, "
        "error_code, version) SELECT id, 'PERSONALISE', id, 1 + shift % (2 * "
        f"{points}), CASE WHEN id % 331 = 1 THEN 'FAILED' ELSE 'DONE' END, d, d, d + (id % 28800) * interval '1 s', "
        "CASE WHEN id % 331 = 1 THEN 'card-lost' END, 1 FROM made"
    )
    yield (
        "INSERT INTO operation_place (operation_id, station_id, reader) "
        f"SELECT id, 1 + shift % (2 * {points}), 'Reader 0' FROM made"
    )


def _stock(points: int) -> Iterator[str]:
    """Boxes, a shift for each point and day, and two entries of the ledger for each card."""
    box = f"(serial / {BOX} + 1)"
    yield (
        "INSERT INTO stock_store (id, code, name, kind, point_id, enforced) SELECT n + 1, 'S' || n, 'Store ' || n, "
        f"CASE n WHEN 0 THEN 'CENTRAL' ELSE 'POINT' END, nullif(n, 0), true FROM generate_series(0, {points}) n"
    )
    yield (
        "INSERT INTO stock_delivery (id, maker, note, profile, transport_version, diversification, check_value, "
        "store_id, boxes, blanks, received_at) SELECT 1, 'Maker', 'N-1', 'uec', 1, 'kdf3', '000000', 1, "
        f"count(*) * 2 / {BOX}, count(*) * 2, now() FROM made"
    )
    yield (
        "INSERT INTO stock_box (id, number, delivery_id, blanks) SELECT n, 'BOX-' || n, 1, "
        f"{BOX} FROM generate_series(1, (SELECT blanks / {BOX} + 1 FROM stock_delivery)) n"
    )
    yield (
        "INSERT INTO stock_shift (id, number, state, store_id, station_id, opened_at, closed_at, version) "
        "SELECT shift, 'S-' || lpad(shift::text, 6, '0'), 'CLOSED', min(point_id) + 1, 1 + shift % (2 * "
        f"{points}), min(d), min(d) + interval '8 hours', 1 FROM made GROUP BY shift"
    )
    yield (
        "INSERT INTO stock_account (id, key, kind, store_id) SELECT id + "
        f"{_STORES}, 'STORE:store:' || id, 'STORE', id FROM stock_store"
    )
    for kind, first in (("HAND", _HANDS), ("WORK", _WORKS), ("GOOD", _GOODS)):
        yield (
            f"INSERT INTO stock_account (id, key, kind, store_id, shift_id) SELECT id + {first}, "
            f"'{kind}:shift:' || id, '{kind}', store_id, id FROM stock_shift"
        )
    entry = (
        "INSERT INTO stock_movement (at, actor, motion, lot, first, last, blanks, box_id, giver_id, taker_id, card_id) "
    )
    whole = f"'{LOT}', min(serial), max(serial), count(*), {box}"
    yield (
        f"{entry}SELECT min(d), 'staff:1', 'ISSUE', {whole}, min(point_id) + 1 + {_STORES}, shift + {_HANDS}, NULL "
        f"FROM made GROUP BY shift, {box}"
    )
    single = f"d, 'system:hub', '{{}}', '{LOT}', serial, serial, 1, {box}, shift + {{}}, shift + {{}}, id"
    for motion, giver, taker in (("CLAIM", _HANDS, _WORKS), ("MAKE", _WORKS, _GOODS)):
        yield f"{entry}SELECT {single.format(motion, giver, taker)} FROM made"
    yield (
        f"INSERT INTO stock_holding (lot, first, last, box_id, account_id) SELECT '{LOT}', min(serial), max(serial), "
        f"{box}, shift + {_GOODS} FROM made GROUP BY shift, {box}"
    )
    begun = f"(SELECT max(serial) / {BOX} + 1 FROM made)"
    yield (
        f"INSERT INTO stock_holding (lot, first, last, box_id, account_id) SELECT '{LOT}', (id - 1) * {BOX}, "
        f"id * {BOX} - 1, id, {_STORES} + 1 FROM stock_box WHERE id > {begun}"
    )


def _papers() -> Iterator[str]:
    """Refusals, deaths, letters, promised days that moved, and an entry of the audit for each application."""
    yield (
        "INSERT INTO refusal (number, resident_id, snils, channel, filed_at) SELECT 'R-' || lpad(id::text, 7, '0'), "
        "id, snils, 'web', now() FROM resident WHERE id % 70 = 6"
    )
    # Whoever refuses is waited for no more from that moment; of the dead the office hears from the register.
    yield (
        "UPDATE application SET state = 'WITHDRAWN', closed_at = now(), version = 2 "
        "WHERE id % 70 = 6 AND state = 'APPROVED' AND route = 'MASS'"
    )
    yield f"UPDATE resident SET death_date = current_date - 1 WHERE id % {DYING} = 8"
    yield (
        "INSERT INTO message (application_id, kind, key, channel, language, facts, queued_at, attempts, sent_at) "
        "SELECT id, 'ready', 'ready', 'page', 'ru', '{}', d, 1, d FROM made"
    )
    yield (
        "INSERT INTO promise_move (application_id, point_id, was, now, listed_at) SELECT id, point_id, "
        "current_date + 20, "
        "CASE id % 50 WHEN 4 THEN NULL ELSE current_date + 20 + (id % 30)::int + 1 END, now() FROM application "
        "WHERE id % 10 = 4"
    )
    yield (
        "INSERT INTO audit_entry (chain, seq, at, actor, action, subject_kind, subject_id, person_id, details, "
        "previous_hash, hash) SELECT id % 8, (SELECT seq FROM audit_chain WHERE chain = id % 8) + id / 8 + 1, "
        "submitted_at, 'system:cohort', 'application.mass', 'application', id::text, resident_id, '{}', "
        "sha256(int8send(id - 8)), sha256(int8send(id)) FROM application"
    )
    yield (
        "UPDATE audit_chain c SET seq = (SELECT max(seq) FROM audit_entry e WHERE e.chain = c.chain) "
        "WHERE seq < (SELECT max(seq) FROM audit_entry e WHERE e.chain = c.chain)"
    )


def _series() -> Iterator[str]:
    """Numbers go on behind what was entered."""
    for table in (
        "batch", "card", "station", "card_operation", "stock_store", "stock_delivery", "stock_box", "stock_shift",
        "stock_account", "application",
    ):  # fmt: skip
        yield f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))"
