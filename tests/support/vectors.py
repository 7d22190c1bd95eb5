"""Recorded secure channel sessions of other projects, kept beside the tests (tests/vectors/secure-channel.json)."""

import json
from dataclasses import dataclass
from pathlib import Path

from card_io.keyset import KeySet
from card_io.secret import Secret

_FILE = Path(__file__).parent.parent / "vectors" / "secure-channel.json"


@dataclass(frozen=True)
class Exchange:
    """One recorded command: plain, as it went over the wire, and the answer where it was recorded."""

    plain: bytes
    wrapped: bytes
    response_wrapped: bytes | None
    response_plain: bytes | None


@dataclass(frozen=True)
class Session:
    """One recorded session."""

    name: str
    scp: str
    keys: KeySet
    initialize_update: bytes
    initialize_update_response: bytes
    external_authenticate: bytes
    commands: tuple[Exchange, ...]

    @property
    def host_challenge(self) -> bytes:
        """The challenge in the recorded INITIALIZE UPDATE command."""
        return self.initialize_update[5 : 5 + self.initialize_update[4]]

    @property
    def level(self) -> int:
        """P1 of the recorded EXTERNAL AUTHENTICATE."""
        return self.external_authenticate[2]


def _optional(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)


def recorded_sessions() -> list[Session]:
    """Every recorded session."""
    return [
        Session(
            name=item["name"],
            scp=item["scp"],
            keys=KeySet(*(Secret(bytes.fromhex(item["keys"][name])) for name in ("enc", "mac", "dek"))),
            initialize_update=bytes.fromhex(item["initialize_update"]["command"]),
            initialize_update_response=bytes.fromhex(item["initialize_update"]["response"]),
            external_authenticate=bytes.fromhex(item["external_authenticate"]),
            commands=tuple(
                Exchange(
                    bytes.fromhex(entry["plain"]),
                    bytes.fromhex(entry["wrapped"]),
                    _optional(entry["response_wrapped"]),
                    _optional(entry["response_plain"]),
                )
                for entry in item["commands"]
            ),
        )
        for item in json.loads(_FILE.read_text("utf-8"))
    ]
