"""BEGIN R-MAC SESSION and END R-MAC SESSION: protection of answers for a part of a session.

GlobalPlatform Card Specification 2.3.1, E.5.3 and E.5.4 (SCP02); Amendment D, 7.1.3 and 7.1.4 (SCP03).
"""

from typing import Final

from card_io.apdu import CommandAPDU
from card_io.virtual import scp02, scp03
from card_io.virtual.channel import R_ENCRYPTION, R_MAC
from card_io.virtual.keysets import KeyStore
from card_io.virtual.refusal import WRONG_DATA, WRONG_P1P2, Refused
from card_io.virtual.session import Session

_DATA_MAX: Final = 24
_END, _CURRENT = 0x03, 0x01


def begin_r_mac(session: Session, keys: KeyStore, command: CommandAPDU) -> bytes:
    """BEGIN: P1 says how the answers after this one are protected; the data are a length and as many bytes."""
    channel = session.require()
    if command.p2 != 0x01:
        raise Refused(WRONG_P1P2)
    if command.data and (command.data[0] != len(command.data) - 1 or command.data[0] > _DATA_MAX):
        raise Refused(WRONG_DATA)
    if isinstance(channel, scp02.Scp02):
        if command.p1 != R_MAC:
            raise Refused(WRONG_P1P2)
        channel.begin_r_mac(keys.counter(session.key_version))
    elif isinstance(channel, scp03.Scp03):
        if command.p1 not in {R_MAC, R_MAC | R_ENCRYPTION}:
            raise Refused(WRONG_P1P2)
        channel.begin_r_mac(command.p1)
    return b""


def end_r_mac(session: Session, command: CommandAPDU) -> bytes:
    """END (P2 03), or under SCP02 the R-MAC so far (P2 01)."""
    channel = session.require()
    if command.p1:
        raise Refused(WRONG_P1P2)
    if isinstance(channel, scp02.Scp02) and command.p2 in {_CURRENT, _END}:
        return channel.end_r_mac() if command.p2 == _END else channel.current_r_mac()
    if isinstance(channel, scp03.Scp03) and command.p2 == _END:
        channel.end_r_mac()  # its own answer still carries the R-MAC
        return b""
    raise Refused(WRONG_P1P2)
