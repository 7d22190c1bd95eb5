"""What a planner should look at in the facts: it stops no plan, but something in it cannot be meant so.

A plan believes what it is told as far as it can, and says here what it could not believe or found missing.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from issuance.planning.calendar import WorkingCalendar
from issuance.planning.facts import Coming, Facts, OfficePoint, overdue_until
from issuance.planning.region import OWN

Doubt = tuple[str, str]


def doubts_of(
    facts: Facts,
    days: Sequence[date],
    *,
    calendar: WorkingCalendar,
    points: Sequence[OfficePoint],
    usual: str,
    arrived: frozenset[str] = frozenset(),
) -> tuple[Doubt, ...]:
    """The doubts about facts for the planned days, each in Russian and English; none where all is well.

    `usual` is the name of the card variant that is meant where none is named, `arrived` as for `Facts.supply`.
    """
    coming = [one for one in facts.deliveries if one.note not in arrived]
    return (
        *_calendar(days, calendar),
        *_lines(facts, days, calendar),
        *_undated([one for one in coming if one.day is None], usual),
        *_overdue([one for one in coming if one.day is not None and one.day < days[0]], days, usual),
        *_points(facts, points),
    )


def overloads(cards: Mapping[str, int]) -> Iterator[Doubt]:
    """For each line by its code: so many cards of batches that are cut it cannot make on their days."""
    for code, count in sorted(cards.items()):
        yield (
            f"Линия {code} не сделает партии, которые для неё уже собраны (карт: {_grouped(count)}): перенесите их "
            "на другую линию или другой день.",
            f"Line {code} cannot make batches that are cut for it ({count:,} cards): move them to another line or day.",
        )


def unopened(cards: int, opening: date, days: Sequence[date]) -> Iterator[Doubt]:
    """So many cards of cohorts wait for a first day that comes after the planned ones."""
    if opening > days[-1]:
        yield (
            f"Массовая эмиссия начинается {opening:%d.%m.%Y}, после конца плана: её заявления (карт: "
            f"{_grouped(cards)}) в нём не стоят.",
            f"Mass emission begins on {opening:%d.%m.%Y}, after the plan: its {cards:,} cards have no day in it.",
        )


def _calendar(days: Sequence[date], calendar: WorkingCalendar) -> Iterator[Doubt]:
    if not any(calendar.is_working(day) for day in days):
        yield (
            f"В производственном календаре нет рабочих дней с {days[0]:%d.%m.%Y} по {days[-1]:%d.%m.%Y}: "
            "исправьте календарь, пока план считает все дни подряд.",
            f"The production calendar has no working day from {days[0]:%d.%m.%Y} to {days[-1]:%d.%m.%Y}: "
            "correct it; until then the plan counts every day.",
        )
    # A calendar without any decree was never meant to have them.
    for year in sorted({day.year for day in days} - calendar.decreed) if calendar.decreed else ():
        yield (
            f"В производственном календаре нет постановления Правительства о переносе выходных в {year} году: план "
            "считает по общему правилу Трудового кодекса. Внесите перенесённые дни в файл календаря.",
            f"The production calendar has no decree on days moved in {year}: the plan counts by the Labour Code's rule "
            "alone. Enter the moved days in the calendar's file.",
        )


def _lines(facts: Facts, days: Sequence[date], calendar: WorkingCalendar) -> Iterator[Doubt]:
    for line, hours in facts.lines:
        if line.kind == OWN and not hours.capacity(days, calendar).any():
            yield (
                f"{line.name_ru}: за весь план ни одной карты; проверьте машины, смены и простои.",
                f"{line.name_en} makes no card in the whole plan: look at its machines, shifts and maintenance.",
            )


def _undated(coming: Sequence[Coming], usual: str) -> Iterator[Doubt]:
    for name in sorted({one.variant or usual for one in coming}):
        count = sum(one.count for one in coming if (one.variant or usual) == name)
        yield (
            f"Чипы {name} заказаны без дня поставки ({_grouped(count)}): назовите день, до этого план без них.",
            f"{count:,} chips {name} are ordered without a day: name one, the plan does without them until then.",
        )


def _overdue(coming: Sequence[Coming], days: Sequence[date], usual: str) -> Iterator[Doubt]:
    believed = overdue_until(days)
    for one in coming:
        name = one.variant or usual
        yield (
            f"Чипы {name} ({_grouped(one.count)}) ожидались {one.day:%d.%m.%Y}, на складе их нет: план ждёт их "
            f"{believed:%d.%m.%Y}. Назовите новый день.",
            f"{one.count:,} chips {name} were to come on {one.day:%d.%m.%Y} and are not in the stock: the plan takes "
            f"them to come on {believed:%d.%m.%Y}. Name their new day.",
        )


def _points(facts: Facts, points: Sequence[OfficePoint]) -> Iterator[Doubt]:
    for code in sorted(facts.points.keys() - {point.code for point in points}):
        yield (
            f"Пункта {code}, о котором говорят факты, нет: исправьте код.",
            f"The facts speak of a point {code} that does not exist: correct its code.",
        )


def _grouped(number: int) -> str:
    return f"{number:,}".replace(",", "\u00a0")
