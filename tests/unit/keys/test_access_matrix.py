"""Who may ask the vault for what: every kind of client, request and purpose, against a table written out here."""

from pathlib import Path

import pytest

from issuance.errors import VaultRefused
from issuance.keys import access
from issuance.keys.access import ClientKind as C
from issuance.keys.access import Request as R
from issuance.keys.access import require
from issuance.keys.port import KeyPurpose as P
from issuance.keys.port import Vault

SIGNING = {R.SIGN, R.SIGN_DIGESTS}
ALLOWED: dict[C, dict[R, set[P]]] = {
    C.HUB: {
        R.CARD_SESSIONS: {P.CARD_MASTER, P.BLANK_TRANSPORT},
        R.FORETELL_SESSION: {P.CARD_MASTER, P.BLANK_TRANSPORT},
        R.PUT_KEY_DATA: {P.CARD_MASTER, P.BLANK_TRANSPORT},
        R.ADMIN_KEY: {P.CARD_MASTER},  # one card's own, derived
        R.TRANSPORT_PINS: {P.PIN_MASTER},
        **{request: {P.CA_ISSUING, P.DOCUMENT_SIGNER, P.STATION} for request in SIGNING},
    },
    C.WORKER: {
        R.STEP: set(P),
        **{request: {P.CA_ISSUING, P.DOCUMENT_SIGNER, P.AUDIT, P.OCSP} for request in SIGNING},
        R.BUREAU_KEYS: {P.BUREAU_TRANSPORT, P.BLANK_TRANSPORT, P.CARD_MASTER},
        R.BUREAU_PINS: {P.BUREAU_TRANSPORT, P.PIN_MASTER},
    },
    C.SCHEDULER: {request: {P.AUDIT} for request in SIGNING},
    C.CA: {request: {P.CA_ROOT, P.CA_ISSUING, P.DOCUMENT_SIGNER, P.OCSP, P.STATION, P.AUDIT} for request in SIGNING},
    C.OCSP: {request: {P.OCSP} for request in SIGNING},
    C.CUSTODIAN: {R.GENERATE: set(P)},
}


@pytest.mark.parametrize("client", C)
def test_each_client_gets_only_what_it_needs(client: C) -> None:
    for request in R:
        for purpose in P:
            may = request in access.OPEN_TO_ALL or purpose in ALLOWED[client].get(request, set())
            if may:
                require(client, request, frozenset({purpose}))
            else:
                with pytest.raises(VaultRefused) as caught:
                    require(client, request, frozenset({purpose}))
                assert (caught.value.client, caught.value.work, caught.value.purpose) == (client, request, purpose)


def test_one_key_that_is_not_ones_own_stops_the_whole_batch() -> None:
    with pytest.raises(VaultRefused) as caught:
        require(C.HUB, R.CARD_SESSIONS, frozenset({P.CARD_MASTER, P.PIN_MASTER}))
    assert caught.value.purpose == "pin-master"


def test_what_anyone_may_ask_tells_no_secret() -> None:
    assert {R.IDENTITY, R.DESCRIBE, R.ACTIVE, R.PUBLIC_KEY, R.RANDOM} == access.OPEN_TO_ALL


def test_the_web_is_no_client_and_no_request_gives_a_key_out() -> None:
    assert "web" not in set(C)
    assert not {"export", "wrap", "key", "back_up", "import_key", "take_key", "move"} & {request.value for request in R}
    methods = {name for name in vars(Vault) if not name.startswith("_")}
    assert methods == {request.value for request in R} | {"card_session", "close"}


def test_nothing_of_the_web_opens_a_vault_or_asks_one() -> None:
    root = Path(access.__file__).parents[2] / "uec" / "web"
    for file in root.rglob("*.py"):
        source = file.read_text(encoding="utf-8")
        for word in ("issuance.keys.client", "issuance.keys.file_vault", "issuance.keys.engine", "services.vaults"):
            assert word not in source, f"{file}: {word}"


def test_every_client_has_a_socket_of_its_own() -> None:
    paths = {access.socket_for(Path("/run/uec/vault.sock"), client) for client in C}
    assert len(paths) == len(C) and Path("/run/uec/vault-hub.sock") in paths
