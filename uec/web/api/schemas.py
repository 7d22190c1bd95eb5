"""The shapes of the API. What comes in and what goes out are separate classes; unknown fields are refused."""

from enum import Enum
from functools import cache
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from uec.domain.lifecycle import ApplicationState, BatchState, CardState, Route
from uec.domain.permissions import Permission
from uec.web.paging import FARTHEST, LARGEST_ID


def storable(text: str) -> None:
    """Refuse what no database holds as text: U+0000, and halves of a surrogate pair (RFC 8259, 8.2)."""
    if any(sign == "\0" or "\ud800" <= sign <= "\udfff" for sign in text):
        raise ValidationError("The text holds a sign that cannot be stored.")


TEXT = (validate.Length(max=500), storable)


class Choice(fields.Enum[Any]):
    """One of a table's words, described as the string it is."""

    def __init__(self, words: type[Enum], **options: Any) -> None:
        """Take and give the words by their values."""
        super().__init__(words, by_value=True, metadata={"type": "string"}, **options)


def told(description: str, example: str) -> dict[str, str]:
    """What the description of a field says beside its kind."""
    return {"description": description, "example": example}


class Input(Schema):
    """What comes in."""

    class Meta:
        """Refuse what is not known."""

        unknown = "raise"


class ProblemOutput(Schema):
    """A refusal (RFC 9457, application/problem+json); `code` is for programs, `errors` names the fields."""

    type = fields.String(metadata={"example": "about:blank"})
    title = fields.String()
    status = fields.Integer(metadata={"example": 422})
    detail = fields.String(metadata={"description": "one sentence for people: what is wrong, and what to do"})
    instance = fields.String(metadata={"description": "the path that was asked for"})
    code = fields.String(metadata=told("stable, for programs", "uec.invalid_input"))
    errors = fields.Dict(keys=fields.String(), metadata={"description": "by place and field, where fields are wrong"})
    finding = fields.String(metadata=told("what stands against a bureau's order or file, only there", "wrong-batch"))


class SignInInput(Input):
    """Login and password."""

    login = fields.String(required=True, validate=TEXT)
    password = fields.String(required=True, validate=TEXT, load_only=True)
    scopes = fields.List(
        fields.String(validate=validate.OneOf([one.value for one in Permission])),
        load_default=None,
        allow_none=True,
        metadata={"description": "the only permissions the token carries; without it all that the person has"},
    )


class TokenOutput(Schema):
    """A bearer token."""

    token = fields.String()
    ends_at = fields.AwareDateTime()
    display = fields.String()
    permissions = fields.List(fields.String())


class ApplicationInput(Input):
    """An application as the applicant writes it; dates in ISO 8601."""

    surname = fields.String(required=True, validate=TEXT, metadata=told("as in the document, in Cyrillic", "Иванова"))
    name = fields.String(required=True, validate=TEXT, metadata={"example": "Мария"})
    patronymic = fields.String(load_default="", validate=TEXT, metadata=told("empty where there is none", "Петровна"))
    birth_date = fields.Date(required=True, metadata={"example": "1980-02-29"})
    birth_place = fields.String(required=True, validate=TEXT)
    sex = fields.String(required=True, validate=validate.OneOf(["M", "F"]))
    snils = fields.String(required=True, validate=TEXT, metadata=told("11 digits, grouped or not", "112-233-445 95"))
    oms = fields.String(load_default="", validate=TEXT, metadata=told("16 digits of the policy", "1000000000000305"))
    doc_type = fields.String(load_default="passport", validate=validate.OneOf(["passport", "birth_certificate"]))
    doc_series = fields.String(
        required=True, validate=TEXT, metadata=told("4 digits, or II-АБ for a birth certificate", "7110")
    )
    doc_number = fields.String(required=True, validate=TEXT, metadata=told("6 digits", "123456"))
    doc_date = fields.Date(required=True, metadata={"example": "2010-05-05"})
    doc_issuer = fields.String(required=True, validate=TEXT)
    address = fields.String(required=True, validate=TEXT)
    phone = fields.String(load_default="", validate=TEXT, metadata=told("any usual writing", "+7 912 345-67-89"))
    email = fields.String(load_default="", validate=TEXT)
    bank = fields.String(load_default="", validate=TEXT, metadata=told("empty: the bank of the region", "Банк Озёрный"))
    point_id = fields.Integer(required=True, strict=True, validate=validate.Range(min=1, max=LARGEST_ID))
    representative_name = fields.String(
        load_default=None,
        allow_none=True,
        validate=TEXT,
        metadata={"description": "who applies for a child under the age of entitlement"},
    )
    profile = fields.String(
        load_default="", validate=TEXT, metadata=told("one of /api/card-variants; empty: the usual card", "")
    )


class VariantOutput(Schema):
    """A kind of card that an applicant may choose."""

    name = fields.String(metadata=told("what an application calls it: its `profile`", "uec"))
    title_ru = fields.String()
    title_en = fields.String()


class ReceiptOutput(Schema):
    """The receipt; the secret is told only here."""

    number = fields.String()
    secret = fields.String()
    submitted_at = fields.AwareDateTime()
    due_on = fields.Date()
    profile = fields.String(metadata={"description": "the kind of card that was chosen; empty: the usual card"})


class StatusInput(Input):
    """Number and secret of a receipt."""

    number = fields.String(required=True, validate=TEXT, metadata={"example": "2026-0000001"})
    secret = fields.String(required=True, validate=TEXT, metadata={"example": "BGFK-N4TN-YG6S"})


class StatusOutput(Schema):
    """Where an application stands."""

    number = fields.String()
    state = Choice(ApplicationState)
    submitted_at = fields.AwareDateTime()
    due_on = fields.Date()
    promised_on = fields.Date(allow_none=True)
    point_name_ru = fields.String()
    point_name_en = fields.String()
    point_address = fields.String()
    decision_reason = fields.String(allow_none=True)
    card_ready = fields.Boolean()


class PageInput(Input):
    """Which slice of a list."""

    offset = fields.Integer(load_default=0, validate=validate.Range(min=0, max=FARTHEST))
    limit = fields.Integer(load_default=50, validate=validate.Range(min=1, max=200))


class ApplicationsInput(PageInput):
    """Which applications."""

    state = Choice(ApplicationState)
    query = fields.String(load_default="", validate=TEXT)


class ApplicationOutput(Schema):
    """One line of the list of applications."""

    id = fields.Integer()
    number = fields.String()
    state = Choice(ApplicationState)
    route = Choice(Route)
    full_name = fields.String()
    point_id = fields.Integer()
    submitted_at = fields.AwareDateTime()
    due_on = fields.Date()


class BatchesInput(PageInput):
    """Which batches."""

    state = Choice(BatchState)


class BatchOutput(Schema):
    """A batch with the states of its cards."""

    id = fields.Integer()
    number = fields.String()
    state = Choice(BatchState)
    planned_for = fields.Date()
    point_id = fields.Integer()
    total = fields.Integer()
    cards = fields.Dict(keys=fields.String(), values=fields.Integer())
    released_at = fields.AwareDateTime(allow_none=True)


class CardsInput(PageInput):
    """Which cards."""

    state = Choice(CardState)
    query = fields.String(load_default="", validate=TEXT)


class CardOutput(Schema):
    """The state of a card."""

    id = fields.Integer()
    number = fields.String()
    state = Choice(CardState)
    expires_on = fields.Date(allow_none=True)
    batch_number = fields.String()
    application_number = fields.String()
    point_id = fields.Integer()


class PointOutput(Schema):
    """A place where applications are taken and cards handed over."""

    id = fields.Integer()
    code = fields.String()
    name_ru = fields.String()
    name_en = fields.String()
    address = fields.String()


class RefusalInput(Input):
    """A refusal asks for the SNILS and nothing else."""

    snils = fields.String(required=True, validate=TEXT)


class BankChoiceInput(Input):
    """Whose card of the mass emission comes with which bank of the notice."""

    snils = fields.String(required=True, validate=TEXT)
    bank = fields.String(required=True, validate=TEXT)


class ConfirmationOutput(Schema):
    """The number of the confirmation."""

    number = fields.String()


class NoticeOutput(Schema):
    """The public notice of mass emission in force; both last days belong to their windows."""

    text = fields.String()
    text_en = fields.String(metadata=told("the same in English; empty: there is none", ""))
    places = fields.List(fields.String())
    banks = fields.List(fields.String())
    published_on = fields.Date()
    refusal_until = fields.Date()
    bank_until = fields.Date()


class RefusalsInput(PageInput):
    """Which refusals: the number of a confirmation, or a SNILS."""

    query = fields.String(load_default="", validate=TEXT)


class RefusalOutput(Schema):
    """One refusal to receive a card."""

    number = fields.String()
    snils = fields.String()
    channel = fields.String()
    filed_at = fields.AwareDateTime()
    recognised = fields.Boolean()
    withdrawn_at = fields.AwareDateTime(allow_none=True)


class BalancesInput(PageInput):
    """Balances of what."""

    by = fields.String(load_default="box", validate=validate.OneOf(["box", "batch", "point"]))


class BalanceOutput(Schema):
    """What became of the blanks of one box, batch or point."""

    id = fields.Integer()
    name = fields.String()
    received = fields.Integer(attribute="balance.received")
    good = fields.Integer(attribute="balance.good")
    spoiled = fields.Integer(attribute="balance.spoiled")
    returned = fields.Integer(attribute="balance.returned")
    destroyed = fields.Integer(attribute="balance.destroyed")
    in_hand = fields.Integer(attribute="balance.in_hand")
    missing = fields.Integer(attribute="balance.missing")
    sent = fields.Integer(attribute="balance.sent")
    difference = fields.Integer(attribute="balance.difference")


class PlanOutput(Schema):
    """The newest plan of mass emission in figures."""

    id = fields.Integer()
    made_at = fields.AwareDateTime()
    first_day = fields.Date()
    last_day = fields.Date()
    people = fields.Integer()
    promised = fields.Integer()


class JobOutput(Schema):
    """A job: its rhythm in seconds, its last run and how long it took, and the next one (none while it is paused)."""

    name = fields.String()
    every_s = fields.Function(lambda row: int(row.every.total_seconds()), metadata={"type": "integer"})
    started_at = fields.AwareDateTime(allow_none=True)
    took_s = fields.Function(
        lambda row: row.took.total_seconds() if row.took is not None else None, metadata={"type": ["number", "null"]}
    )
    outcome = fields.String()
    next_at = fields.AwareDateTime(allow_none=True)
    failures = fields.Integer()
    late = fields.Boolean()
    paused = fields.Function(lambda row: row.pause is not None, metadata={"type": "boolean"})


class RunOutput(Schema):
    """One run of a job."""

    due_at = fields.AwareDateTime()
    started_at = fields.AwareDateTime(allow_none=True)
    outcome = fields.String()
    failed = fields.Boolean()
    asked_by = fields.String(allow_none=True)


class RunsInput(Input):
    """How many runs, the newest first."""

    limit = fields.Integer(load_default=50, validate=validate.Range(min=1, max=200))


class AskedOutput(Schema):
    """Whether the run is new; false when one waits for a worker already."""

    new = fields.Boolean()


class PublishedOutput(Schema):
    """Where the lists lie, and how new they are."""

    crl_url = fields.Url(relative=True)
    crl_number = fields.Integer(allow_none=True)
    crl_next_update = fields.AwareDateTime(allow_none=True)
    root_certificate_url = fields.Url(relative=True)
    issuing_certificate_url = fields.Url(relative=True)
    stop_list_url = fields.Url(relative=True)


@cache
def paged(item: type[Schema]) -> type[Schema]:
    """Return the schema of a page of items."""
    name = item.__name__.removesuffix("Output")
    shape: dict[str, Any] = {
        "rows": fields.List(fields.Nested(item)),
        "total": fields.Integer(),
        "about": fields.Boolean(metadata={"description": "`total` is an estimate: the list is too long to count"}),
        "offset": fields.Integer(),
        "limit": fields.Integer(),
    }
    return Schema.from_dict(shape, name=f"{name}PageOutput")
