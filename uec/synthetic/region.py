"""A region of the size of a real one: five towns and twenty-one districts with their settlements, about 300 bodies.

Codes have the form of the OKTMO classifier (OK 033-2013): 717xx000 for a town, 716xx4nn for a settlement of a
district. Names of towns and districts are those of the south of Tyumen region; settlements are made up.
"""

from dataclasses import dataclass
from random import Random

TOWNS = (
    ("Тюмень", "Tyumen", "71701000", 720_000),
    ("Тобольск", "Tobolsk", "71710000", 98_000),
    ("Ишим", "Ishim", "71705000", 65_000),
    ("Ялуторовск", "Yalutorovsk", "71715000", 40_000),
    ("Заводоуковск", "Zavodoukovsk", "71703000", 47_000),
)
DISTRICTS = (
    ("Абатский", "Abatsky", 3, 18), ("Армизонский", "Armizonsky", 5, 10), ("Аромашевский", "Aromashevsky", 7, 11),
    ("Бердюжский", "Berdyuzhsky", 10, 11), ("Вагайский", "Vagaysky", 13, 22), ("Викуловский", "Vikulovsky", 15, 16),
    ("Голышмановский", "Golyshmanovsky", 18, 26), ("Исетский", "Isetsky", 24, 25), ("Ишимский", "Ishimsky", 26, 30),
    ("Казанский", "Kazansky", 30, 22), ("Нижнетавдинский", "Nizhnetavdinsky", 32, 23),
    ("Омутинский", "Omutinsky", 36, 19), ("Сладковский", "Sladkovsky", 38, 13), ("Сорокинский", "Sorokinsky", 40, 10),
    ("Тобольский", "Tobolsky", 42, 22), ("Тюменский", "Tyumensky", 44, 110), ("Уватский", "Uvatsky", 48, 19),
    ("Упоровский", "Uporovsky", 50, 20), ("Юргинский", "Yurginsky", 53, 12),
    ("Ялуторовский", "Yalutorovsky", 56, 15), ("Ярковский", "Yarkovsky", 58, 23),
)  # fmt: skip
_FIRST = (
    ("Берёз", "Berez"), ("Сосн", "Sosn"), ("Камен", "Kamen"), ("Песчан", "Peschan"), ("Рыб", "Ryb"), ("Лес", "Les"),
    ("Озёр", "Ozer"), ("Ключ", "Klyuch"), ("Медвед", "Medved"), ("Лебяж", "Lebyazh"), ("Черемш", "Cheremsh"),
    ("Калин", "Kalin"), ("Малин", "Malin"), ("Журавл", "Zhuravl"), ("Тополь", "Topol"), ("Дубр", "Dubr"),
)  # fmt: skip
_LAST = (("овское", "ovskoye"), ("инское", "inskoye"), ("евское", "evskoye"), ("овка", "ovka"))
STREETS = (
    "Ленина", "Советская", "Мира", "Молодёжная", "Садовая", "Лесная", "Новая", "Центральная", "Школьная",
    "Октябрьская", "Гагарина", "Пушкина", "Кирова", "Республики", "Первомайская", "Заречная", "Набережная",
    "Полевая", "Луговая", "Рабочая", "Северная", "Южная", "Комсомольская", "Пролетарская", "Чапаева", "Калинина",
    "Герцена", "Щербакова", "Мельникайте", "Широтная", "Олимпийская", "Пермякова", "Энергетиков", "Строителей",
    "Геологов", "Водников", "Космонавтов", "Победы", "Ямская", "Сибирская",
)  # fmt: skip


@dataclass(frozen=True)
class Place:
    """A municipal body: its code, names, population, and what stands in addresses and papers."""

    oktmo: str
    name_ru: str
    name_en: str
    population: int
    prefix: str
    town: bool
    office: int


def make_places() -> tuple[Place, ...]:
    """Return all bodies of the region; always the same ones."""
    random = Random(71)
    places = [
        Place(code, f"Город {ru}", f"{en} (town)", population, f"обл. Тюменская, г. {ru}", True, number + 1)
        for number, (ru, en, code, population) in enumerate(TOWNS)
    ]
    for number, (ru, en, code, thousands) in enumerate(DISTRICTS):
        stems = [(a + x, b + y) for a, b in _FIRST for x, y in _LAST]
        chosen = random.sample(stems, 10 + thousands // 6)
        shares = [random.uniform(0.3, 2.0) for _ in chosen]
        for place, ((name_ru, name_en), share) in enumerate(zip(chosen, shares, strict=True), 1):
            places.append(
                Place(
                    f"716{code:02}4{place:02}",
                    f"{name_ru} сельское поселение, {ru} район",
                    f"{name_en} rural settlement, {en} district",
                    round(thousands * 1000 * share / sum(shares)),
                    f"обл. Тюменская, р-н {ru}, с. {name_ru}",
                    False,
                    number + 6,
                )
            )
    return tuple(places)
