"""Why a card is late, out of what was short on the days it waited, and what it would take, in Russian and English.

The reason is the first that applies of those that nothing else can mend (no courier, no room, no windows, a clock
shorter than the way); else what was short on most of the days from becoming known to being made.
"""

from enum import StrEnum

import numpy as np

from issuance.planning.allot import line_groups
from issuance.planning.forward import kept_chips
from issuance.planning.optimiser import Plan
from issuance.planning.region import CLASSES, Counts, Flags, Kind, Region
from issuance.planning.rooms import next_trip


class Reason(StrEnum):
    """Why a card is late, the first that applies."""

    NO_WORK = "no_work"
    NO_ROUTE = "no_route"
    NO_COURIER = "no_courier"
    NO_ROOM = "no_room"
    NO_WINDOWS = "no_windows"
    CLOCK_TOO_SHORT = "clock_too_short"
    BEYOND_HORIZON = "beyond_horizon"
    NO_MAKER = "no_maker"
    POINT_FULL = "point_full"
    NO_CHIPS = "no_chips"
    NO_LINES = "no_lines"


REASONS = tuple(Reason)

# In Russian and English, each as what is so and what it would take; the count is of the cards that are late for it.
WORDS: dict[Reason, tuple[tuple[str, str], tuple[str, str]]] = {
    Reason.NO_WORK: (
        (
            "За весь план не работает ни одна линия, ни один курьер и ни одно окно",
            "проверьте производственный календарь",
        ),
        ("No line, courier or window works on any day of the plan", "look at the production calendar"),
    ),
    Reason.NO_ROUTE: (
        ("У мобильного офиса {place} в плане нет ни одной стоянки", "назначьте дни его маршрута"),
        ("The mobile office {place} has no stop in the plan", "give it the days of a route"),
    ),
    Reason.NO_COURIER: (
        ("К пункту {place} не ездит ни один курьер", "назначьте рейс хотя бы раз в неделю"),
        ("No courier goes to {place}", "give it a trip, at least once a week"),
    ),
    Reason.NO_ROOM: (
        ("В сейф пункта {place} не помещается ни одной карты", "нужно место (карт: {count})"),
        ("The safe of {place} has no room for a card", "it takes room for {count}"),
    ),
    Reason.NO_WINDOWS: (
        ("Пункт {place} за весь план не выдаёт ни одной карты", "нужны окна и часы выдачи (карт: {count})"),
        ("{place} hands no card over in the whole plan", "it takes windows and hours for {count}"),
    ),
    Reason.CLOCK_TOO_SHORT: (
        ("Срок истекает раньше первого возможного рейса в {place}", "нужен внеочередной рейс (карт: {count})"),
        ("The clock ends before the first trip that could arrive at {place}", "it takes a special trip for {count}"),
    ),
    Reason.BEYOND_HORIZON: (
        (
            "Первый возможный рейс в {place} уже после конца плана",
            "нужен рейс раньше, иначе дату даст следующий план",
        ),
        ("The first possible trip to {place} comes after the plan ends", "it takes an earlier one, or the next plan"),
    ),
    Reason.NO_MAKER: (
        ("Ни одна линия не делает карты {chip}", "поручите их линии или бюро (карт: {count})"),
        ("No line makes cards {chip}", "let a line or a bureau make them, {count} in all"),
    ),
    Reason.NO_CHIPS: (
        ("Не хватает чипов {chip}", "нужно ещё {count} раньше, чем запланированы поставки"),
        ("Chips {chip} are short", "{count} more are needed before the deliveries that are planned"),
    ),
    Reason.NO_LINES: (
        ("Не хватает мощности линий", "нужно изготовить больше (карт: {count}) {until}"),
        ("The lines are short", "they would have to make {count} more cards before {until}"),
    ),
    Reason.POINT_FULL: (
        ("Пункт {place} не успевает", "{narrow} (карт: {count})"),
        ("{place} cannot take more", "{narrow} for {count} more"),
    ),
}


def reasons_of(plan: Plan, rows: Counts, point: Counts, kind: Counts, variant: Counts) -> Counts:
    """[N] the reason of each of the late `rows` of the plan's slots, as its number in `REASONS`.

    Their streams are of the `point`, `kind` and `variant` [N].
    """
    region, (slots, _) = plan.region, plan.pieces
    days = len(region.days)
    known, due = np.minimum(slots.known[rows], days), slots.due[rows]
    made = np.clip(slots.made[rows], known, days)
    trips = np.concatenate([next_trip(region.delivery.departs), np.full((len(region.places), 1), days)], axis=1)
    first = region.delivery.arrives[point, trips[point, known]]
    chips, lines, free = (
        found[made, kind, variant] - found[known, kind, variant] for found in map(_so_far, _short(plan))
    )
    waits = made > known
    stays: Flags = np.logical_not(region.delivery.departs.any(axis=1))
    shut: Flags = np.logical_not(region.delivery.hand_over.any(axis=1))
    tests: dict[Reason, Flags] = {
        Reason.NO_WORK: np.full(len(rows), _idle(region)),
        Reason.NO_ROUTE: _mobile(region)[point] & stays[point],
        Reason.NO_COURIER: ~region.reachable[point],
        Reason.NO_ROOM: (_storage(region) == 0)[point],
        Reason.NO_WINDOWS: shut[point],
        Reason.CLOCK_TOO_SHORT: (due < days) & (first > due),
        Reason.BEYOND_HORIZON: first >= days,
        Reason.NO_MAKER: waits & ~_made_at_all(region)[variant],
        Reason.POINT_FULL: free >= np.maximum(np.maximum(chips, lines), 1),
        Reason.NO_CHIPS: waits & (2 * chips > lines),
        Reason.NO_LINES: waits,
    }
    found: Counts = np.select([tests[one] for one in REASONS], range(len(REASONS)), REASONS.index(Reason.POINT_FULL))
    return found


def told_reason(region: Region, point: int, variant: int, reason: Reason) -> tuple[str, str]:
    """Why somebody at a point with a card variant is late, as sentences."""
    names = {"chip": region.variants[variant]}
    (ru, _), (en, _) = WORDS[reason]
    place = region.places[point]
    return f"{ru.format(place=place.name_ru, **names)}.", f"{en.format(place=place.name_en, **names)}."


def told_cure(region: Region, point: int, variant: int, *, kind: Kind, reason: Reason, count: int) -> tuple[str, str]:
    """Why so many cards of a point, class and variant are late, and what it would take, as sentences."""
    place, clock = region.places[point], kind is not Kind.COHORT
    told = zip(
        WORDS[reason],
        (place.name_ru, place.name_en),
        (f"{count:,}".replace(",", "\u00a0"), f"{count:,}"),
        ("до истечения срока", "the clock ends") if clock else ("до конца плана", "the plan ends"),
        _narrow(region, point),
        strict=True,
    )
    ru, en = (
        f"{so}: {takes}.".format(place=name, chip=region.variants[variant], count=number, until=until, narrow=narrow)
        for (so, takes), name, number, until, narrow in told
    )
    return ru, en


def _narrow(region: Region, point: int) -> tuple[str, str]:
    """What a point needs that lets the fewest cards through: windows, room in the safe, or the courier."""
    trips = int(region.delivery.departs[point].sum())
    volume, storage = int(region.delivery.volume[point]), region.places[point].storage
    if int(region.delivery.hand_over[point].sum()) <= trips * min(volume, storage):
        return "нужны окна или часы выдачи", "it takes windows or hours"
    if storage <= volume:
        return (
            f"в сейф помещается {storage}, нужны место или более частые рейсы",
            f"its safe holds {storage:,}, and it takes room or more frequent trips",
        )
    return (
        f"курьер везёт {volume} за рейс, нужны рейсы",
        f"its courier brings {volume:,} a trip, and it takes trips",
    )


def _so_far(flags: Flags) -> Counts:
    """[D + 1, C, V] on how many of the days before each a flag [D, C, V] was up."""
    found: Counts = np.concatenate([np.zeros((1, *flags.shape[1:]), dtype=np.int64), np.cumsum(flags, axis=0)])
    return found


def _short(plan: Plan) -> tuple[Flags, Flags, Flags]:
    """[D, C, V] whether chips, lines or neither were used up that day for a class; clocks to come keep their chips."""
    kept = np.zeros((len(plan.region.days), CLASSES, len(plan.region.variants)), dtype=np.int64)
    kept[:, Kind.COHORT] = np.maximum(kept_chips(plan.region).T, 0)
    chips: Flags = plan.walk.chips[:, None, :] <= kept
    lines = np.broadcast_to(_lines_full(plan)[:, None, :], chips.shape)
    return chips, lines, ~(chips | lines)


def _lines_full(plan: Plan) -> Flags:
    """[D, V] whether the lines that make a variant had no more room; those with a price only where no others do."""
    groups = line_groups(plan.region.supply)
    full = plan.walk.used.sum(axis=2) >= groups.capacity(plan.region.supply.capacity).T
    found: Flags = np.ones((len(full), len(plan.region.variants)), dtype=np.bool_)
    for variant in range(found.shape[1]):
        makers = groups.makers(variant)
        found[:, variant] = full[:, [one for one in makers if not groups.prices[one]] or makers].all(axis=1)
    return found


def _made_at_all(region: Region) -> Flags:
    """[V] whether any line makes the variant."""
    able = {variant for line in region.supply.lines for variant in line.makes}
    return np.array([variant in able for variant in range(len(region.variants))], dtype=np.bool_)


def _mobile(region: Region) -> Flags:
    return np.array([place.mobile for place in region.places], dtype=np.bool_)


def _storage(region: Region) -> Counts:
    return np.array([place.storage for place in region.places], dtype=np.int64)


def _idle(region: Region) -> bool:
    """Whether nothing is worked on any day."""
    delivery = region.delivery
    return not (region.supply.capacity.any() or delivery.departs.any() or delivery.hand_over.any())
