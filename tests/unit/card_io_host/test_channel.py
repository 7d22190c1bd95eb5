"""The host against the virtual card, which was written from the specifications and not from this host."""

import itertools

import pytest

from card_io import globalplatform as gp
from card_io import scp03
from card_io.apdu import CommandAPDU
from card_io.applets.uec import layout
from card_io.channel import AfterFailure, SecureChannel, SecurityDomain, SessionRequest
from card_io.ciphers import kcv_aes
from card_io.connection import LogicalChannel
from card_io.errors import AttemptsSpent, SecureChannelError, UnexpectedAnswer, WrongCryptogram
from card_io.keyset import KeySet, SessionKeys
from card_io.scp03 import Level
from card_io.secret import Secret
from card_io.status import StatusWordError
from card_io.tlv import parse_dgis
from card_io.virtual import keysets
from card_io.virtual.card import VirtualCard
from card_io.virtual.connection import InProcessConnection
from tests.support.caps import APPLET, PACKAGE, cap, components
from tests.support.key_port import TestVault

KEY = {size: bytes(range(0x40, 0x40 + size)) for size in (16, 24, 32)}
INITIAL = 0x30
CHALLENGE = bytes(range(0xA0, 0xA8))


def key_set(size: int = 16, shift: int = 0) -> KeySet:
    return KeySet(*(Secret(bytes((byte + shift + part) % 256 for byte in KEY[size])) for part in range(3)))


def blank(size: int = 16, *, key_type: int = keysets.TYPE_AES, i3: int = 0x70, i2: int = 0x55) -> VirtualCard:
    keys = key_set(size)
    initial = keysets.KeySet(keys.enc, keys.mac, keys.dek, INITIAL, key_type)
    return VirtualCard.blank(b"host tests", initial_keys=initial, scp03_i=i3, scp02_i=i2)


def domain(card: VirtualCard) -> SecurityDomain:
    security_domain = SecurityDomain(InProcessConnection(card))
    security_domain.select()
    return security_domain


def open_channel(card: VirtualCard, level: int = 0x33, *, size: int = 16, option: int = 0x55) -> SecureChannel:
    challenge = CHALLENGE * 2 if card.platform.scp03_i & 1 else CHALLENGE
    vault = TestVault({INITIAL: key_set(size)})
    return domain(card).open_channel(vault, level=level, host_challenge=challenge, option=option)


SCP03_LEVELS = {0x00: (0x00, 0x01, 0x03), 0x20: (0x11, 0x13), 0x60: (0x33,)}
SCP03_CASES = [
    (options | pseudo | s16, level, size)
    for options, pseudo, s16, size in itertools.product((0x00, 0x20, 0x60), (0x00, 0x10), (0x00, 0x01), (16, 24, 32))
    for known, levels in SCP03_LEVELS.items()
    if options & known == known
    for level in levels
]


@pytest.mark.parametrize(("i", "level", "size"), SCP03_CASES)
def test_scp03_at_every_level_option_and_key_size(i: int, level: int, size: int) -> None:
    channel = open_channel(blank(size, i3=i), level, size=size)
    assert channel.level == level
    for _ in range(3):
        issuer = channel.registry(gp.Subset.ISSUER_SECURITY_DOMAIN)
        assert [entry.aid for entry in issuer] == [gp.ISD_AID]
        assert channel.send(CommandAPDU(0x80, 0xCA, 0x9F, 0x7F, le=256)).data[:3] == b"\x9f\x7f\x2a"
    assert channel.transmit(gp.get_data(0x5F5E)).sw == 0x6A88
    assert channel.registry(gp.Subset.LOAD_FILES_AND_MODULES)


@pytest.mark.parametrize(("i", "level"), [(0x15, 1), (0x55, 3), (0x35, 0x11), (0x75, 0x13), (0x55, 0), (0x75, 0x10)])
def test_scp02_at_every_level_and_option(i: int, level: int) -> None:
    channel = open_channel(blank(key_type=keysets.TYPE_DES, i2=i), level, option=i)
    for _ in range(3):
        assert channel.registry(gp.Subset.ISSUER_SECURITY_DOMAIN)[0].aid == gp.ISD_AID
        assert channel.transmit(gp.get_data(0x5F5E)).sw == 0x6A88
    assert len(channel.send(gp.get_data(gp.TAG_CPLC)).data) == 45


@pytest.mark.parametrize(("i", "level"), [(0x00, 0x11), (0x20, 0x33), (0x70, 0x02), (0x70, 0x30)])
def test_levels_that_the_card_cannot_do_are_refused_before_anything_is_sent(i: int, level: int) -> None:
    card = blank(i3=i)
    with pytest.raises(SecureChannelError, match="level"):
        open_channel(card, level)


def test_the_domain_says_what_it_is() -> None:
    card = blank()
    security_domain = SecurityDomain(InProcessConnection(card))
    assert security_domain.select().aid == gp.ISD_AID
    assert len(security_domain.cplc().chip_id) == 10
    assert {(key.key_id, key.kvn) for key in security_domain.key_information()} == {(n, INITIAL) for n in (1, 2, 3)}
    assert {key.components for key in security_domain.key_information()} == {((0x88, 16),)}
    assert (0x03, 0x70) in security_domain.card_data().protocols
    assert security_domain.find_data(0x5F5E) is None
    with pytest.raises(StatusWordError) as caught:
        security_domain.get_data(0x5F5E)
    assert caught.value.sw == 0x6A88


def test_commands_wrapped_ahead_are_answered_in_order() -> None:
    card = blank()
    session = open_channel(card)._session
    commands = [gp.get_data(gp.TAG_CPLC), gp.get_data(0x5F5E), gp.get_status(gp.Subset.ISSUER_SECURITY_DOMAIN)]
    ahead = [session.wrap(command) for command in commands]
    assert session.pending == 3
    answers = [session.unwrap(card.process(raw)) for raw in ahead]
    assert answers[0][:3] == b"\x9f\x7f\x2a"
    assert answers[1] == b"\x6a\x88"
    assert gp.parse_registry(answers[2][:-2])[0].aid == gp.ISD_AID
    assert session.pending == 0


def test_an_altered_answer_closes_the_channel() -> None:
    card = blank()
    session = open_channel(card)._session
    answer = bytearray(card.process(session.wrap(gp.get_data(gp.TAG_CPLC))))
    answer[3] ^= 1
    with pytest.raises(WrongCryptogram, match="R-MAC"):
        session.unwrap(bytes(answer))
    with pytest.raises(SecureChannelError, match="open a new one"):
        session.wrap(gp.get_data(gp.TAG_CPLC))


@pytest.mark.parametrize("damage", ["short", "error with data", "swapped"])
def test_answers_that_the_protocol_does_not_allow_close_the_channel(damage: str) -> None:
    card = blank()
    session = open_channel(card)._session
    first = card.process(session.wrap(gp.get_data(gp.TAG_CPLC)))
    second = card.process(session.wrap(gp.get_status(gp.Subset.ISSUER_SECURITY_DOMAIN)))
    wrong = {"short": b"\xaa\x90\x00", "error with data": b"\xaa\x6a\x88", "swapped": second}[damage]
    assert first != wrong
    with pytest.raises(WrongCryptogram):
        session.unwrap(wrong)


def test_an_answer_without_a_command_is_refused() -> None:
    with pytest.raises(SecureChannelError, match="without a command"):
        open_channel(blank())._session.unwrap(b"\x90\x00")


def test_keys_are_rotated_and_only_the_new_ones_work() -> None:
    card = blank()
    channel = open_channel(card)
    old, new = key_set(), key_set(shift=7)
    fields = [
        gp.aes_key(gp.encipher_aes_key(old.dek, key), 16, kcv_aes(key.reveal()), gp.AesForm.INNER_LENGTH)
        for key in new.in_order()
    ]
    channel.put_keys(INITIAL, 0x31, fields)
    vault = TestVault({0x31: new, INITIAL: old})
    again = domain(card).open_channel(vault, level=0x33, host_challenge=CHALLENGE)
    assert again.kvn == 0x31
    assert vault.asked[0].kvn == 0x31
    with pytest.raises(StatusWordError):
        domain(card).open_channel(vault, level=0x33, host_challenge=CHALLENGE, kvn=INITIAL)


@pytest.mark.parametrize("form", list(gp.AesForm))
@pytest.mark.parametrize("size", [16, 32])
def test_both_forms_of_aes_keys_are_taken(form: gp.AesForm, size: int) -> None:
    card = blank(size)
    channel = open_channel(card, size=size)
    new = key_set(size, shift=9)
    fields = [
        gp.aes_key(gp.encipher_aes_key(key_set(size).dek, key), size, kcv_aes(key.reveal()), form)
        for key in new.in_order()
    ]
    channel.put_keys(0, 0x32, fields)
    opened = domain(card).open_channel(TestVault({0x32: new}), level=3, host_challenge=CHALLENGE, kvn=0x32)
    assert opened.kvn == 0x32


def test_an_aes_192_key_goes_with_padding_and_inner_length() -> None:
    card = blank(24)
    new = key_set(24, shift=3)
    fields = [
        gp.aes_key(
            gp.encipher_aes_key(key_set(24).dek, key, b"\x5a" * 8),
            24,
            kcv_aes(key.reveal()),
            gp.AesForm.INNER_LENGTH,
        )
        for key in new.in_order()
    ]
    open_channel(card, size=24).put_keys(INITIAL, INITIAL, fields)
    opened = domain(card).open_channel(TestVault({INITIAL: new}), level=0x33, host_challenge=CHALLENGE)
    assert opened.kvn == INITIAL


def test_a_wrong_check_value_is_refused_by_the_card() -> None:
    channel = open_channel(blank())
    field = gp.aes_key(bytes(16), 16, b"\x00\x00\x00", gp.AesForm.BARE)
    with pytest.raises(StatusWordError):
        channel.put_keys(0, 0x33, [field] * 3)


class ForgetfulVault:
    """Has wrong keys for every card."""

    def session_keys(self, request: SessionRequest) -> SessionKeys:
        key = Secret(bytes(16))
        return SessionKeys(key, key, key)


def test_wrong_keys_stop_after_one_attempt() -> None:
    card = blank()
    security_domain = domain(card)
    with pytest.raises(WrongCryptogram, match="other keys"):
        security_domain.open_channel(ForgetfulVault(), level=3, host_challenge=CHALLENGE)
    right = TestVault({INITIAL: key_set()})
    with pytest.raises(AttemptsSpent):
        security_domain.open_channel(right, level=3, host_challenge=CHALLENGE)
    told = AfterFailure.TRY_AGAIN
    channel = security_domain.open_channel(right, level=3, host_challenge=CHALLENGE, after_failure=told)
    assert channel.registry(gp.Subset.ISSUER_SECURITY_DOMAIN)
    security_domain.open_channel(right, level=3, host_challenge=CHALLENGE)


def test_a_card_that_refuses_the_host_counts_as_one_attempt() -> None:
    card = blank()

    class Damaging(InProcessConnection):
        def transmit(self, command: bytes) -> bytes:
            if command[1] == 0x82:
                command = command[:5] + bytes([command[5] ^ 1]) + command[6:]
            return super().transmit(command)

    security_domain = SecurityDomain(Damaging(card))
    security_domain.select()
    right = TestVault({INITIAL: key_set()})
    with pytest.raises((WrongCryptogram, StatusWordError)):
        security_domain.open_channel(right, level=3, host_challenge=CHALLENGE)
    with pytest.raises(AttemptsSpent):
        security_domain.open_channel(right, level=3, host_challenge=CHALLENGE)


@pytest.mark.parametrize("level", [0x01, 0x13, 0x33])
def test_a_cap_file_is_loaded_listed_and_deleted(level: int) -> None:
    card = blank()
    channel = open_channel(card, level)
    channel.load(gp.parse_cap(cap(components(method_size=900))), security_domain=gp.ISD_AID)
    found = channel.registry(gp.Subset.LOAD_FILES_AND_MODULES, PACKAGE)
    assert [entry.aid for entry in found] == [PACKAGE]
    assert found[0].modules == (APPLET,)
    channel.send(gp.delete_with_related(PACKAGE))
    assert channel.registry(gp.Subset.LOAD_FILES, PACKAGE) == []


def test_life_cycle_of_the_card_moves_forward_only() -> None:
    channel = open_channel(blank())
    channel.send(gp.set_card_status(gp.CardLifeCycle.INITIALIZED, gp.ISD_AID))
    channel.send(gp.set_card_status(gp.CardLifeCycle.SECURED, gp.ISD_AID))
    state = channel.registry(gp.Subset.ISSUER_SECURITY_DOMAIN)[0].life_cycle
    assert gp.CardLifeCycle(state) is gp.CardLifeCycle.SECURED
    with pytest.raises(StatusWordError):
        channel.send(gp.set_card_status(gp.CardLifeCycle.OP_READY, gp.ISD_AID))


def test_a_channel_on_a_logical_channel() -> None:
    connection = InProcessConnection(blank())
    try:
        logical = LogicalChannel.open(connection)
    except StatusWordError as refused:
        pytest.fail(f"the virtual card opened no logical channel: {refused}")
    security_domain = SecurityDomain(logical)
    security_domain.select()
    channel = security_domain.open_channel(TestVault({INITIAL: key_set()}), level=0x33, host_challenge=CHALLENGE)
    assert channel.registry(gp.Subset.ISSUER_SECURITY_DOMAIN)[0].aid == gp.ISD_AID
    logical.close()


def test_another_protocol_is_named() -> None:
    class Scp11:
        atr = b""

        def transmit(self, command: bytes) -> bytes:
            return bytes(11) + b"\x11" + bytes(20) + b"\x90\x00"

        def close(self) -> None:
            """Nothing to close."""

    with pytest.raises(SecureChannelError, match="SCP11"):
        SecurityDomain(Scp11()).open_channel(ForgetfulVault(), level=1, host_challenge=CHALLENGE)


def test_an_answer_that_is_no_security_domain_is_named() -> None:
    class Other:
        atr = b""

        def transmit(self, command: bytes) -> bytes:
            return b"\x01\x02\x90\x00"

        def close(self) -> None:
            """Nothing to close."""

    with pytest.raises(UnexpectedAnswer, match="no security domain"):
        SecurityDomain(Other()).open_channel(ForgetfulVault(), level=1, host_challenge=CHALLENGE)


def test_the_largest_data_fit_and_one_byte_more_does_not() -> None:
    for level in (0x01, 0x03, 0x33):
        session = open_channel(blank(), level)._session
        assert session.level == Level(level)
        raw = session.wrap(CommandAPDU(0x80, 0xE2, 0x80, 0, bytes(session.data_max)))
        assert CommandAPDU.decode(raw).extended is False
        with pytest.raises(ValueError, match=str(session.data_max)):
            session.wrap(CommandAPDU(0x80, 0xE2, 0x80, 0, bytes(session.data_max + 1), extended=False))


class Scripted:
    """A card on which every secured command is answered from a list; what it was sent is kept."""

    atr = b""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.commands: list[CommandAPDU] = []

    def transmit(self, command: bytes) -> bytes:
        self.commands.append(CommandAPDU.decode(command))
        return self.answers.pop(0)

    def close(self) -> None:
        """Nothing to close."""


def scripted_channel(*answers: bytes, level: int = 0x03) -> tuple[SecureChannel, Scripted]:
    host, challenge = bytes(8), bytes(8)
    keys = scp03.derive_session_keys(key_set(), host, challenge)
    proof = scp03.card_cryptogram(keys, host, challenge)
    card = scp03.InitializeUpdateResponse(bytes(10), INITIAL, 3, 0x70, challenge, proof, 1)
    connection = Scripted(*answers)
    session = scp03.Scp03Session(keys, level, host_challenge=host, card=card)
    return SecureChannel(connection, session, INITIAL, bytes(10)), connection


def entry(number: int) -> bytes:
    aid = bytes([0xF0, 0, 0, 0, number])
    return bytes.fromhex("E30B") + b"\x4f\x05" + aid + bytes.fromhex("9F700107")


def test_the_registry_is_asked_on_while_the_card_has_more() -> None:
    channel, card = scripted_channel(entry(1) + b"\x63\x10", entry(2) + b"\x63\x10", entry(3) + b"\x90\x00")
    found = channel.registry(gp.Subset.APPLETS)
    assert [item.aid[-1] for item in found] == [1, 2, 3]
    assert [command.p2 for command in card.commands] == [0x02, 0x03, 0x03]


def test_a_registry_that_ends_by_not_found_keeps_what_came() -> None:
    channel, _ = scripted_channel(entry(1) + b"\x63\x10", b"\x6a\x88")
    assert len(channel.registry(gp.Subset.APPLETS)) == 1


def test_a_card_that_promises_entries_and_gives_none_is_stopped() -> None:
    channel, _ = scripted_channel(b"\x63\x10")
    with pytest.raises(UnexpectedAnswer, match="more registry entries than it can have"):
        channel.registry(gp.Subset.APPLETS)


def test_long_installs_are_cut_and_a_refused_part_ends_them() -> None:
    command = gp.install_for_install(PACKAGE, APPLET, APPLET, parameters=gp.install_parameters(bytes(600)))
    channel, card = scripted_channel(b"\x90\x00", b"\x90\x00", b"\x00\x90\x00")
    assert channel.send(command).data == b"\x00"
    assert [part.p1 for part in card.commands] == [0x84, 0x84, 0x04]
    assert {part.cla for part in card.commands} == {0x84}
    channel, card = scripted_channel(b"\x6a\x86")
    with pytest.raises(StatusWordError) as caught:
        channel.send(command)
    assert caught.value.sw == 0x6A86
    assert len(card.commands) == 1


def test_an_rsa_key_goes_to_the_virtual_card_in_parts_or_is_refused_with_a_status_word() -> None:
    channel = open_channel(blank(), 0x03)
    command = gp.put_key(0, 1, 0x73, [gp.rsa_public_key(b"\xc1" * 256, b"\x01\x00\x01")])
    assert command.extended
    answer = channel.transmit(command)
    assert answer.ok or answer.sw >> 8 in (0x69, 0x6A)
    reopened = domain(channel._connection._card)  # type: ignore[attr-defined]
    assert reopened.open_channel(TestVault({INITIAL: key_set()}), level=3, host_challenge=CHALLENGE).kvn == INITIAL


def test_personalisation_fills_the_blocks_and_marks_the_last() -> None:
    groupings = [(0x0101, bytes(300)), (0x0102, b"\x01")]
    channel, card = scripted_channel(b"\x00\x90\x00", b"\x90\x00", b"\xaa\x90\x00", level=0x00)
    assert channel.personalize(APPLET, groupings) == [b"", b"\xaa"]
    assert card.commands[0] == gp.install_for_personalization(APPLET)
    assert [command.p1 for command in card.commands[1:]] == [0x09, 0x89]
    sent = b"".join(command.data for command in card.commands[1:])
    assert parse_dgis(sent) == groupings


def test_wrong_check_values_in_the_answer_are_noticed() -> None:
    keys = [gp.aes_key(bytes(16), 16, b"\x01\x02\x03", gp.AesForm.BARE)] * 3
    channel, _ = scripted_channel(b"\x31" + b"\x01\x02\x03" * 2 + b"\x01\x02\x04" + b"\x90\x00")
    with pytest.raises(gp.WrongCheckValues):
        channel.put_keys(INITIAL, 0x31, keys)


def test_an_applet_is_installed_made_selectable_locked_unlocked_and_deleted() -> None:
    channel = open_channel(blank(), 0x33)
    instance = layout.APPLET_AID
    channel.send(gp.install_for_install(layout.PACKAGE_AID, layout.MODULE_AID, instance))

    def state() -> int:
        return channel.registry(gp.Subset.APPLETS, instance)[0].life_cycle

    assert state() == gp.AppletLifeCycle.INSTALLED
    channel.send(gp.install_for_make_selectable(instance))
    assert state() == gp.AppletLifeCycle.SELECTABLE
    channel.send(gp.lock(instance))
    assert state() & 0x80
    channel.send(gp.unlock(instance))
    assert state() == gp.AppletLifeCycle.SELECTABLE
    found = channel.registry(gp.Subset.APPLETS, instance)[0]
    assert found.aid == instance
    channel.send(gp.delete(instance))
    assert channel.registry(gp.Subset.APPLETS, instance) == []


def test_the_card_is_locked_unlocked_and_ended() -> None:
    channel = open_channel(blank(), 0x03)
    for state in (gp.CardLifeCycle.INITIALIZED, gp.CardLifeCycle.SECURED, gp.CardLifeCycle.CARD_LOCKED):
        channel.send(gp.set_card_status(state, gp.ISD_AID))
    channel.send(gp.set_card_status(gp.CardLifeCycle.SECURED, gp.ISD_AID))
    channel.send(gp.set_card_status(gp.CardLifeCycle.TERMINATED, gp.ISD_AID))
    with pytest.raises(StatusWordError):
        channel.send(gp.install_for_install(layout.PACKAGE_AID, layout.MODULE_AID, layout.APPLET_AID))


def test_data_objects_of_the_domain_are_stored_and_read_back() -> None:
    channel = open_channel(blank(), 0x03)
    stored = bytes.fromhex("42081234567890ABCDEF")
    channel.send_all(gp.store_data([stored], structure=gp.Structure.BER_TLV))
    assert channel.send(gp.get_data(gp.TAG_IIN)).data == stored
    in_template = gp.store_data([bytes.fromhex("007003") + bytes.fromhex("450107")])
    channel.send_all(in_template)
    assert channel.send(gp.get_data(gp.TAG_CIN)).data == bytes.fromhex("450107")


def test_a_level_that_the_card_cannot_do_is_no_attempt() -> None:
    security_domain = domain(blank(i3=0x00))
    vault = TestVault({INITIAL: key_set()})
    with pytest.raises(SecureChannelError, match="level 01 or 03"):
        security_domain.open_channel(vault, level=0x33, host_challenge=CHALLENGE)
    assert security_domain.open_channel(vault, level=0x03, host_challenge=CHALLENGE).level == 0x03


def test_a_vault_that_refuses_counts_as_an_attempt() -> None:
    security_domain = domain(blank())
    with pytest.raises(KeyError):
        security_domain.open_channel(TestVault({}), level=0x03, host_challenge=CHALLENGE)
    with pytest.raises(AttemptsSpent):
        security_domain.open_channel(TestVault({INITIAL: key_set()}), level=0x03, host_challenge=CHALLENGE)
