"""The card's operating system: logical channels, selection, chaining, long answers.

GlobalPlatform 2.3.1, 6.4 (selection, logical channels) and 11.9 (SELECT), 11.7 (MANAGE CHANNEL); ISO/IEC 7816-4:2020,
5.3.3 (command chaining), 5.3.4 (61XX).
"""

from dataclasses import replace
from typing import Final

from card_io import tlv
from card_io.apdu import CHAINING, CommandAPDU, ResponseAPDU
from card_io.virtual.domain import SecurityDomain
from card_io.virtual.platform import Platform
from card_io.virtual.refusal import (
    CHANNEL_NOT_SUPPORTED,
    CONDITIONS,
    INS_UNKNOWN,
    LAST_OF_CHAIN_EXPECTED,
    NOT_FOUND,
    NOT_SUPPORTED,
    WRONG_LENGTH,
    WRONG_P1P2,
    Refused,
)
from card_io.virtual.registry import CARD_LOCKED, CARD_RESET, TERMINATED, Instance

CHANNELS: Final = 4
CHAIN_MAX: Final = 0x8000
_CLOSED: Final = 0x6283


class LogicalChannel:
    """What one logical channel has: the selected applet (None: the security domain), its session, its buffers."""

    def __init__(self, platform: Platform) -> None:
        self.domain = SecurityDomain(platform)
        self.selected: Instance | None = None
        self.chained: CommandAPDU | None = None
        self.pending = ResponseAPDU(b"", 0x9000)


class OperatingSystem:
    """Everything that is lost with the power: made anew at each reset."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._channels: dict[int, LogicalChannel] = {0: LogicalChannel(platform)}
        platform.is_selected = self._is_selected
        if platform.life_cycle < CARD_LOCKED:
            default = platform.registry.with_privilege(CARD_RESET)
            if default is not None:
                self._channels[0].selected = default
                platform.applet(default).select(b"", 0x0C)

    def _is_selected(self, aid: bytes) -> bool:
        return any(item.selected is not None and item.selected.aid == aid for item in self._channels.values())

    def answer(self, command: CommandAPDU) -> ResponseAPDU:
        """The answer to one command; raises `Refused`."""
        if self._platform.over_t0 and command.extended:
            raise Refused(WRONG_LENGTH)
        number = command.cla & 0x03
        if command.cla & 0x40 or number not in self._channels:
            raise Refused(CHANNEL_NOT_SUPPORTED)
        channel = self._channels[number]
        if command.ins == 0xC0:
            return self._get_response(channel, command)
        channel.pending = ResponseAPDU(b"", 0x9000)
        whole = _chain(channel, replace(command, cla=command.cla & ~0x03))
        if whole is None:
            return ResponseAPDU(b"", 0x9000)
        response = self._execute(number, channel, whole)
        if self._platform.over_t0:
            return _deliver_over_t0(channel, response, command)
        # Without Le the answer comes all the same, as over T=1 on real chips; an R-MAC needs no Le either.
        return _deliver(channel, response, 0x100 if command.le is None else command.le)

    def _get_response(self, channel: LogicalChannel, command: CommandAPDU) -> ResponseAPDU:
        if not channel.pending.data:
            raise Refused(CONDITIONS)
        if command.p1 or command.p2:
            raise Refused(WRONG_P1P2)
        return _deliver(channel, channel.pending, 0x100 if command.le is None else command.le)

    def _execute(self, number: int, channel: LogicalChannel, command: CommandAPDU) -> ResponseAPDU:
        if command.ins == 0x70 and not command.cla & 0x80:
            return self._manage_channel(number, command)
        if command.ins == 0xA4 and command.p1 == 0x04 and not command.cla & 0x84:
            return self._select(channel, command)
        if channel.selected is None:
            return channel.domain.process(command)
        current = self._platform.registry.instance(channel.selected.aid)
        if current is None or current.locked:
            raise Refused(CONDITIONS)
        return self._platform.applet(current).process(command)

    def _manage_channel(self, number: int, command: CommandAPDU) -> ResponseAPDU:
        if command.p1 == 0x00 and command.p2 == 0x00:
            free = next((item for item in range(1, CHANNELS) if item not in self._channels), None)
            if free is None:
                raise Refused(NOT_SUPPORTED)
            self._channels[free] = LogicalChannel(self._platform)
            return ResponseAPDU(bytes([free]), 0x9000)
        if command.p1 == 0x80 and command.p2 in self._channels and command.p2:
            self._leave(self._channels[command.p2])
            if command.p2 != number:
                del self._channels[command.p2]
                return ResponseAPDU(b"", 0x9000)
            del self._channels[number]
            return ResponseAPDU(b"", 0x9000)
        raise Refused(WRONG_P1P2)

    def _leave(self, channel: LogicalChannel) -> None:
        """What is selected on the channel is deselected, its secure session ends."""
        if channel.selected is not None:
            self._platform.applet(channel.selected).deselect()
        channel.selected = None
        channel.domain.end_session()

    def _select(self, channel: LogicalChannel, command: CommandAPDU) -> ResponseAPDU:
        name = command.data
        if len(name) > 16:
            raise Refused(WRONG_LENGTH)
        if self._platform.domain_aid.startswith(name):
            if command.p2 & 0x03:
                raise Refused(NOT_FOUND)
            self._leave(channel)
            return self._describe_domain()
        found = self._resolve(name, command.p2, channel)
        if found is not None:
            return self._select_instance(channel, found, command)
        if channel.selected is None:
            raise Refused(NOT_FOUND)
        try:
            return self._platform.applet(channel.selected).process(command)  # a directory's name within the applet
        except Refused as refused:
            raise Refused(NOT_FOUND if refused.sw == INS_UNKNOWN else refused.sw) from refused

    def _resolve(self, name: bytes, p2: int, channel: LogicalChannel) -> Instance | None:
        """The instance of that name: first or only, or (P2 02) the one after the selected one."""
        if self._platform.life_cycle >= CARD_LOCKED:
            raise Refused(NOT_FOUND)
        matches = [item for item in self._platform.registry.by_partial_name(name) if item.selectable]
        if p2 & 0x03 == 0x02:
            current = channel.selected.aid if channel.selected else b""
            return next((item for item in sorted(matches, key=lambda item: item.aid) if item.aid > current), None)
        if matches:
            return matches[0]
        others = (item for item in self._platform.registry.instances() if item.selectable)
        return next((item for item in others if name in self._platform.applet(item).other_names), None)

    def _select_instance(self, channel: LogicalChannel, found: Instance, command: CommandAPDU) -> ResponseAPDU:
        if any(item.selected is not None and item.selected.aid == found.aid for item in self._others(channel)):
            raise Refused(CONDITIONS)
        self._leave(channel)
        channel.selected = found
        return self._platform.applet(found).select(command.data, command.p2)

    def _others(self, channel: LogicalChannel) -> list[LogicalChannel]:
        return [item for item in self._channels.values() if item is not channel]

    def _describe_domain(self) -> ResponseAPDU:
        """FCI of the issuer security domain: its AID and the longest data field it takes (9F65)."""
        proprietary = tlv.encode(0xA5, tlv.encode(0x9F65, b"\xff"))
        data = tlv.encode(0x6F, tlv.encode(0x84, self._platform.domain_aid) + proprietary)
        closed = self._platform.life_cycle in {CARD_LOCKED, TERMINATED}
        return ResponseAPDU(data, _CLOSED if closed else 0x9000)


def _chain(channel: LogicalChannel, command: CommandAPDU) -> CommandAPDU | None:
    """The whole command once its last part is there, None before."""
    begun, channel.chained = channel.chained, None
    if begun is not None:
        if command.header[1:] != begun.header[1:] or command.cla & ~CHAINING != begun.cla:
            raise Refused(LAST_OF_CHAIN_EXPECTED)
        if len(begun.data) + len(command.data) > CHAIN_MAX:
            raise Refused(WRONG_LENGTH)
        command = replace(command, data=begun.data + command.data)
    if not command.cla & CHAINING:
        return command
    channel.chained = replace(command, cla=command.cla & ~CHAINING, le=None)
    return None


def _deliver(channel: LogicalChannel, response: ResponseAPDU, room: int) -> ResponseAPDU:
    """As much of the answer as there is room for; the rest waits for GET RESPONSE."""
    rest = response.data[room:]
    channel.pending = ResponseAPDU(rest, response.sw) if rest else ResponseAPDU(b"", 0x9000)
    if not rest:
        return response
    return ResponseAPDU(response.data[:room], 0x6100 | (len(rest) if len(rest) < 0x100 else 0))


def _deliver_over_t0(channel: LogicalChannel, response: ResponseAPDU, command: CommandAPDU) -> ResponseAPDU:
    """T=0 carries data one way only: an answer to data waits for GET RESPONSE, another has the length asked for.

    ISO/IEC 7816-3:2006, 12.2: 61XX after a command with data, 6CXX for a wrong length, the command not carried out.
    """
    if not response.data or command.data:
        return _deliver(channel, response, 0)
    wanted = 0x100 if command.le is None else command.le
    if wanted > len(response.data):
        raise Refused(0x6C00 | len(response.data))
    return _deliver(channel, response, wanted)
