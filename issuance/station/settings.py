"""Where a station keeps its identity, which hub it belongs to, and which readers it has."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class StationSettings:
    """`folder` holds the station's key and identity; `hub_url` is `wss://...` (`ws://` only on the same machine).

    Several addresses, separated by commas, are hubs that stand in for each other: they are tried in turn. `pin` is the
    SHA-256 (hex) of the hub's public key; with one, no other key is spoken to, and who signed the certificate does not
    matter. Empty: the pin kept at enrolment, or the certificate authorities of this machine.

    `readers` is `pcsc` for the readers of this machine, or `virtual:FOLDER` for cards in this process, one reader for
    each `*.card` file that is or comes there (tests and rehearsals).
    """

    folder: Path
    hub_url: str
    readers: str = "pcsc"
    pin: str = ""
    retry_s: float = 1.0
    retry_max_s: float = 20.0
