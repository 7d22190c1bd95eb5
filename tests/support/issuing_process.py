"""Issues certificates until it is killed: `python -m tests.support.issuing_process DATABASE SOCKET CARD`.

It forks for each line `go NUMBER` on standard input, so that a kill costs no start of Python. The fork issues request
NUMBER, NUMBER + 1, ... for the card and tells each on standard output when it is done; request N is the same keys in
every process. What the fork prints first is its process id, and what is printed last is `ended`.
"""

import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from secrets import token_bytes

from cryptography.hazmat.primitives.asymmetric import ec

from issuance.keys.access import ClientKind
from issuance.keys.client import VaultClient
from tests.support.desk import SETTINGS
from tests.support.pki import proofs_of, public_keys_of
from uec.services import authority, certification, rules
from uec.store.engine import make_engine, session_factory

SLOTS_APART = 1 << 40


def made_by(number: int) -> certification.Made:
    """What a card has made for request `number`: public keys and proofs, by slot."""
    slots = [slot.name for slot in rules.card_profile(SETTINGS).keys]
    keys = {
        slot: ec.derive_private_key(number * 7 + at * SLOTS_APART + 1, ec.SECP256R1()) for at, slot in enumerate(slots)
    }
    return certification.Made(public_keys_of(keys), proofs_of(keys))


def keys_of(number: int) -> Mapping[str, bytes]:
    """The public keys of request `number`, by slot."""
    return made_by(number).public_keys


def issue_from(first: int, database: str, socket: Path, card_id: int) -> None:
    """Issue request after request, for ever."""
    engine = make_engine(database)
    with VaultClient(socket, ClientKind.HUB) as vault, session_factory(engine)() as session:
        ca = authority.open_authority(session, vault, settings=SETTINGS)
        session.rollback()
        profile = rules.card_profile(SETTINGS)
        print("ready", flush=True)
        for number in count(first):
            issuer = certification.Issuer(ca, profile, datetime.now(UTC), token_bytes)
            certification.issue(session, card_id, made_by(number), issuer=issuer)
            print(number, flush=True)


def main() -> None:
    """Fork for each line that comes."""
    database, socket, card_id = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    for line in sys.stdin:
        first = int(line.split()[1])
        child = os.fork()
        if not child:
            print(os.getpid(), flush=True)
            issue_from(first, database, socket, card_id)
        os.waitpid(child, 0)
        print("ended", flush=True)


if __name__ == "__main__":
    main()
