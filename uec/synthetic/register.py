"""Hides how an export of a made-up register is written: header, rows, a share of dirt; deterministic by seed."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from uec.domain.register_row import COLUMNS
from uec.synthetic.dirt import Dirt, Line
from uec.synthetic.people import Population
from uec.synthetic.region import make_places

# The day of the made-up register; fixed, so that a seed gives the same file for ever.
AS_OF = date(2026, 1, 1)
HEADER = ";".join(COLUMNS)


@dataclass
class Made:
    """What was written: rows, and how many of them are spoiled in which way."""

    rows: int = 0
    spoiled: Counter[str] = field(default_factory=Counter)
    refusable: int = 0


def lines(residents: int, seed: int, *, dirty: float = 0.03, as_of: date = AS_OF) -> Iterator[Line]:
    """Yield the lines of an export of so many rows, without the header."""
    dirt = Dirt(dirty, seed)
    for row in Population(seed, as_of).residents(residents):
        yield dirt.line(row)


def write_register(
    path: Path,
    *,
    residents: int,
    seed: int,
    dirty: float = 0.03,
    as_of: date = AS_OF,
    progress: Callable[[int], None] | None = None,
) -> Made:
    """Write an export; `progress(rows)` is called now and then. The rows an import must refuse are counted."""
    made = Made()
    batch: list[str] = [HEADER]
    with path.open("w", encoding="utf-8", newline="\n") as out:
        for line in lines(residents, seed, dirty=dirty, as_of=as_of):
            batch.append(line.text)
            made.rows += 1
            if line.kind is not None:
                made.spoiled[line.kind.name] += 1
                made.refusable += line.kind.field is not None
            if len(batch) >= 5000:
                out.write("\n".join(batch) + "\n")
                batch.clear()
                if progress:
                    progress(made.rows)
        if batch:
            out.write("\n".join(batch) + "\n")
    return made


def write_municipalities(path: Path) -> int:
    """Write the code list of the region (CSV: oktmo, name_ru, name_en); return how many there are."""
    places = make_places()
    rows = [f'{place.oktmo};"{place.name_ru}";"{place.name_en}"' for place in places]
    path.write_text("oktmo;name_ru;name_en\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return len(places)
