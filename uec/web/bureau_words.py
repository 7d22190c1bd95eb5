"""Hides how states, findings and refusals of outside bureaux are said to people."""

from collections.abc import Callable, Mapping
from enum import StrEnum

from uec.domain.bureau import (
    Certificates,
    CertificateUse,
    ConsignmentState,
    FileOutcome,
    OrderedState,
    OrderState,
    PartnerState,
)
from uec.domain.errors import UecError
from uec.web.problem_words import problem_of_code
from uec.web.texts import _, _l

Text = object  # a lazy string of flask-babel

TAGS: tuple[tuple[StrEnum, Text, str], ...] = (
    (PartnerState.PROPOSED, _l("Awaits a second person"), "yellow"),
    (PartnerState.APPROVED, _l("Approved"), "green"),
    (PartnerState.ENDED, _l("Ended"), "grey"),
    (OrderState.DRAWN, _l("Awaits approval"), "yellow"),
    (OrderState.APPROVED, _l("Waits to be sent"), "blue"),
    (OrderState.SENT, _l("Sent"), "blue"),
    (OrderState.ACCEPTED, _l("In work"), "purple"),
    (OrderState.DECLINED, _l("Declined"), "red"),
    (OrderState.COMPLETE, _l("All accounted for"), "green"),
    (OrderState.CLOSED, _l("Closed"), "grey"),
    (OrderState.CANCELLED, _l("Cancelled"), "grey"),
    (OrderedState.ORDERED, _l("At the bureau"), "blue"),
    (OrderedState.MADE, _l("Keys made"), "purple"),
    (OrderedState.ANSWERED, _l("Certificates sent"), "purple"),
    (OrderedState.FINISHED, _l("Finished by the bureau"), "green"),
    (OrderedState.REJECTED, _l("Rejected, made again"), "red"),
    (OrderedState.RECALLED, _l("Taken back"), "grey"),
    (ConsignmentState.ANNOUNCED, _l("On the way"), "blue"),
    (ConsignmentState.RECEIVED, _l("Received"), "green"),
    (FileOutcome.SENT, _l("Sent"), "blue"),
    (FileOutcome.TAKEN, _l("Taken"), "green"),
    (FileOutcome.REFUSED, _l("Refused"), "red"),
)
WORDS: tuple[tuple[StrEnum, Text], ...] = (
    (CertificateUse.ENCRYPTION, _l("Encryption")),
    (CertificateUse.SIGNATURE, _l("Signature")),
    (Certificates.HAND_OVER, _l("At the window, before hand-over")),
    (Certificates.ANSWER, _l("By the bureau, from an answer file")),
)
ACTIONS: Mapping[str, Text] = {
    "bureau.propose": _l("Bureau proposed"),
    "bureau.approve": _l("Bureau approved"),
    "bureau.end": _l("Bureau ended"),
    "bureau.certificate": _l("Certificate of a bureau proposed"),
    "bureau.certificate.approve": _l("Certificate of a bureau approved"),
    "bureau.certificate.end": _l("Certificate of a bureau ended"),
    "bureau.lot": _l("Diversification of a lot of chips entered"),
    "bureau_order.draw": _l("Order to a bureau drawn up"),
    "bureau_order.approve": _l("Order to a bureau approved"),
    "bureau_order.cancel": _l("Order to a bureau cancelled"),
    "bureau_order.send": _l("Order to a bureau sent"),
    "bureau_order.accept": _l("Bureau accepted an order"),
    "bureau_order.decline": _l("Bureau declined an order"),
    "bureau_order.results": _l("Results of a bureau written down"),
    "bureau_order.answer": _l("Certificates sent to a bureau"),
    "bureau_order.complete": _l("All cards of an order accounted for"),
    "bureau_order.receive": _l("Consignment of a bureau received"),
    "bureau_order.close": _l("Order to a bureau closed"),
    "bureau_file.take": _l("File of a bureau taken"),
    "bureau_file.refuse": _l("File of a bureau refused"),
}
KINDS: Mapping[str, Text] = {
    "bureau": _l("Bureau"),
    "bureau_lot": _l("Lot of chips"),
    "bureau_order": _l("Order to a bureau"),
    "bureau_file": _l("File of a bureau"),
}
DUTIES: Mapping[str, Text] = {
    "proposed the bureau": _l("proposed the bureau"),
    "proposed the certificate": _l("proposed the certificate"),
    "drew the order up": _l("drew the order up"),
    "released the batch": _l("released the batch"),
}
FILE_KINDS: Mapping[str, Text] = {
    "order": _l("Order"),
    "acknowledgement": _l("Acknowledgement"),
    "results": _l("Results"),
    "answer": _l("Answer with certificates"),
    "": _l("Unknown"),
}
FINDINGS: Mapping[str, Text] = {
    "not-cms": _l("It is no signed file of the agreed form."),
    "wrong-signer": _l("It is signed by nobody whom we know."),
    "wrong-signature": _l("Its signature is wrong: it was altered, or another key signed it."),
    "cut-off": _l("It is cut off: ask for it again."),
    "malformed": _l("It cannot be read."),
    "other-kind": _l("It is of a kind that does not come from a bureau."),
    "other-version": _l("It is of another format than the agreed one."),
    "wrong-count": _l("It does not hold as many records as it says, or not as many as were ordered."),
    "wrong-digest": _l("Its records are not those it was closed with."),
    "trailing-bytes": _l("Bytes follow its end."),
    "too-large": _l("A part of it is impossibly large."),
    "no-bureau": _l("No bureau is known yet."),
    "wrong-bureau": _l("It speaks in the name of another bureau."),
    "unknown-order": _l("This bureau has no such order of ours."),
    "wrong-batch": _l("It speaks of another batch than the order’s."),
    "wrong-order": _l("It answers another file than the order that was sent."),
    "taken-before": _l("This very file was taken before; nothing is to be done."),
    "not-awaited": _l("Nothing of this kind is awaited for the order now."),
    "certificate-expired": _l("The bureau’s certificate has expired: ask for a new one."),
    "certificate-not-yet": _l("The certificate it is signed with is not valid yet: compare the clocks here and there."),
    "wrong-clock": _l("It was made long before its order, or lies in the future: compare the clocks here and there."),
    "wrong-profile": _l("It speaks of cards of another profile than the order’s."),
    "nothing-reported": _l("It reports nothing: ask the bureau for its results."),
    "sent-twice": _l("It sends a card that was sent before, or one card twice."),
    "sent-unmade": _l("It sends a card that was not made."),
    "one-master": _l(
        "There is no card master before the one in use, and a bureau must not know keys that cards keep: let "
        "custodians make its next version."
    ),
    "order-stands": _l("The batch stands in an order to a bureau: cancel that order first."),
    "being-made": _l("A bureau is making the cards of this batch: wait for what comes back."),
    "not-for-us": _l("It is for somebody else."),
    "no-answer": _l("The certificates of this order are written at hand-over."),
    "nothing-to-answer": _l("No card of this order waits for certificates."),
    "certificate-not-in-use": _l("The certificate it is signed with is not in use."),
    "unknown-card": _l("It names a card that nobody ordered."),
    "reported-before": _l("It reports a card that was reported before."),
    "reported-twice": _l("It reports one thing twice."),
    "foreign-chip": _l("It names a chip that is none of the order’s."),
    "same-chip": _l("It reports one chip twice."),
    "other-chip": _l("It names another chip than the card was made on."),
    "chip-taken": _l("It names a chip that is another card already."),
    "no-certificate": _l("The bureau has no approved certificate that is valid now."),
    "no-transport-key": _l("The bureau has no transport key yet."),
    "not-approved": _l("The bureau is not approved by a second person."),
    "ordered-before": _l("The batch stands in an order already."),
    "batch-state": _l("Only a released batch that nobody began can be ordered."),
    "not-prepared": _l("The data of the batch are not prepared yet."),
    "begun": _l("Cards of the batch wait at stations: call that off first."),
    "profile": _l("Cards of this profile cannot be made by a bureau."),
    "empty": _l("No card is left to make."),
    "unknown-lot": _l("How the chips of this lot diversify is not entered yet."),
    "away": _l("The card is at a bureau: wait for its results."),
    "destined": _l("The batch is planned for a bureau: let its order be drawn up, or call the batch off."),
    "not-sent": _l("Cards were made and are not on their way yet."),
    "folder": _l("The folder for the bureau’s files cannot be read or written: have the administrator see to it."),
    "on-the-way": _l("Consignments are on their way: receive them first."),
}

# Why we reject a card; a word that is not here came from the bureau and is shown as the bureau said it.
REJECTIONS: Mapping[str, Text] = {
    "not-wanted": _l("The card is not wanted any more."),
    "check-values": _l("The chip’s keys are not those that were sent for it."),
    "production-record": _l("The chip’s production record is another chip’s."),
    "missing-key": _l("The card has not the keys of its profile."),
    "duplicate-key": _l("A key of this card is in another card too: call security."),
    "no-possession": _l("A key of this card did not prove that the card holds it."),
    "roca": _l("A key of this card can be broken (ROCA): report the chips of this lot."),
    "debian-weak": _l("A key of this card was made by a broken generator."),
    "small-factor": _l("A key of this card can be broken."),
    "close-factors": _l("A key of this card can be broken."),
    "exponent": _l("A key of this card can be broken."),
    "malformed": _l("A key of this card cannot be read."),
    "not-canonical": _l("A key of this card cannot be read."),
    "foreign-curve": _l("A key of this card is of another kind than its profile’s."),
    "foreign-algorithm": _l("A key of this card is of another kind than its profile’s."),
    "not-allowed": _l("A key of this card is of another kind than its profile’s."),
    "size": _l("A key of this card is of another kind than its profile’s."),
}


def why(reason: str) -> str:
    """Why a card was rejected, in a sentence; what a bureau said stays in its words."""
    word, _colon, sentence = reason.partition(": ")
    return str(REJECTIONS.get(word, sentence or word))


def found(finding: str | None) -> str:
    """What was wrong, in a sentence."""
    return str(FINDINGS.get(finding or "", finding or ""))


def held_up(by: str | None, why: str | None) -> str:
    """What keeps an order's file or answer from being made, and what to do; what has no words stays in the office's."""
    if by is None or by in FINDINGS:
        return found(by)
    said, advice = problem_of_code(by)
    return str(why) if f"({by})" in said else f"{said} {advice}"


def _refused(error: UecError) -> str:
    name, sentence = error.facts.get("file"), found(str(error.facts.get("finding", "")))
    return _("The file %(name)s is refused. %(why)s", name=name, why=sentence) if name else sentence


SENTENCES: Mapping[str, Callable[[UecError], str]] = {
    "uec.bureau_refused": _refused,
    "uec.bureau_not_ready": _refused,
    "uec.bureau_file_refused": _refused,
    "uec.bureau_folder": _refused,
}
