"""The shapes of the API for one of each: an application, a card, a place by the plan, a consignment, a file."""

from marshmallow import Schema, fields, validate

from issuance.planning.reasons import Reason
from issuance.planning.region import Kind
from uec.domain.exports import ExportState
from uec.domain.lifecycle import (
    ApplicationReason,
    ApplicationState,
    CardState,
    CertificateState,
    CheckOutcome,
    CheckRegister,
    OperationKind,
    OperationState,
    Route,
)
from uec.domain.stock import TransferState
from uec.services.export_files import FORMS
from uec.web.api.schemas import TEXT, CardOutput, Choice, Input, PageInput, PointOutput, told
from uec.web.paging import LARGEST_ID

NUMBER = told("of an application", "2026-0000001")
CHIPS = told("FIRST-LAST or single chips, 20 hexadecimal digits each, parted by spaces", "")
COUNT = validate.Range(min=0, max=LARGEST_ID)


class CheckOutput(Schema):
    """What one register said."""

    register = Choice(CheckRegister)
    outcome = Choice(CheckOutcome)
    detail = fields.String()
    attempts = fields.Integer()
    next_attempt_at = fields.AwareDateTime(allow_none=True)
    answered_at = fields.AwareDateTime(allow_none=True)


class ApplicationDetailOutput(Schema):
    """Everything about one application; the look stands in the audit."""

    id = fields.Integer()
    number = fields.String(metadata=NUMBER)
    state = Choice(ApplicationState)
    route = Choice(Route)
    reason = Choice(ApplicationReason)
    surname = fields.String()
    name = fields.String()
    patronymic = fields.String()
    birth_date = fields.Date()
    birth_place = fields.String()
    sex = fields.String()
    snils = fields.String(metadata=told("11 digits", "11223344595"))
    oms = fields.String()
    document = fields.String()
    address = fields.String()
    phone = fields.String()
    email = fields.String()
    bank = fields.String()
    profile = fields.String(metadata={"description": "the card variant chosen; empty: the usual one"})
    point = fields.Nested(PointOutput)
    representative_name = fields.String(allow_none=True)
    has_photo = fields.Boolean()
    submitted_at = fields.AwareDateTime()
    due_on = fields.Date()
    taken_by = fields.String(allow_none=True)
    decided_by = fields.String(allow_none=True)
    decided_at = fields.AwareDateTime(allow_none=True)
    decision_reason = fields.String(allow_none=True)
    checks = fields.List(fields.Nested(CheckOutput))
    card_id = fields.Integer(allow_none=True, metadata={"description": "of its newest card"})
    card_number = fields.String(allow_none=True)
    replaces_card_id = fields.Integer(allow_none=True)


class CertificateOutput(Schema):
    """A certificate of a card."""

    profile = fields.String(metadata=told("what it is for", "authentication"))
    serial = fields.String(metadata={"description": "hexadecimal"})
    subject = fields.String()
    state = Choice(CertificateState)
    not_before = fields.AwareDateTime()
    not_after = fields.AwareDateTime()


class JournalEntryOutput(Schema):
    """One entry of a card's production journal."""

    seq = fields.Integer()
    kind = fields.String(metadata={"example": "inspected"})
    at = fields.AwareDateTime()
    facts = fields.Dict(keys=fields.String())


class OperationOutput(Schema):
    """A piece of work on a card in a reader."""

    id = fields.Integer()
    kind = Choice(OperationKind)
    state = Choice(OperationState)
    requested_at = fields.AwareDateTime()
    started_at = fields.AwareDateTime(allow_none=True)
    finished_at = fields.AwareDateTime(allow_none=True)
    error_code = fields.String(allow_none=True)


class CardDetailOutput(CardOutput):
    """A card with its certificates, journal and operations; the look stands in the audit."""

    full_name = fields.String(attribute="row.full_name")
    printed_name = fields.String(attribute="row.printed_name")
    id = fields.Integer(attribute="row.id")
    number = fields.String(attribute="row.number")
    state = Choice(CardState, attribute="row.state")
    expires_on = fields.Date(attribute="row.expires_on", allow_none=True)
    batch_number = fields.String(attribute="row.batch_number")
    application_number = fields.String(attribute="row.application_number")
    point_id = fields.Integer(attribute="row.point_id")
    application_id = fields.Integer()
    batch_id = fields.Integer()
    chip_id = fields.String(allow_none=True)
    key_version = fields.Integer(allow_none=True)
    personalised_at = fields.AwareDateTime(allow_none=True)
    activated_at = fields.AwareDateTime(allow_none=True)
    replaces_card_id = fields.Integer(allow_none=True)
    certificates = fields.List(fields.Nested(CertificateOutput))
    journal = fields.List(fields.Nested(JournalEntryOutput))
    operations = fields.List(fields.Nested(OperationOutput))


class PlaceOutput(Schema):
    """Where an application stands in the newest plan; null days are not within it."""

    application = fields.String(metadata=NUMBER)
    plan_id = fields.Integer()
    point_id = fields.Integer()
    kind = fields.Enum(Kind, metadata={"type": "string"})
    variant = fields.String()
    place = fields.Integer(metadata={"description": "in the queue of its point, class and variant, from 0"})
    made_on = fields.Date(allow_none=True)
    line = fields.String(allow_none=True)
    departs_on = fields.Date(allow_none=True)
    promised_on = fields.Date(allow_none=True)
    due_on = fields.Date()
    late_for = fields.String(allow_none=True, metadata=told("why it is late, in one word", "no_lines"))
    story = fields.String(allow_none=True, metadata={"description": "the same in sentences, in `language`"})


class PlaceInput(Input):
    """In which language the place is told."""

    language = fields.String(load_default="ru", validate=validate.OneOf(["ru", "en"]))


class LateInput(PageInput):
    """Which of those who are late."""

    reason = Choice(Reason)
    kind = fields.Enum(Kind, metadata={"type": "string"})
    point = fields.String(load_default="", validate=TEXT, metadata={"description": "code of a point"})
    variant = fields.String(load_default="", validate=TEXT)


class LateOutput(Schema):
    """Somebody who is late by the newest plan, or has no day in it."""

    application = fields.String(metadata=NUMBER)
    point = fields.String(metadata={"description": "its code"})
    kind = fields.Enum(Kind, metadata={"type": "string"})
    variant = fields.String()
    reason = Choice(Reason)
    due_on = fields.Date()
    promised_on = fields.Date(allow_none=True)


class TransferOutput(Schema):
    """A consignment between two stores; its seal is told once it has come in: until then it is read off the parcel."""

    id = fields.Integer()
    number = fields.String(metadata={"example": "T-000001"})
    state = Choice(TransferState)
    giver_id = fields.Integer(metadata={"description": "store it comes from"})
    taker_id = fields.Integer(metadata={"description": "store it goes to"})
    blanks = fields.Integer()
    sent_at = fields.AwareDateTime()
    received_at = fields.AwareDateTime(allow_none=True)
    seal = fields.Function(
        lambda row: None if row.state is TransferState.SENT else row.seal, metadata={"type": ["string", "null"]}
    )
    seal_found = fields.String(allow_none=True)
    blanks_found = fields.Integer(allow_none=True)
    remark = fields.String(allow_none=True)


class StoreOutput(Schema):
    """A store of blanks."""

    id = fields.Integer()
    name = fields.String()


class ContentInput(Input):
    """What of a box goes into a consignment: these chips, or so many, or (neither) all that lie there."""

    box = fields.String(required=True, validate=TEXT, metadata=told("its number", "BOX-1"))
    count = fields.Integer(load_default=None, allow_none=True, strict=True, validate=validate.Range(1, LARGEST_ID))
    chips = fields.String(load_default="", validate=TEXT, metadata=CHIPS)


class SendInput(Input):
    """A consignment to be sent under a seal."""

    giver_id = fields.Integer(required=True, strict=True, validate=validate.Range(1, LARGEST_ID))
    taker_id = fields.Integer(required=True, strict=True, validate=validate.Range(1, LARGEST_ID))
    seal = fields.String(required=True, validate=TEXT)
    contents = fields.List(fields.Nested(ContentInput), required=True, validate=validate.Length(1, 500))


class FoundInput(Input):
    """What the receiver reads and counts before opening."""

    seal = fields.String(required=True, validate=TEXT)
    blanks = fields.Integer(required=True, strict=True, validate=COUNT)


class DisputeInput(FoundInput):
    """What was found, and what does not agree."""

    remark = fields.String(required=True, validate=TEXT)


class SettleInput(Input):
    """Which chips are missing, and how that was settled."""

    missing = fields.String(load_default="", validate=validate.Length(max=10_000), metadata=CHIPS)
    remark = fields.String(required=True, validate=TEXT)


class RecallInput(Input):
    """Why a consignment is taken back."""

    reason = fields.String(required=True, validate=TEXT)


class ExportInput(Input):
    """A list to be made into a file; filters are those of its page."""

    list = fields.String(required=True, validate=TEXT, metadata={"example": "applications"})
    form = fields.String(load_default="csv", validate=validate.OneOf([*FORMS]))
    filters = fields.Dict(
        keys=fields.String(validate=TEXT),
        values=fields.String(validate=TEXT),
        load_default=dict,
        metadata={"example": {"state": "APPROVED"}},
    )


class ExportOutput(Schema):
    """A file of a list: READY it can be taken, until `keep_until`."""

    id = fields.Integer()
    list = fields.String()
    form = fields.String(metadata={"example": "csv"})
    filters = fields.Dict(keys=fields.String())
    state = Choice(ExportState)
    asked_at = fields.AwareDateTime()
    expected = fields.Integer(allow_none=True, metadata={"description": "rows of the list when it was begun"})
    rows = fields.Integer(metadata={"description": "rows written so far"})
    size_bytes = fields.Integer()
    ended_at = fields.AwareDateTime(allow_none=True)
    keep_until = fields.AwareDateTime()
    failure = fields.String(allow_none=True, metadata=told("a code, where it could not be made", "uec.not_allowed"))
