# ruff: noqa: S608 - every part of these statements is written here
"""Hides how the database itself keeps the ledger of blanks: an entry that does not fit is refused, one that fits moves.

An INSERT into `stock_movement` is the only way a blank moves. Its trigger looks at the machine of a blank
(`uec.domain.stock.BLANK`), finds the range in the giver's account or refuses, splits it, puts it into the taker's and
melts it with its neighbours there. So no blank is in two places and no balance below nothing, whoever writes. The
ledger takes no edit (`uec.store.guards`); where triggers can tell (PostgreSQL), ranges take no edit by hand either.

On PostgreSQL the entries of one lot queue behind an advisory lock until the transaction ends: two deliveries of the
same chips, and two who take the same blank, meet there. SQLite has one writer at a time.
"""

from uec.domain.stock import BLANK, Place

OUTSIDE_ID = 1
"""The account of everybody who is not us: made by the migration, the only one whose balance is negative."""
OUTSIDE_KEY = Place.OUTSIDE.value

ILLEGAL_MOTION = "stock: no such motion"
NOT_THERE = "stock: not there"
THERE_ALREADY = "stock: there already"
BY_HAND = "stock: ranges move by the ledger alone"

_LEGAL = ", ".join(f"'{place}>{motion}>{target}'" for (place, motion), target in sorted(BLANK.items()))


def create_stock_guards(dialect: str) -> list[str]:
    """Return the statements that create the ledger's triggers; `dialect` is `sqlite` or `postgresql`."""
    return _sqlite() if dialect == "sqlite" else _postgresql()


def renew_stock_guards(dialect: str) -> list[str]:
    """Return the statements that put today's trigger of the ledger in the place of an earlier one."""
    if dialect == "sqlite":
        return []
    return ["DROP TRIGGER IF EXISTS guard_stock_movement_moves ON stock_movement", _MOVE_FUNCTION, _MOVES]


def drop_stock_guards(dialect: str) -> list[str]:
    """Return the statements that drop them."""
    if dialect == "sqlite":
        return [f"DROP TRIGGER IF EXISTS guard_stock_movement_{part}" for part in ("fits", "moves")]
    return [
        "DROP TRIGGER IF EXISTS guard_stock_movement_moves ON stock_movement",
        "DROP TRIGGER IF EXISTS guard_stock_holding_hand ON stock_holding",
        "DROP FUNCTION IF EXISTS stock_move()",
        "DROP FUNCTION IF EXISTS stock_by_hand()",
    ]


# The range that begins nearest before a serial number: the only one that can hold it, since ranges never overlap.
_BEFORE = "(SELECT max(first) FROM stock_holding WHERE lot = NEW.lot AND first <= {serial})"
_KIND = "(SELECT kind FROM stock_account WHERE id = {account})"


def _sqlite() -> list[str]:
    holder = "FROM stock_holding WHERE lot = NEW.lot AND first = " + _BEFORE.format(serial="NEW.first")
    legal = (
        f"{_KIND.format(account='NEW.giver_id')} || '>' || NEW.motion || '>' || {_KIND.format(account='NEW.taker_id')}"
    )
    mine = "lot = NEW.lot AND first = NEW.first"
    left = (
        "lot = NEW.lot AND account_id = NEW.taker_id AND box_id IS NEW.box_id AND last = NEW.first - 1 AND first = "
        + _BEFORE.format(serial="NEW.first - 1")
    )
    right = "lot = NEW.lot AND first = NEW.last + 1 AND account_id = NEW.taker_id AND box_id IS NEW.box_id"
    fits = f"""
CREATE TRIGGER guard_stock_movement_fits BEFORE INSERT ON stock_movement FOR EACH ROW BEGIN
  SELECT RAISE(ABORT, '{ILLEGAL_MOTION}') WHERE coalesce({legal}, '') NOT IN ({_LEGAL});
  SELECT RAISE(ABORT, '{THERE_ALREADY}') WHERE NEW.giver_id = {OUTSIDE_ID} AND EXISTS (
    SELECT 1 FROM stock_holding
    WHERE lot = NEW.lot AND first = {_BEFORE.format(serial="NEW.last")} AND last >= NEW.first);
  SELECT RAISE(ABORT, '{NOT_THERE}') WHERE NEW.giver_id <> {OUTSIDE_ID} AND NOT EXISTS (
    SELECT 1 {holder} AND last >= NEW.last AND account_id = NEW.giver_id AND box_id IS NEW.box_id);
END"""
    moves = f"""
CREATE TRIGGER guard_stock_movement_moves AFTER INSERT ON stock_movement FOR EACH ROW BEGIN
  INSERT INTO stock_holding (lot, first, last, box_id, account_id)
    SELECT lot, NEW.last + 1, last, box_id, account_id {holder} AND last > NEW.last AND NEW.giver_id <> {OUTSIDE_ID};
  DELETE FROM stock_holding WHERE {mine} AND NEW.giver_id <> {OUTSIDE_ID};
  UPDATE stock_holding SET last = NEW.first - 1 WHERE lot = NEW.lot AND NEW.giver_id <> {OUTSIDE_ID}
    AND first = {_BEFORE.format(serial="NEW.first - 1")} AND last >= NEW.first;
  INSERT INTO stock_holding (lot, first, last, box_id, account_id)
    SELECT NEW.lot, NEW.first, NEW.last, NEW.box_id, NEW.taker_id WHERE NEW.taker_id <> {OUTSIDE_ID};
  UPDATE stock_holding SET last = (SELECT last FROM stock_holding WHERE {right})
    WHERE {mine} AND NEW.taker_id <> {OUTSIDE_ID} AND EXISTS (SELECT 1 FROM stock_holding WHERE {right});
  DELETE FROM stock_holding WHERE {right} AND NEW.taker_id <> {OUTSIDE_ID};
  UPDATE stock_holding SET last = (SELECT last FROM stock_holding WHERE {mine})
    WHERE {left} AND NEW.taker_id <> {OUTSIDE_ID};
  DELETE FROM stock_holding WHERE {mine} AND NEW.taker_id <> {OUTSIDE_ID} AND EXISTS (
    SELECT 1 FROM stock_holding WHERE lot = NEW.lot AND last >= NEW.last
      AND first = {_BEFORE.format(serial="NEW.first - 1")});
END"""
    return [fits.strip(), moves.strip()]


_BY_HAND_FUNCTION = f"""CREATE FUNCTION stock_by_hand() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION '{BY_HAND}' USING ERRCODE = 'check_violation'; END $$"""


# Entries of one statement that follow each other in the ledger and in their serials are one range: fifty thousand cards
# of a bureau are some ranges, and each change of a range leaves a dead row behind that the next ones stumble over.
_MOVE_FUNCTION = f"""CREATE OR REPLACE FUNCTION stock_move() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  entry record;
  held stock_holding%ROWTYPE;
  start bigint;
  stop bigint;
  legal text;
BEGIN
  FOR entry IN
    SELECT lot, motion, box_id, giver_id, taker_id, min(first) AS first, max(last) AS last
    FROM (SELECT *, count(*) FILTER (WHERE begins) OVER (ORDER BY id) AS run FROM (
      SELECT id, lot, motion, box_id, giver_id, taker_id, first, last,
        (lot, motion, box_id, giver_id, taker_id, first) IS DISTINCT FROM (lag(lot) OVER earlier, lag(motion)
          OVER earlier, lag(box_id) OVER earlier, lag(giver_id) OVER earlier, lag(taker_id) OVER earlier, lag(last)
          OVER earlier + 1) AS begins
      FROM entered WINDOW earlier AS (ORDER BY id)) AS one) AS runs
    GROUP BY run, lot, motion, box_id, giver_id, taker_id ORDER BY min(id)
  LOOP
    start := entry.first;
    stop := entry.last;
    PERFORM pg_advisory_xact_lock(hashtextextended('stock ' || entry.lot, 0));
    SELECT giver.kind || '>' || entry.motion || '>' || taker.kind INTO legal
      FROM stock_account giver, stock_account taker WHERE giver.id = entry.giver_id AND taker.id = entry.taker_id;
    IF legal IS NULL OR legal NOT IN ({_LEGAL}) THEN
      RAISE EXCEPTION '{ILLEGAL_MOTION}' USING ERRCODE = 'check_violation';
    END IF;
    IF entry.giver_id = {OUTSIDE_ID} THEN
      SELECT * INTO held FROM stock_holding WHERE lot = entry.lot AND first <= entry.last ORDER BY first DESC LIMIT 1;
      IF FOUND AND held.last >= entry.first THEN
        RAISE EXCEPTION '{THERE_ALREADY}' USING ERRCODE = 'check_violation';
      END IF;
    ELSE
      SELECT * INTO held FROM stock_holding WHERE lot = entry.lot AND first <= entry.first
        ORDER BY first DESC LIMIT 1;
      IF NOT FOUND OR held.last < entry.last OR held.account_id <> entry.giver_id
          OR held.box_id IS DISTINCT FROM entry.box_id THEN
        RAISE EXCEPTION '{NOT_THERE}' USING ERRCODE = 'check_violation';
      END IF;
      DELETE FROM stock_holding WHERE lot = held.lot AND first = held.first;
      INSERT INTO stock_holding (lot, first, last, box_id, account_id)
        SELECT held.lot, part.first, part.last, held.box_id, held.account_id
        FROM (VALUES (held.first, entry.first - 1), (entry.last + 1, held.last)) AS part (first, last)
        WHERE part.first <= part.last;
    END IF;
    IF entry.taker_id <> {OUTSIDE_ID} THEN
      DELETE FROM stock_holding WHERE lot = entry.lot AND first = entry.last + 1 AND account_id = entry.taker_id
        AND box_id IS NOT DISTINCT FROM entry.box_id RETURNING last INTO stop;
      stop := coalesce(stop, entry.last);
      DELETE FROM stock_holding WHERE lot = entry.lot AND last = entry.first - 1 AND account_id = entry.taker_id
        AND box_id IS NOT DISTINCT FROM entry.box_id
        AND first = (
          SELECT max(near.first) FROM stock_holding near WHERE near.lot = entry.lot AND near.first < entry.first)
        RETURNING first INTO start;
      start := coalesce(start, entry.first);
      INSERT INTO stock_holding (lot, first, last, box_id, account_id)
        VALUES (entry.lot, start, stop, entry.box_id, entry.taker_id);
    END IF;
  END LOOP;
  RETURN NULL;
END $$"""
_MOVES = (
    "CREATE TRIGGER guard_stock_movement_moves AFTER INSERT ON stock_movement REFERENCING NEW TABLE AS entered "
    "FOR EACH STATEMENT EXECUTE FUNCTION stock_move()"
)


def _postgresql() -> list[str]:
    return [
        _MOVE_FUNCTION,
        _BY_HAND_FUNCTION,
        _MOVES,
        "CREATE TRIGGER guard_stock_holding_hand BEFORE INSERT OR UPDATE OR DELETE ON stock_holding FOR EACH ROW "
        "WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION stock_by_hand()",
    ]
