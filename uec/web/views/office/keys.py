"""The page of keys: what the vault last told, periods that end, and how the move to the newest card master stands."""

from collections.abc import Mapping

from flask import render_template
from flask.typing import ResponseReturnValue

from issuance.keys.periods import Period
from issuance.keys.port import KeyPurpose, KeyState
from uec.domain.permissions import Permission
from uec.services import key_rotation
from uec.web.access import current_actor, needs
from uec.web.context import now, reader
from uec.web.texts import _l
from uec.web.views.office.room import blueprint

PURPOSES: Mapping[KeyPurpose, object] = {
    KeyPurpose.CARD_MASTER: _l("Card master"),
    KeyPurpose.BLANK_TRANSPORT: _l("Transport key of blanks"),
    KeyPurpose.PIN_MASTER: _l("PIN master"),
    KeyPurpose.BUREAU_TRANSPORT: _l("Transport keys of bureaux"),
    KeyPurpose.CA_ROOT: _l("Root authority"),
    KeyPurpose.CA_ISSUING: _l("Issuing authority"),
    KeyPurpose.DOCUMENT_SIGNER: _l("Document signer"),
    KeyPurpose.AUDIT: _l("Audit"),
    KeyPurpose.STATION: _l("Stations"),
    KeyPurpose.OCSP: _l("Answers about certificates"),
}
STATES: Mapping[KeyState, tuple[object, str]] = {
    KeyState.PRE_ACTIVE: (_l("Made ahead"), "blue"),
    KeyState.ACTIVE: (_l("In use"), "green"),
    KeyState.RETIRED: (_l("Retired"), "grey"),
    KeyState.COMPROMISED: (_l("Compromised"), "red"),
    KeyState.DESTROYED: (_l("Destroyed"), "grey"),
}
PERIODS: Mapping[Period, tuple[object, str]] = {
    Period.ENDING: (_l("Ends soon"), "orange"),
    Period.OVER: (_l("Over"), "red"),
}


@blueprint.get("/keys")
@needs(Permission.VIEW_KEYS)
def keys() -> ResponseReturnValue:
    """Show the keys as the vault last told about them, and how many cards each card master still has."""
    page = key_rotation.page(reader(), actor=current_actor(), now=now())
    return render_template("office/keys.html", page=page, purposes=PURPOSES, states=STATES, periods=PERIODS)
