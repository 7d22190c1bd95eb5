"""Hides how the audit's codes are said to an auditor: who, what, to what. An unknown code is shown as it is."""

from collections.abc import Mapping

from uec.web import bureau_words, stock_words
from uec.web.texts import _, _l

Text = object  # a lazy string of flask-babel

ACTIONS: Mapping[str, Text] = {
    "application.submit": _l("Application taken"),
    "application.open-from-cohort": _l("Application opened from a list"),
    "application.view": _l("Application looked at"),
    "application.list": _l("List of applications looked at"),
    "application.photo": _l("Photo looked at"),
    "application.status": _l("Applicant asked for the status"),
    "application.start_checks": _l("Checks begun"),
    "application.checks_match": _l("Registers agree"),
    "application.checks_mismatch": _l("Registers disagree"),
    "application.approve": _l("Application approved"),
    "application.reject": _l("Application rejected"),
    "application.plan": _l("Card planned"),
    "application.unplan": _l("Card taken off the plan"),
    "application.produce": _l("Card goes into production"),
    "application.card_ready": _l("Card lies at the point"),
    "application.remake": _l("Card is made anew"),
    "application.hand_over": _l("Application ended with the card"),
    "application.withdraw": _l("Application withdrawn"),
    "card.view": _l("Card looked at"),
    "card.list": _l("List of cards looked at"),
    "card.prepare": _l("Data of the card prepared"),
    "card.start_writing": _l("Writing begun"),
    "card.resume_writing": _l("Writing taken up again"),
    "card.inspected": _l("Card inspected"),
    "card.spoil": _l("Card scrapped"),
    "card.hand_over": _l("Card handed over"),
    "card.print_letter": _l("Letter with the unblock code printed"),
    "card.evidence": _l("Evidence of the card’s sessions given out"),
    "card.suspend": _l("Card suspended"),
    "card.resume": _l("Card resumed"),
    "card.report_lost": _l("Card reported lost"),
    "card.annul": _l("Card annulled"),
    "card.replace": _l("Card replaced"),
    "card.expire": _l("Card expired"),
    "card.destroy": _l("Card destroyed"),
    "emission.plan": _l("Mass emission planned"),
    "emission.simulate": _l("What-if years simulated"),
    "emission.facts": _l("Lines, chips or couriers of the plan changed"),
    "emission.tell": _l("People told that their promised day moved"),
    "scenario.again": _l("Scenario to be lived through again"),
    "scenario.propose": _l("Scenario put forward to become the plan"),
    "scenario.approve": _l("Scenario made the plan"),
    "batch.move": _l("Batch moved to another day or line"),
    "batch.plan": _l("Batch planned"),
    "batch.release": _l("Batch released"),
    "batch.prepare": _l("Data of cards of the batch prepared"),
    "print.order": _l("Print of the card ordered"),
    "print.print": _l("Card given to the printer"),
    "print.match": _l("Number on the plastic compared with the chip"),
    "print.mismatch": _l("Number on the plastic is not the chip’s"),
    "print.spoil": _l("Print of the card given up"),
    "batch.produce": _l("Batch sent to production"),
    "batch.close": _l("Batch finished"),
    "batch.cancel": _l("Batch called off"),
    "operation.request": _l("Work with a card asked for"),
    "operation.claim": _l("Work with a card begun"),
    "operation.finish": _l("Work with a card done"),
    "operation.fail": _l("Work with a card failed"),
    "operation.release": _l("Work with a card given back"),
    "operation.cancel": _l("Work with a card called off"),
    "cohort.look": _l("Looked at for a list"),
    "twins.open": _l("Twins found on the register"),
    "twins.reopen": _l("Case of twins opened again"),
    "twins.close": _l("Case of twins set right by the register"),
    "twins.view": _l("Case of twins looked at"),
    "twins.decide": _l("Case of twins decided"),
    "register.absence": _l("Decided about somebody missing from the register"),
    "policy.propose": _l("Change of the rules proposed"),
    "policy.confirm": _l("Change of the rules confirmed"),
    "policy.withdraw": _l("Change of the rules taken back"),
    "application.move-promise": _l("Promised date moved"),
    "notice.propose": _l("Public notice proposed"),
    "notice.confirm": _l("Public notice confirmed"),
    "notice.withdraw": _l("Public notice taken back"),
    "notice.close": _l("Time to refuse and to choose a bank ended"),
    "application.give-bank": _l("Bank of the tender given"),
    "bank.choose": _l("Bank chosen"),
    "job.pause": _l("Job paused"),
    "job.resume": _l("Job goes on"),
    "job.run": _l("Run of a job asked for"),
    "job.end": _l("Run of a job to be ended"),
    "export.take": _l("List taken out as a file"),
    "export.ask": _l("File of a list asked for"),
    "export.finish": _l("File of a list made"),
    "export.fail": _l("File of a list not made"),
    "export.fetch": _l("File of a list taken"),
    "export.remove": _l("File of a list deleted"),
    "export.expire": _l("File of a list deleted at the end of its time"),
    "cohort.ask": _l("List of residents asked for"),
    "cohort.compute": _l("List of residents computed"),
    "cohort.propose": _l("List proposed"),
    "cohort.approve": _l("List approved"),
    "cohort.void": _l("List void"),
    "cohort.discard": _l("List discarded"),
    "cohort.give-members": _l("Register numbers of the list given out"),
    "cohort.prove-member": _l("Place on the list proved"),
    "cohort.edit": _l("List edited"),
    "cohort.remove-member": _l("Resident taken off the list"),
    "cohort.ask-opening": _l("Applications of the list asked for"),
    "cohort.open-applications": _l("Applications opened from the list"),
    "certificate.issue": _l("Certificate issued"),
    "certificate.refuse": _l("Certificate refused"),
    "certificate.hold": _l("Certificate put on hold"),
    "certificate.resume": _l("Hold of the certificate lifted"),
    "certificate.revoke": _l("Certificate revoked"),
    "certificate.sweep": _l("Keys of all certificates checked again"),
    "crl.publish": _l("Revocation list published"),
    "ocsp.refuse": _l("Questions about certificates refused"),
    "stop-list.publish": _l("Stop-list published"),
    "key.part": _l("Part of a key shown to its custodian, or entered"),
    "key.ceremony": _l("Key put together by custodians"),
    "key.division": _l("Key divided among custodians"),
    "key.rotate": _l("Next version of a key made"),
    "key.period": _l("Period of a key changed"),
    "key.import": _l("Transport key of blanks entered"),
    "key.activate": _l("Key put in use"),
    "key.retire": _l("Key retired"),
    "key.compromise": _l("Key marked as compromised"),
    "key.destroy": _l("Key destroyed"),
    "key.agree": _l("Office and vault agreed again"),
    "key.back-up": _l("Keys backed up"),
    "key.restore-previous": _l("Vault put back to its previous copy"),
    "key.passphrases": _l("Passphrases of the vault changed"),
    "refusal.file": _l("Refusal filed"),
    "refusal.list": _l("List of refusals looked at"),
    "refusal.look": _l("Refusal looked at"),
    "refusal.withdraw": _l("Refusal taken back"),
    "register.import": _l("Register imported"),
    "municipality.import": _l("Municipalities imported"),
    "point.add": _l("Point added"),
    "station.create": _l("Station made known"),
    "station.enrol": _l("Station enrolled"),
    "station.renew_code": _l("New code made for the station"),
    "station.revoke": _l("Station revoked"),
    "staff.create": _l("Member of staff added"),
    "staff.open": _l("Account opened"),
    "staff.close": _l("Account switched off"),
    "staff.set_roles": _l("Roles changed"),
    "staff.set_password": _l("Password set"),
    "staff.sign_in": _l("Signed in"),
    **stock_words.ACTIONS,
    **bureau_words.ACTIONS,
    "staff.sign_in_failed": _l("Wrong password"),
    "staff.locked": _l("Account locked after wrong passwords"),
}

KINDS: Mapping[str, Text] = {
    "application": _l("Application"),
    "application-list": _l("List of applications"),
    "batch": _l("Batch"),
    "emission_plan": _l("Plan of mass emission"),
    "plan_scenario": _l("What-if scenario"),
    "planning_facts": _l("Lines, chips and couriers of the plan"),
    "promise_move": _l("Moved promises"),
    "card": _l("Card"),
    "card-list": _l("List of cards"),
    "card_operation": _l("Work with a card"),
    "certificate": _l("Certificate"),
    "cohort": _l("List of residents"),
    "crl": _l("Revocation list"),
    "ocsp": _l("Answers about certificates"),
    "ocsp-signer": _l("Signer of answers about certificates"),
    "stop-list": _l("Stop-list"),
    "key": _l("Key"),
    "issuance_point": _l("Point"),
    "twin_case": _l("Case of twins"),
    "register_absence": _l("Missing from the register"),
    "policy_change": _l("Change of the rules"),
    "public_notice": _l("Public notice"),
    "bank_choice": _l("Choice of a bank"),
    "job": _l("Job"),
    "export": _l("File of a list"),
    "resident": _l("Resident"),
    "municipality": _l("Municipality"),
    "refusal": _l("Refusal"),
    "refusal-list": _l("List of refusals"),
    "register_import": _l("Import of the register"),
    "staff": _l("Member of staff"),
    "station": _l("Station"),
    **stock_words.KINDS,
    **bureau_words.KINDS,
}

PARTS: Mapping[str, Text] = {
    "bureaux": _l("exchange with bureaux"),
    "checks": _l("checks"),
    "clock": _l("clock"),
    "command line": _l("command line"),
    "demo": _l("demonstration"),
    "exports": _l("files of lists"),
    "hub": _l("hub"),
    "installation": _l("installation"),
    "key ceremony": _l("key ceremony"),
    "key custodians": _l("custodians of keys"),
    "preparation": _l("preparation of data"),
    "publication": _l("publication of lists"),
    "scheduler": _l("scheduler"),
}

FACTS: Mapping[str, Text] = {
    "number": _l("number"),
    "file": _l("file"),
    "form": _l("form"),
    "purpose": _l("purpose"),
    "version": _l("version"),
    "custodians": _l("custodians"),
    "scheme": _l("way of dividing"),
    "check_value": _l("check value"),
    "transport_check_value": _l("check value of the transport key"),
    "algorithm": _l("algorithm"),
    "until": _l("until"),
    "cards_left": _l("although cards are left"),
    "generation": _l("state of the vault"),
    "damaged": _l("damaged file"),
    "skip": _l("numbers left out"),
    "keys": _l("keys"),
    "route": _l("way of applying"),
    "reason": _l("reason"),
    "from": _l("from"),
    "to": _l("to"),
    "shown": _l("shown"),
    "roles": _l("roles"),
    "login": _l("login"),
    "cohort": _l("list"),
    "query": _l("search"),
    "rows": _l("rows"),
    "kind": _l("kind"),
    "state": _l("state"),
}


def facts(details: Mapping[str, object]) -> dict[str, object]:
    """Name the facts of an entry; their values stay as the chain has them, for they are what is signed."""
    return {str(FACTS.get(name, name)): value for name, value in details.items()}


def action(code: str) -> str:
    """Say what was done."""
    return str(ACTIONS.get(code, code))


def kind(code: str) -> str:
    """Say what it was done to."""
    return str(KINDS.get(code, code))


def who(reference: str, names: Mapping[int, str]) -> str:
    """Say who did it; `names` are those of the staff by id."""
    sort, _colon, rest = reference.partition(":")
    if sort == "staff" and rest.isdigit():
        return names.get(int(rest), reference)
    if sort == "citizen":
        return _("Applicant on the web") if rest == "web" else _("Applicant %(number)s", number=rest)
    if sort == "system":
        return _("The system (%(part)s)", part=PARTS.get(rest, rest))
    return _("Unknown") if reference == "unknown" else reference


def reference_of(typed: str, logins: Mapping[str, int]) -> str:
    """Return the reference an auditor means: a login, an application's number, or a reference as it is."""
    text = typed.lower()
    if text in logins:
        return f"staff:{logins[text]}"
    return f"citizen:{typed}" if typed[:4].isdigit() and "-" in typed else typed
