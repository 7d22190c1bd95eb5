"""Errors cross the socket whole: same class, same sentence, same facts, and no secret among them."""

import json

import pytest

from card_io.secret import Secret
from issuance.errors import ERROR_CLASSES, IssuanceError, UnfitKey, VaultError, WrongCardKeys
from issuance.keys import wire
from issuance.keys.port import AesForm, CardSessionRequest, KeyPurpose, KeyRef, PutKeyRequest

BLANK, CARD = KeyRef(KeyPurpose.BLANK_TRANSPORT, 1), KeyRef(KeyPurpose.CARD_MASTER, 12)


@pytest.mark.parametrize("code", sorted(ERROR_CLASSES))
def test_every_vault_error_comes_out_as_it_went_in(code: str) -> None:
    sent = ERROR_CLASSES[code]("say what to do", path="/run/vault", version=3, previous=None)
    header = json.loads(json.dumps(wire.error_out(sent)))
    with pytest.raises(IssuanceError) as caught:
        wire.raise_error(header)
    assert type(caught.value) is type(sent)
    assert (str(caught.value), caught.value.facts) == (str(sent), sent.facts)
    assert caught.value.code == code


def test_an_error_of_a_newer_vault_is_still_an_error() -> None:
    with pytest.raises(VaultError) as caught:
        wire.raise_error({"error": "not-known-yet", "message": "do this", "facts": {"count": 2}})
    assert caught.value.facts == {"count": 2}


def test_an_answer_without_an_error_raises_none() -> None:
    wire.raise_error({"vault_id": "error"})


def test_codes_are_unique_and_facts_are_attributes() -> None:
    def below(kind: type[IssuanceError]) -> list[type[IssuanceError]]:
        return [kind, *(item for child in kind.__subclasses__() for item in below(child))]

    ours = [kind for kind in below(IssuanceError) if kind.__module__.startswith("issuance.errors")]
    assert len({kind.code for kind in ours}) == len(ours)
    error = WrongCardKeys("sentence", purpose="card-master", version=2, kvn=48)
    assert (error.purpose, error.version, error.kvn) == ("card-master", 2, 48)
    assert UnfitKey("sentence", finding="roca").finding == "roca"


def test_session_requests_carry_everything_and_keys_only_as_bytes() -> None:
    requests = [
        CardSessionRequest(BLANK, b"k" * 10, b"h" * 8, b"r" * 29, 0x70),
        CardSessionRequest(CARD, b"", b"", b"", 1, 16),
    ]
    header, blobs = wire.ask_card_sessions(requests)
    assert header["cards"] == [
        ["blank-transport", 1, 0x70, 8, "kdf3", "03"],
        ["card-master", 12, 1, 16, "kdf3", "03"],
    ]
    assert blobs == [b"k" * 10, b"h" * 8, b"r" * 29, b"", b"", b""]
    (keys,) = wire.read_card_sessions([b"e" * 16, b"m" * 16, b"r" * 16])
    assert (keys.enc, keys.mac, keys.rmac) == (Secret(b"e" * 16), Secret(b"m" * 16), Secret(b"r" * 16))


def test_key_changes_carry_the_form_the_card_wants() -> None:
    header, blobs = wire.ask_put_key_data([PutKeyRequest(BLANK, CARD, b"k" * 10, 32, aes_form=AesForm.PLAIN)])
    assert header["cards"] == [[["blank-transport", 1], ["card-master", 12], 32, "kdf3", "plain", None]]
    assert blobs == [b"k" * 10]
    data = wire.read_put_key_data([b"data", b"111", b"222", b"333", b"more", b"444", b"555", b"666"])
    assert [item.key_data for item in data] == [b"data", b"more"]
    assert data[1].check_values == (b"444", b"555", b"666")
