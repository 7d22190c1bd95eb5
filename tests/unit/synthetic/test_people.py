"""Made-up residents: believable, valid, never twice the same number, and the same for a seed for ever."""

import hashlib
from collections import Counter, defaultdict
from datetime import date

import pytest

from uec.domain.policy import age_on
from uec.domain.register_quick import QuickCheck
from uec.domain.register_row import COLUMNS, JOINT, RowChecker
from uec.synthetic.dirt import KINDS
from uec.synthetic.lexicon import patronymic, surname_of
from uec.synthetic.people import Population
from uec.synthetic.region import make_places
from uec.synthetic.register import AS_OF, lines

COUNT = 12_000
ROWS = list(Population(5, AS_OF).residents(COUNT))
PEOPLE = [dict(zip(COLUMNS, row, strict=True)) for row in ROWS]


def age(person: dict[str, str]) -> int:
    return age_on(date.fromisoformat(person["birth_date"]), AS_OF)


def test_every_row_is_canonical_and_without_fault() -> None:
    checker = RowChecker(AS_OF, frozenset(place.oktmo for place in make_places()))
    quick = QuickCheck(checker)
    for row in ROWS:
        assert checker.explain(row) == (tuple(row), [])
    assert sum(quick.accept(JOINT.join(row)) for row in ROWS) > 0.999 * COUNT


@pytest.mark.parametrize("column", ["register_id", "snils", "oms"])
def test_no_number_stands_twice(column: str) -> None:
    values = [person[column] for person in PEOPLE if person[column]]
    assert len(values) == len(set(values))


def test_no_document_stands_twice() -> None:
    documents = [(person["doc_type"], person["doc_series"], person["doc_number"]) for person in PEOPLE]
    assert len(documents) == len(set(documents))


def test_ages_are_those_of_a_population() -> None:
    ages = [age(person) for person in PEOPLE]
    assert 0.16 < sum(years < 18 for years in ages) / COUNT < 0.25
    assert 0.10 < sum(years >= 65 for years in ages) / COUNT < 0.20
    assert max(ages) < 115
    assert 0.51 < sum(person["sex"] == "F" for person in PEOPLE) / COUNT < 0.56
    assert 0.004 < sum(bool(person["death_date"]) for person in PEOPLE) / COUNT < 0.03


def test_papers_fit_the_age() -> None:
    for person in PEOPLE:
        passport = person["doc_type"] == "passport"
        years = age(person)
        assert passport or years < 15, person
        assert not passport or years >= 14
        if passport:
            assert person["doc_series"][2:] == person["doc_date"][2:4]
            issued_at = age_on(date.fromisoformat(person["birth_date"]), date.fromisoformat(person["doc_date"]))
            assert not (years >= 21 and issued_at < 20), "renewed at 20"
            assert not (years >= 46 and issued_at < 45), "renewed at 45"


def test_families_share_address_and_the_children_their_fathers_name() -> None:
    homes = defaultdict(list)
    for person in PEOPLE:
        homes[person["fias"]].append(person)
    assert 2.0 < COUNT / len(homes) < 3.5
    assert all(len({person["address"] for person in home}) == 1 for home in homes.values())
    fits = total = 0
    for home in homes.values():
        fathers = [person for person in home if person["sex"] == "M" and age(person) >= 35]
        children = [person for person in home if age(person) < 14]
        if len(fathers) == 1 and children:
            total += 1
            fits += all(child["patronymic"] == patronymic(fathers[0]["name"], child["sex"]) for child in children)
    assert total > 200
    assert fits / total > 0.8


def test_names_follow_the_generations() -> None:
    old = Counter(person["name"] for person in PEOPLE if person["birth_date"] < "1950")
    young = Counter(person["name"] for person in PEOPLE if person["birth_date"] > "2005")
    assert old["Валентина"] > 5 * young["Валентина"]
    assert young["Артём"] > 5 * old["Артём"]


@pytest.mark.parametrize(
    ("father", "son", "daughter"),
    [("Иван", "Иванович", "Ивановна"), ("Сергей", "Сергеевич", "Сергеевна"), ("Юрий", "Юрьевич", "Юрьевна"),
     ("Дмитрий", "Дмитриевич", "Дмитриевна"), ("Игорь", "Игоревич", "Игоревна"), ("Илья", "Ильич", "Ильинична"),
     ("Никита", "Никитич", "Никитична"), ("Лев", "Львович", "Львовна"), ("Пётр", "Петрович", "Петровна"),
     ("Матвей", "Матвеевич", "Матвеевна"), ("Арсений", "Арсеньевич", "Арсеньевна")],
)  # fmt: skip
def test_patronymics(father: str, son: str, daughter: str) -> None:
    assert (patronymic(father, "M"), patronymic(father, "F")) == (son, daughter)


@pytest.mark.parametrize(
    ("family", "woman"),
    [("Иванов", "Иванова"), ("Ильин", "Ильина"), ("Соловьёв", "Соловьёва"), ("Достоевский", "Достоевская"),
     ("Толстой", "Толстая"), ("Черных", "Черных"), ("Шевченко", "Шевченко"), ("Мельник", "Мельник"),
     ("Римский-Корсаков", "Римская-Корсакова")],
)  # fmt: skip
def test_surnames_of_women(family: str, woman: str) -> None:
    assert surname_of(family, "F") == woman
    assert surname_of(family, "M") == family


def test_the_region_has_the_size_of_a_real_one() -> None:
    places = make_places()
    assert 250 < len(places) < 350
    assert 1_300_000 < sum(place.population for place in places) < 1_500_000
    assert len({place.oktmo for place in places}) == len(places)
    assert make_places() == places


def digest(seed: int, dirty: float) -> str:
    text = "\n".join(line.text for line in lines(1500, seed, dirty=dirty))
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_seed_gives_the_same_register_for_ever() -> None:
    assert digest(1, 0.05) == digest(1, 0.05)
    assert digest(1, 0.05) != digest(2, 0.05)


def test_the_share_of_dirt_is_kept_and_every_kind_comes() -> None:
    made = list(lines(4000, 9, dirty=0.05))
    spoiled = [line.kind for line in made if line.kind]
    assert 0.04 < len(spoiled) / 4000 < 0.06
    assert set(spoiled) == set(KINDS)
    assert not any(line.kind for line in lines(500, 9, dirty=0))
