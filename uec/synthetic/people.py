"""Hides how households come about: families at one address, ages as in a population, papers that fit the ages.

Deterministic by seed. Every number is valid and nobody's SNILS, OMS or passport stands twice. Rules: a birth
certificate under 14; a passport at 14, renewed at 20 and 45, in blanks of the form used since October 1997.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from itertools import accumulate
from random import Random
from typing import NamedTuple

from uec.domain.names import transliterate
from uec.domain.numbers import luhn_check, snils_check
from uec.domain.policy import add_years
from uec.synthetic.lexicon import SURNAMES, Generations, lot, patronymic, surname_of
from uec.synthetic.region import STREETS, Place, make_places

# Share of each five-year group among adults who head a household, from 20-24 up to 90-94 (per mille).
_HEADS = (45, 95, 115, 110, 100, 90, 90, 95, 85, 60, 45, 35, 22, 9, 4)
_PASSPORT_SINCE = date(1997, 10, 1).toordinal()
_MOBILE = ("904", "908", "912", "919", "922", "950", "952", "982", "902", "961")
_MAIL = ("pochta.example", "mail.example", "sibir.example")
_NUMERAL = ("I", "II", "III", "IV", "V", "VI")


class Member(NamedTuple):
    """One of a household: birth as an ordinal day; an empty `given` or `father` is still to be drawn."""

    sex: str
    born: int
    family: str
    given: str = ""
    father: str = ""


@dataclass
class Household:
    """Who lives where."""

    place: Place
    address: str
    fias: str
    members: list[Member] = field(default_factory=list)


class Population:
    """Draws residents, household by household."""

    def __init__(self, seed: int, as_of: date) -> None:
        """Fix the seed and the day of the register."""
        self._random = Random(seed)
        self._chance = self._random.random
        self._today = as_of.toordinal()
        self._as_of = as_of
        self._names = Generations()
        self._surnames = lot(SURNAMES)
        self.places = make_places()
        self._by_people = [place for place in self.places for _ in range(max(1, place.population // 1000))]
        total = sum(_HEADS)
        self._heads = [high / total for high in accumulate(_HEADS)]
        self._made = 0
        self._blanks: dict[str, int] = defaultdict(lambda: self._random.randrange(899_000))
        self._mail: dict[tuple[str, str], str] = {}
        # Steps without a common factor with their range run through all numbers before one comes back.
        self._snils_start = self._random.randrange(900_000_000)
        self._policy_start = self._random.randrange(10**8)

    def residents(self, count: int) -> Iterator[list[str]]:
        """Yield rows in the order of the register's columns."""
        made = 0
        while made < count:
            household = self._household()
            for member in household.members:
                if made == count:
                    return
                made += 1
                yield self._row(household, member)

    def _pick(self, low: int, high: int) -> int:
        return low + int(self._chance() * (high - low + 1))

    def _household(self) -> Household:
        chance = self._chance
        place = self._by_people[int(chance() * len(self._by_people))]
        street = STREETS[int(chance() * chance() * len(STREETS))]
        flat = f", кв. {self._pick(1, 120)}" if place.town and chance() < 0.85 else ""
        bits = self._random.getrandbits(128)
        text = f"{bits:032x}"
        home = Household(
            place,
            f"{place.prefix}, ул. {street}, д. {self._pick(1, 150)}{flat}",
            f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}",
        )
        self._settle(home)
        return home

    def _settle(self, home: Household) -> None:
        chance = self._chance
        share = chance()
        group = next(place for place, high in enumerate(self._heads) if share <= high + 1e-9)
        age = 20 + 5 * group + self._pick(0, 4)
        family = self._surnames.draw(chance())
        born = self._born(age)
        married = chance() < (0.35 if age < 25 else 0.68 if age < 65 else 0.4)
        # Men die earlier: a household of one old person is mostly a woman's.
        sex = "M" if chance() < (0.5 if married else 0.45 if age < 60 else 0.22) else "F"
        mother_age = age
        partner: Member | None = None
        if married:
            partner_age = max(19, age + self._pick(-5, 2) * (1 if sex == "M" else -1))
            own = family if chance() < 0.88 else self._surnames.draw(chance())
            partner = self._named("F" if sex == "M" else "M", self._born(partner_age), own)
            mother_age = partner_age if sex == "M" else age
        head = self._named(sex, born, family)
        home.members.append(head)
        if partner:
            home.members.append(partner)
        if partner or (sex == "F" and chance() < 0.35):
            father = next((member.given for member in (head, partner) if member and member.sex == "M"), "")
            self._children(home, mother_age, family, father)
        if age < 50 and chance() < 0.1:
            elder = self._born(age + self._pick(21, 33))
            home.members.append(Member("F" if chance() < 0.75 else "M", elder, family))

    def _named(self, sex: str, born: int, family: str) -> Member:
        year = date.fromordinal(born).year
        return Member(sex, born, family, self._names.draw(sex, year, self._chance()))

    def _children(self, home: Household, mother_age: int, family: str, father: str) -> None:
        chance = self._chance
        father = father or self._names.draw("M", self._as_of.year - mother_age - 2, chance())
        for _ in range((0, 1, 1, 2, 2, 2, 3, 3)[int(chance() * 8)]):
            age = mother_age - self._pick(19, 38)
            if 0 <= age <= 21:
                sex = "M" if chance() < 0.513 else "F"
                home.members.append(Member(sex, self._born(age), family, father=father))

    def _born(self, age: int) -> int:
        return self._today - 1 - int(age * 365.25) - int(self._chance() * 365)

    def _row(self, home: Household, member: Member) -> list[str]:
        chance = self._chance
        sex, born_day, family, name, father = member
        self._made += 1
        born = date.fromordinal(born_day)
        name = name or self._names.draw(sex, born.year, chance())
        if not father and chance() > 0.006:
            father = self._names.draw("M", max(1900, born.year - 27), chance())
        surname = surname_of(family, sex)
        age = (self._today - born_day) / 365.25
        doc_type, series, number, issued, issuer = self._papers(home.place, born, born_day)
        died = self._death(age, issued)
        return [
            f"{home.place.oktmo[:5]}-{self._made:08}",
            surname,
            name,
            patronymic(father, sex) if father else "",
            born.isoformat(),
            self._birth_place(home.place),
            sex,
            self._snils(),
            self._oms(born) if chance() < 0.97 else "",
            doc_type,
            series,
            number,
            date.fromordinal(issued).isoformat(),
            issuer,
            home.place.oktmo,
            home.fias,
            home.address,
            f"+7{_MOBILE[int(chance() * 10)]}{int(chance() * 10_000_000):07}" if age > 9 and chance() < 0.85 else "",
            self._email(name, surname, born.year) if 13 < age < 75 and chance() < 0.55 else "",
            date.fromordinal(died).isoformat() if died else "",
        ]

    def _birth_place(self, home: Place) -> str:
        place = home if self._chance() < 0.7 else self._by_people[int(self._chance() * len(self._by_people))]
        return place.prefix.rpartition(", ")[2] + " Тюменской обл."

    def _snils(self) -> str:
        base = f"{1_002_000 + (self._snils_start + self._made * 700_001_003) % 997_000_000:09}"
        return base + snils_check(base)

    def _oms(self, born: date) -> str:
        # As the unified number is built: region, then birth in an inverted form, then a running number.
        serial = (self._policy_start + self._made * 61_803_399) % 100_000_000
        base = f"72{99 - born.year % 100:02}{99 - born.month:02}{serial:08}0"[:15]
        return base + luhn_check(base)

    def _papers(self, place: Place, born: date, born_day: int) -> tuple[str, str, str, int, str]:
        milestone = next(
            (
                day
                for years in (45, 20, 14)
                if (day := add_years(born, years).toordinal() + self._pick(3, 60)) < self._today
            ),
            0,
        )
        if not milestone:
            if add_years(born, 14).toordinal() < self._today - 60:
                milestone = self._today - 1
            else:
                issued = min(self._today, born_day + self._pick(2, 40))
                series = f"{_NUMERAL[min(5, max(0, (born.year - 2005) // 5))]}-ФР"
                return "birth_certificate", series, self._blank(series), issued, _registry(place)
        if self._chance() < 0.2:
            # Lost, or a new name after a wedding.
            milestone += int(self._chance() * (self._today - milestone))
        if milestone < _PASSPORT_SINCE:
            milestone = _PASSPORT_SINCE + int(self._chance() * 2400)
        year = date.fromordinal(milestone).year
        series = f"71{year % 100:02}"
        return "passport", series, self._blank(series), milestone, _passport_office(place, year)

    def _blank(self, series: str) -> str:
        self._blanks[series] += 1
        return f"{100_001 + self._blanks[series] * 7_919 % 899_999:06}"

    def _death(self, age: float, issued: int) -> int:
        if self._chance() >= (0.0015 if age < 40 else 0.008 if age < 65 else 0.06):
            return 0
        return max(issued, self._today - 1 - int(self._chance() * 700))

    def _email(self, name: str, surname: str, year: int) -> str:
        stem = self._mail.get((name, surname))
        if stem is None:
            latin = transliterate(name)[:1] + transliterate(surname)[:20]
            stem = self._mail[name, surname] = latin.lower().replace("-", "").replace(" ", "")
        return f"{stem}{year % 100:02}{self._made % 1000}@{_MAIL[int(self._chance() * 3)]}"


def _registry(place: Place) -> str:
    return f"Отдел ЗАГС, {place.prefix.rpartition(', ')[2]}"


def _passport_office(place: Place, year: int) -> str:
    code = f"720-{place.office:03}"
    if year < 2007:
        return f"ОВД Тюменской обл., {code}"
    return f"УФМС России по Тюменской обл., {code}" if year < 2017 else f"УМВД России по Тюменской обл., {code}"
