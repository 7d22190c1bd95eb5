"""The application form: what is stored of what was typed, and every field's error, all at once."""

from datetime import date, timedelta

import pytest

from tests.support.office import NOW, POLICY, form
from uec.services.forms import PHOTO_LIMIT_BYTES, ApplicationForm, InvalidForm

TODAY = NOW.date()


def errors_of(wrong: ApplicationForm) -> dict[str, str]:
    with pytest.raises(InvalidForm) as refusal:
        wrong.validate(today=TODAY, policy=POLICY)
    errors: dict[str, str] = refusal.value.errors
    return errors


def test_a_form_is_stored_trimmed_and_with_plain_numbers() -> None:
    typed = form(
        1,
        point_id=1,
        surname="  Иванова-Петрова ",
        name="Анна   Мария",
        snils="112-233-445 95",
        phone="8 (912) 345-67-89",
        email=" anna@example.ru ",
        doc_series="71 10",
    )
    stored = typed.validate(today=TODAY, policy=POLICY)
    assert (stored.surname, stored.name) == ("Иванова-Петрова", "Анна Мария")
    assert (stored.snils, stored.phone, stored.email) == ("11223344595", "+79123456789", "anna@example.ru")
    assert (stored.doc_series, stored.doc_number) == ("7110", "000001")


@pytest.mark.parametrize(
    ("changes", "errors"),
    [
        ({"surname": " "}, {"surname": "form.required"}),
        ({"surname": "Ivanov"}, {"surname": "form.surname"}),
        ({"patronymic": "123"}, {"patronymic": "form.patronymic"}),
        ({"snils": "112-233-445 96"}, {"snils": "form.snils"}),
        ({"oms": "1234567890123456"}, {"oms": "form.oms"}),
        ({"phone": "", "email": ""}, {"phone": "form.contact_required"}),
        ({"phone": "12"}, {"phone": "form.phone"}),
        ({"email": "anna@nowhere"}, {"email": "form.email"}),
        ({"doc_series": "71"}, {"doc_series": "form.doc_series"}),
        ({"doc_number": "12345"}, {"doc_number": "form.doc_number"}),
        ({"doc_type": "library card"}, {"doc_type": "form.doc_type"}),
        ({"doc_type": "birth_certificate", "doc_series": "7110"}, {"doc_series": "form.doc_series"}),
        ({"birth_date": TODAY + timedelta(days=1)}, {"birth_date": "form.birth_date", "doc_date": "form.doc_date"}),
        ({"birth_date": date(1889, 12, 31)}, {"birth_date": "form.birth_date"}),
        ({"doc_date": TODAY + timedelta(days=1)}, {"doc_date": "form.doc_date"}),
        ({"sex": "X"}, {"sex": "form.sex"}),
        ({"address": "д" * 401}, {"address": "form.too_long"}),
        ({"photo": b"GIF89a"}, {"photo": "form.photo"}),
        ({"photo": b"\xff\xd8\xff" + bytes(PHOTO_LIMIT_BYTES)}, {"photo": "form.photo"}),
        (
            {"birth_date": date(2012, 3, 3), "doc_date": date(2012, 4, 1)},
            {"representative_name": "form.representative_required"},
        ),
    ],
)
def test_each_field_has_its_error(changes: dict[str, object], errors: dict[str, str]) -> None:
    assert errors_of(form(1, point_id=1, **changes)) == errors


def test_all_errors_come_at_once_and_the_sentence_names_the_fields() -> None:
    wrong = form(1, point_id=1, snils="1", sex="", name="")
    assert errors_of(wrong) == {"snils": "form.snils", "sex": "form.sex", "name": "form.required"}
    with pytest.raises(InvalidForm, match="name, sex, snils"):
        wrong.validate(today=TODAY, policy=POLICY)


def test_under_fourteen_with_a_representative_and_a_birth_certificate_is_taken() -> None:
    child = form(
        1,
        point_id=1,
        birth_date=date(2015, 6, 1),
        doc_type="birth_certificate",
        doc_series="ii-ик",
        doc_date=date(2015, 6, 10),
        representative_name="Иванова Анна",
    )
    assert child.validate(today=TODAY, policy=POLICY).doc_series == "II-ИК"
