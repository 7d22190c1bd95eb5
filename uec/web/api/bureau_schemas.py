"""The shapes of the API for outside bureaux: partners, orders, what became of cards and blanks, files both ways."""

from marshmallow import Schema, fields, validate

from uec.domain.bureau import (
    Certificates,
    CertificateUse,
    ConsignmentState,
    FileOutcome,
    OrderState,
    PartnerState,
)
from uec.web.api.schemas import TEXT, Choice, Input, PageInput, told

CODE = told("as it stands in files", "NORTH")
NUMBER = told("of an order", "BO-000001")


class BureauCertificateOutput(Schema):
    """A certificate of a bureau, pinned by its fingerprint."""

    id = fields.Integer()
    use = Choice(CertificateUse)
    state = Choice(PartnerState)
    subject = fields.String()
    fingerprint = fields.String(metadata={"description": "SHA-256 of the certificate, hex"})
    not_before = fields.AwareDateTime()
    not_after = fields.AwareDateTime()


class HeldKeysOutput(Schema):
    """Card keys of one version of the card master that a bureau was sent."""

    version = fields.Integer()
    chips = fields.Integer(metadata={"description": "chips whose keys it was sent"})
    cards = fields.Integer(metadata={"description": "cards with these keys that are not handed over yet"})
    given = fields.Integer(metadata={"description": "cards handed over with these keys: they are to be moved"})


class BureauOutput(Schema):
    """An outside bureau; `missing` says in one word why it can take no order now, empty when it can."""

    code = fields.String(metadata=CODE)
    name = fields.String()
    state = Choice(PartnerState)
    cards_per_day = fields.Integer()
    transport_version = fields.Integer(allow_none=True, metadata={"description": "of its transport key in the vault"})
    missing = fields.String(metadata=told("what stands against an order, in one word", "no-certificate"))
    certificates = fields.List(fields.Nested(BureauCertificateOutput))
    keys = fields.List(fields.Nested(HeldKeysOutput))


class OrdersInput(PageInput):
    """Which orders to bureaux."""

    bureau = fields.String(load_default="", validate=TEXT, metadata=CODE)
    state = Choice(OrderState)


class OrderRowOutput(Schema):
    """One line of the list of orders to bureaux."""

    number = fields.String(metadata=NUMBER)
    state = Choice(OrderState)
    bureau = fields.String(metadata={"description": "its name"})
    batch = fields.String()
    certificates = Choice(Certificates)
    cards = fields.Integer()
    outstanding = fields.Integer()
    drawn_at = fields.AwareDateTime()
    held_up = fields.Boolean(metadata={"description": "its file or answer could not be made when it was tried last"})


class OrderInput(Input):
    """A batch to order; without a bureau from the one that the plan gave it to, without a way as its profile says."""

    batch = fields.String(required=True, validate=TEXT, metadata=told("its number", "B-000007"))
    bureau = fields.String(load_default="", validate=TEXT, metadata=CODE)
    certificates = Choice(Certificates, load_default=None, allow_none=True)
    spare = fields.Integer(
        load_default=None,
        allow_none=True,
        strict=True,
        validate=validate.Range(min=0, max=100_000),
        metadata={"description": "blanks beside one a card; without it a share of them"},
    )


class CancelInput(Input):
    """Why an order is called off."""

    reason = fields.String(required=True, validate=TEXT)


class ReconciliationOutput(Schema):
    """Cards: ordered = made + rejected + recalled + outstanding; blanks: given = used + spoiled + left."""

    ordered = fields.Integer()
    made = fields.Integer()
    finished = fields.Integer()
    rejected = fields.Integer()
    recalled = fields.Integer()
    outstanding = fields.Integer()
    difference = fields.Integer(metadata={"description": "nought, or something is wrong"})
    blanks = fields.Integer()
    blanks_used = fields.Integer()
    blanks_spoiled = fields.Integer()
    blanks_left = fields.Integer()


class BureauFileOutput(Schema):
    """A file to or from a bureau, and what became of it."""

    id = fields.Integer()
    at = fields.AwareDateTime()
    kind = fields.String(
        metadata=told("order, acknowledgement, results, answer; empty where it is not known", "results")
    )
    name = fields.String()
    sha256 = fields.String()
    size_bytes = fields.Integer()
    outcome = Choice(FileOutcome)
    finding = fields.String(allow_none=True, metadata=told("why it was refused, in one word", "wrong-batch"))


class ConsignmentOutput(Schema):
    """Cards that a bureau sent under a seal; the seal is read off the parcel and not told here."""

    id = fields.Integer()
    number = fields.String()
    state = Choice(ConsignmentState)
    cards = fields.Integer()
    announced_at = fields.AwareDateTime()
    received_at = fields.AwareDateTime(allow_none=True)


class RejectedOutput(Schema):
    """A card that is not coming of this order."""

    number = fields.String()
    reason = fields.String(metadata=told("a word, a colon, a sentence", "roca: the key can be broken"))


class OrderOutput(Schema):
    """An order to a bureau with everything that became of it."""

    number = fields.String(attribute="row.number", metadata=NUMBER)
    state = Choice(OrderState, attribute="row.state")
    bureau = fields.String(attribute="bureau.code", metadata=CODE)
    batch = fields.String(attribute="batch.number")
    certificates = Choice(Certificates, attribute="row.certificates")
    key_version = fields.Integer(
        attribute="row.key_version", allow_none=True, metadata={"description": "of the card master; null until sent"}
    )
    reason = fields.String(attribute="row.reason", allow_none=True)
    drawn_at = fields.AwareDateTime(attribute="row.drawn_at")
    approved_at = fields.AwareDateTime(attribute="row.approved_at", allow_none=True)
    sent_at = fields.AwareDateTime(attribute="row.sent_at", allow_none=True)
    accepted_at = fields.AwareDateTime(attribute="row.accepted_at", allow_none=True)
    completed_at = fields.AwareDateTime(attribute="row.completed_at", allow_none=True)
    ended_at = fields.AwareDateTime(attribute="row.ended_at", allow_none=True)
    reconciliation = fields.Nested(ReconciliationOutput, attribute="sums")
    blanks_given = fields.List(fields.String(), attribute="ranges")
    rejected = fields.List(fields.Nested(RejectedOutput), metadata={"description": "the first 50 by number"})
    consignments = fields.List(fields.Nested(ConsignmentOutput))
    files = fields.List(fields.Nested(BureauFileOutput), metadata={"description": "the newest 50"})


class FileInput(Input):
    """What the file is called; it is recorded under this name."""

    name = fields.String(required=True, validate=TEXT, metadata={"example": "BO-000001-2-results.p7s"})


class TakenOutput(Schema):
    """What a file was and did; `facts` counts by name."""

    order = fields.String(metadata=NUMBER)
    kind = fields.String(metadata={"example": "results"})
    facts = fields.Dict(keys=fields.String())
