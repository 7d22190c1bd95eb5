"""A security domain over a connection: what it says about itself, and the secure channel into it.

GlobalPlatform Card Specification 2.3.1 chapters 10 and 11. Hides which secure channel protocol the card speaks, the
wrapping, GET STATUS continuation and the cutting of long commands. Static keys never come here: a `KeyPort` (a vault)
turns the card's challenge into session keys.
"""

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Protocol

from card_io import globalplatform as gp
from card_io import scp02, scp03
from card_io.apdu import CommandAPDU, ResponseAPDU
from card_io.connection import Connection, exchange, send
from card_io.errors import AttemptsSpent, InvalidTlv, SecureChannelError, UnexpectedAnswer, WrongCryptogram
from card_io.keyset import SessionKeys
from card_io.secret import Secret
from card_io.status import StatusWordError
from card_io.tlv import encode_dgi

_SEGMENTED = (0xE4, 0xE6, 0xD8)  # DELETE, INSTALL, PUT KEY chain by bit 8 of P1
_NO_MORE_ENTRIES = 0x6A88
_LOCKED = 0x6283
_WRONG_P1P2 = 0x6A86
_ENTRIES_MAX = 4096
"""More applets than any chip holds: a card that goes on answering 6310 is not sane."""


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """What a keeper of keys needs to make session keys: protocol, option, challenge, the card's whole answer."""

    scp: int
    i: int
    host_challenge: bytes
    initialize_update: bytes

    @property
    def kdd(self) -> bytes:
        """Key diversification data, 10 bytes."""
        return self.initialize_update[:10]

    @property
    def kvn(self) -> int:
        """Version of the key set that the card used."""
        return self.initialize_update[10]


class KeyPort(Protocol):
    """The keeper of static keys, as this room sees it."""

    def session_keys(self, request: SessionRequest) -> SessionKeys:
        """The session keys for this card and challenge; raises when it has no keys for them."""


class AfterFailure(Enum):
    """What to do when an authentication on this card failed before."""

    REFUSE = "refuse"
    TRY_AGAIN = "try-again"


Session = scp02.Scp02Session | scp03.Scp03Session
"""The wrapping side of a channel, whichever protocol the card speaks."""


class SecureChannel:
    """An open secure channel; made by `SecurityDomain.open_channel`."""

    def __init__(self, connection: Connection, session: Session, kvn: int, kdd: bytes) -> None:
        self._connection = connection
        self._session = session
        self.kvn = kvn
        self.kdd = kdd

    @property
    def level(self) -> scp03.Level:
        """The security level of the channel."""
        return self._session.level

    @property
    def data_max(self) -> int:
        """How many bytes of data one short command carries at this level: the block size for LOAD and STORE DATA."""
        return self._session.data_max

    def transmit(self, command: CommandAPDU) -> ResponseAPDU:
        """Send one command through the channel; every status word is returned."""
        if len(command.data) > self.data_max and command.ins in _SEGMENTED:
            return self._transmit_segments(replace(command, extended=True))
        answer = exchange(self._connection, self._session.wrap(command))
        return ResponseAPDU.decode(self._session.unwrap(answer))

    def _transmit_segments(self, command: CommandAPDU) -> ResponseAPDU:
        parts = list(gp.segment(self._session.wrap(command)))
        for part in parts[:-1]:
            answer = exchange(self._connection, part)
            if answer != b"\x90\x00":
                return ResponseAPDU.decode(self._session.unwrap(answer))
        return ResponseAPDU.decode(self._session.unwrap(exchange(self._connection, parts[-1])))

    def begin_r_mac(self, added: int = 0x10, data: bytes = b"", *, r_mac_key: Secret | None = None) -> None:
        """BEGIN R-MAC SESSION: answers after it carry an R-MAC (`added` 10), under SCP03 also enciphered (30).

        SCP02 wants the R-MAC key of the sequence counter as it is now; see `Scp02Session.begin_r_mac`.
        """
        if isinstance(self._session, scp03.Scp03Session):
            self._turn(self._session.begin_r_mac(added, data))
        elif r_mac_key is None:
            raise SecureChannelError("an R-MAC session of SCP02 has its own key; ask the keeper of the keys for it")
        else:
            self._turn(self._session.begin_r_mac(r_mac_key, data))

    def end_r_mac(self) -> None:
        """END R-MAC SESSION: back to the level of the channel; the card's last R-MAC is compared."""
        self._turn(self._session.end_r_mac())

    def _turn(self, wrapped: bytes) -> None:
        ResponseAPDU.decode(self._session.unwrap(exchange(self._connection, wrapped))).require()

    def send(self, command: CommandAPDU, *allowed: int) -> ResponseAPDU:
        """Like `transmit`, but a status word other than 9000 or `allowed` is a `StatusWordError`."""
        response = self.transmit(command)
        response.require(command, *allowed)
        return response

    def send_all(self, commands: Iterable[CommandAPDU]) -> list[ResponseAPDU]:
        """Send commands in order and stop at the first refusal, which is raised."""
        return [self.send(command) for command in commands]

    def registry(self, subset: gp.Subset, aid: bytes = b"") -> list[gp.RegistryEntry]:
        """The registry entries of a kind (whose AID starts with `aid`); asks on while the card has more.

        A card that knows no templates is asked for bare lines. Raises `UnexpectedAnswer` when the list never ends.
        """
        listing, occurrence = gp.Listing.TEMPLATES, gp.Occurrence.FIRST
        entries: list[gp.RegistryEntry] = []
        while True:
            command = gp.get_status(subset, aid, occurrence=occurrence, listing=listing)
            response = self.transmit(command)
            if response.sw == _WRONG_P1P2 and listing is gp.Listing.TEMPLATES and not entries:
                listing = gp.Listing.LINES
                continue
            response.require(command, gp.MORE_DATA, _NO_MORE_ENTRIES)
            templates = listing is gp.Listing.TEMPLATES
            entries += gp.parse_registry(response.data) if templates else gp.parse_lines(response.data, subset)
            if response.sw != gp.MORE_DATA:
                return entries
            if not response.data or len(entries) > _ENTRIES_MAX:
                raise UnexpectedAnswer("the card promises more registry entries than it can have; reset it")
            occurrence = gp.Occurrence.NEXT

    def load(
        self,
        cap: gp.CapFile,
        *,
        security_domain: bytes = b"",
        daps: Sequence[gp.DapBlock] = (),
        hash_algorithm: str = "sha256",
        parameters: bytes = b"",
    ) -> None:
        """Load a CAP file: INSTALL [for load] with the load file hash, then LOAD in blocks as large as fit."""
        block_hash = cap.block_hash(hash_algorithm)
        self.send(gp.install_for_load(cap.package, security_domain, block_hash=block_hash, parameters=parameters))
        self.send_all(gp.load(gp.load_file(cap.data_block, daps), self.data_max))

    def personalize(self, instance: bytes, groupings: Sequence[tuple[int, bytes]]) -> list[bytes]:
        """INSTALL [for personalization], then data groupings by STORE DATA, filled up block by block; the answers."""
        self.send(gp.install_for_personalization(instance))
        stream = b"".join(encode_dgi(dgi, value) for dgi, value in groupings)
        commands = gp.store_data(gp.split(stream, self.data_max), answering=gp.Answering.DATA)
        return [response.data for response in self.send_all(commands)]

    def put_keys(self, kvn: int, new_kvn: int, keys: Sequence[gp.KeyData], *, key_id: int = 1) -> None:
        """PUT KEY, and compare the check values that the card answers; see `check_put_key_answer`."""
        answer = self.send(gp.put_key(kvn, key_id, new_kvn, keys)).data
        gp.check_put_key_answer(answer, new_kvn, [key.check_value for key in keys])


class SecurityDomain:
    """A security domain on a card: by default the issuer's."""

    def __init__(self, connection: Connection, aid: bytes = gp.ISD_AID) -> None:
        self.connection = connection
        self.aid = aid
        self._failed = False

    def _ask(self, command: CommandAPDU) -> bytes:
        return send(self.connection, command).require(command)

    def select(self) -> gp.Fci:
        """Select it and read its file control information; a card that is locked answers 6283 and is selected too."""
        command = gp.select(self.aid)
        answer = send(self.connection, command)
        return gp.parse_fci(answer.data if answer.sw == _LOCKED and answer.data else answer.require(command))

    def select_issuer(self) -> gp.Fci:
        """Select the issuer's domain by whatever name this maker gave it, which `aid` is from now on.

        SELECT without a name finds it by the specification (§11.9); not every card follows it there, so the names in
        use come next. Raises what the card answers to the last of them when it has no such domain.
        """
        *others, last = (b"", *gp.KNOWN_ISD_AIDS)
        for name in others:
            with contextlib.suppress(StatusWordError, InvalidTlv):
                return self._select_as(name)
        return self._select_as(last)

    def _select_as(self, name: bytes) -> gp.Fci:
        self.aid = name
        found = self.select()
        self.aid = found.aid
        return found

    def get_data(self, tag: int) -> bytes:
        """A data object, tag and length included; `StatusWordError` (6A88) when the card has no such object."""
        return self._ask(gp.get_data(tag))

    def find_data(self, tag: int) -> bytes | None:
        """Like `get_data`, but None when the card has no such object."""
        command = gp.get_data(tag)
        response = send(self.connection, command)
        return response.data if response.ok else None

    def cplc(self) -> gp.Cplc:
        """The card production life cycle data."""
        return gp.parse_cplc(self.get_data(gp.TAG_CPLC))

    def key_information(self) -> list[gp.KeyInformation]:
        """The keys that the security domain has."""
        return gp.parse_key_information(self.get_data(gp.TAG_KEY_INFORMATION))

    def card_data(self) -> gp.CardData:
        """The card recognition data."""
        return gp.parse_card_data(self.get_data(gp.TAG_CARD_DATA))

    def open_channel(
        self,
        keys: KeyPort,
        *,
        level: int,
        host_challenge: bytes,
        kvn: int = 0,
        option: int = 0x55,
        after_failure: AfterFailure = AfterFailure.REFUSE,
    ) -> SecureChannel:
        """Authenticate both ways and return the channel at security `level`.

        `host_challenge` is fresh random, 8 bytes (16 for cards in S16 mode); `option` is the card's "i" under SCP02,
        which its answers do not tell. After one failed authentication (also one that the keeper of keys refused) it
        refuses with `AttemptsSpent` unless told to try again: cards count, and end. Raises `WrongCryptogram` when card
        and keys do not belong together.
        """
        if self._failed and after_failure is AfterFailure.REFUSE:
            raise AttemptsSpent("one authentication on this card failed; find its right keys before trying again")
        command = gp.initialize_update(kvn, host_challenge)
        answer = self._ask(command)
        request = SessionRequest(_protocol(answer), option, host_challenge, answer)
        self._failed = True
        session = self._prepare(keys.session_keys(request), request, level)
        self._authenticate(session)
        self._failed = False
        return SecureChannel(self.connection, session, request.kvn, request.kdd)

    def _prepare(self, keys: SessionKeys, request: SessionRequest, level: int) -> Session:
        """A level that the card cannot do is the caller's mistake, and no attempt on the card."""
        try:
            return _session(keys, request, level)
        except WrongCryptogram:
            raise
        except SecureChannelError:
            self._failed = False
            raise

    def _authenticate(self, session: Session) -> None:
        answer = ResponseAPDU.decode(exchange(self.connection, session.external_authenticate()))
        if answer.sw == 0x6300:
            raise WrongCryptogram("the card does not accept these keys; check its key version and diversification")
        if not answer.ok:
            raise StatusWordError(answer.sw, 0x82)


def _protocol(answer: bytes) -> int:
    if len(answer) < 13:
        raise UnexpectedAnswer("the answer to INITIALIZE UPDATE is too short; this is no security domain")
    return answer[11]


def _session(keys: SessionKeys, request: SessionRequest, level: int) -> Session:
    if request.scp == 0x02:
        two = scp02.parse_initialize_update(request.initialize_update)
        return scp02.Scp02Session(keys, level, host_challenge=request.host_challenge, card=two, i=request.i)
    if request.scp == 0x03:
        three = scp03.parse_initialize_update(request.initialize_update)
        return scp03.Scp03Session(keys, level, host_challenge=request.host_challenge, card=three)
    raise SecureChannelError(f"the card speaks SCP{request.scp:02X}; only SCP02 and SCP03 are spoken here")
