"""Tables of the specifications, row by row: what each command is on the wire and what each value means."""

import pytest

from card_io import globalplatform as gp
from card_io.apdu import CommandAPDU
from card_io.globalplatform import (
    AppletLifeCycle,
    CardLifeCycle,
    Combined,
    Encryption,
    KeyType,
    Occurrence,
    Privilege,
    StatusOf,
    Structure,
    Subset,
)
from card_io.globalplatform.registry import decode_privileges, encode_privileges
from card_io.status import meaning, tries_left

AID = bytes.fromhex("A00000000101")
DOMAIN = bytes.fromhex("A000000151000000")
TOKEN = bytes.fromhex("AABBCC")


def wire(command: CommandAPDU) -> str:
    return command.encode().hex().upper()


INSTALLS = [
    # Table 11-42: load file, security domain, hash, parameters, token.
    (gp.install_for_load(AID), "80E60200 0B 06A00000000101 00 00 00 00 00"),
    (gp.install_for_load(AID, DOMAIN), "80E60200 13 06A00000000101 08A000000151000000 00 00 00 00"),
    (
        gp.install_for_load(AID, DOMAIN, block_hash=bytes(20), parameters=b"\xef\x00", token=TOKEN),
        "80E60200 2C 06A00000000101 08A000000151000000 14" + "00" * 20 + "02EF00 03AABBCC 00",
    ),
    (gp.install_for_load(AID, combined=Combined.BEGIN), "80E60E01 0B 06A00000000101 00 00 00 00 00"),
    # Table 11-43: load file, module, application, privileges, parameters, token.
    (
        gp.install_for_install(AID, AID, AID),
        "80E60400 1B 06A00000000101 06A00000000101 06A00000000101 0100 02C900 00 00",
    ),
    (
        gp.install_for_install_and_make_selectable(AID, AID, AID, privileges=Privilege.CARD_RESET),
        "80E60C00 1B 06A00000000101 06A00000000101 06A00000000101 0104 02C900 00 00",
    ),
    (
        gp.install_for_install_and_make_selectable(AID, AID, AID, privileges=Privilege.MANDATED_DAP_VERIFICATION),
        "80E60C00 1D 06A00000000101 06A00000000101 06A00000000101 03C10000 02C900 00 00",
    ),
    (
        gp.install_for_install_and_make_selectable(b"", b"", AID, combined=Combined.END, parameters=b""),
        "80E60E03 0D 00 00 06A00000000101 0100 00 00 00",
    ),
    # Table 11-44
    (gp.install_for_make_selectable(AID), "80E60800 0D 00 00 06A00000000101 0100 00 00 00"),
    (
        gp.install_for_make_selectable(AID, privileges=Privilege.CARD_RESET, token=TOKEN),
        "80E60800 10 00 00 06A00000000101 0104 00 03AABBCC 00",
    ),
    # Table 11-45
    (gp.install_for_extradition(AID, DOMAIN), "80E61000 14 08A000000151000000 00 06A00000000101 00 00 00 00"),
    # Table 11-46
    (gp.install_for_registry_update(AID), "80E64000 0C 00 00 06A00000000101 00 00 00 00"),
    (
        gp.install_for_registry_update(AID, security_domain=DOMAIN, privileges=Privilege.CARD_LOCK),
        "80E64000 15 08A000000151000000 00 06A00000000101 0110 00 00 00",
    ),
    (gp.install_for_registry_update(), "80E64000 06 00 00 00 00 00 00 00"),
    # Table 11-47
    (gp.install_for_personalization(AID), "80E62000 0C 00 00 06A00000000101 00 00 00 00"),
]


@pytest.mark.parametrize(("command", "expected"), INSTALLS, ids=range(len(INSTALLS)))
def test_install_in_every_form(command: CommandAPDU, expected: str) -> None:
    assert wire(command) == expected.replace(" ", "")


OTHERS = [
    (gp.select(), "00A4040000"),
    (gp.select(AID), "00A4040006A0000000010100"),
    (gp.select_next(AID), "00A4040206A0000000010100"),
    (gp.get_data(gp.TAG_IIN), "80CA004200"),
    (gp.get_data(gp.TAG_CIN), "80CA004500"),
    (gp.get_data(gp.TAG_CARD_DATA), "80CA006600"),
    (gp.get_data(gp.TAG_CARD_CAPABILITIES), "80CA006700"),
    (gp.get_data(gp.TAG_KEY_INFORMATION), "80CA00E000"),
    (gp.get_data(gp.TAG_SEQUENCE_COUNTER), "80CA00C100"),
    (gp.get_data(gp.TAG_CONFIRMATION_COUNTER), "80CA00C200"),
    (gp.get_data(gp.TAG_CPLC), "80CA9F7F00"),
    (gp.get_data(gp.TAG_EXTENDED_RESOURCES), "80CAFF2100"),
    (gp.list_applications(), "80CA2F00025C0000"),
    (gp.get_status(Subset.ISSUER_SECURITY_DOMAIN), "80F28002024F0000"),
    (gp.get_status(Subset.APPLETS), "80F24002024F0000"),
    (gp.get_status(Subset.LOAD_FILES), "80F22002024F0000"),
    (gp.get_status(Subset.LOAD_FILES_AND_MODULES), "80F21002024F0000"),
    (gp.get_status(Subset.APPLETS, AID), "80F24002084F06A0000000010100"),
    (gp.get_status(Subset.APPLETS, occurrence=Occurrence.NEXT), "80F24003024F0000"),
    (gp.get_status(Subset.APPLETS, tags=(0x4F, 0x9F70, 0xCC)), "80F24002084F005C044F9F70CC00"),
    (gp.set_status(StatusOf.CARD, 0x0F, DOMAIN), "80F0800F08A000000151000000"),
    (gp.set_card_status(CardLifeCycle.CARD_LOCKED, DOMAIN), "80F0807F08A000000151000000"),
    (gp.set_card_status(CardLifeCycle.TERMINATED, DOMAIN), "80F080FF08A000000151000000"),
    (gp.lock(AID), "80F0408006A00000000101"),
    (gp.unlock(AID), "80F0400006A00000000101"),
    (gp.set_status(StatusOf.SECURITY_DOMAIN_AND_APPLETS, 0x80, AID), "80F0608006A00000000101"),
    (gp.delete(AID), "80E40000084F06A0000000010100"),
    (gp.delete(AID, token=TOKEN), "80E400000D4F06A000000001019E03AABBCC00"),
    (gp.delete_with_related(AID), "80E40080084F06A0000000010100"),
    (gp.delete_key(kvn=0x30), "80E4000003D2013000"),
    (gp.delete_key(key_id=0x01), "80E4000003D0010100"),
    (gp.delete_key(kvn=0x30, key_id=0x02), "80E4000006D00102D2013000"),
    (gp.initialize_update(0, bytes(range(8))), "8050000008000102030405060700"),
    (gp.initialize_update(0x30, bytes(16)), "8050300010" + "00" * 17),
]


@pytest.mark.parametrize(("command", "expected"), OTHERS, ids=[expected[:8] for _, expected in OTHERS])
def test_commands_in_every_form(command: CommandAPDU, expected: str) -> None:
    assert wire(command) == expected


STORE_DATA_P1 = [
    # Table 11-89: last block 80, encryption 60, structure 18, answer 01.
    (Structure.NONE, Encryption.NONE, gp.Answering.NO_DATA, 0x00),
    (Structure.NONE, Encryption.NONE, gp.Answering.DATA, 0x01),
    (Structure.NONE, Encryption.APPLET_DEPENDENT, gp.Answering.NO_DATA, 0x20),
    (Structure.NONE, Encryption.ENCRYPTED, gp.Answering.NO_DATA, 0x60),
    (Structure.DGI, Encryption.NONE, gp.Answering.NO_DATA, 0x08),
    (Structure.DGI, Encryption.NONE, gp.Answering.DATA, 0x09),
    (Structure.DGI, Encryption.APPLET_DEPENDENT, gp.Answering.NO_DATA, 0x28),
    (Structure.DGI, Encryption.ENCRYPTED, gp.Answering.DATA, 0x69),
    (Structure.BER_TLV, Encryption.NONE, gp.Answering.NO_DATA, 0x10),
    (Structure.BER_TLV, Encryption.ENCRYPTED, gp.Answering.NO_DATA, 0x70),
    (Structure.BER_TLV, Encryption.ENCRYPTED, gp.Answering.DATA, 0x71),
]


@pytest.mark.parametrize(("structure", "encryption", "answering", "p1"), STORE_DATA_P1)
def test_store_data_in_every_form(
    structure: Structure, encryption: Encryption, answering: gp.Answering, p1: int
) -> None:
    first, second = gp.store_data([b"a", b"b"], structure=structure, encryption=encryption, answering=answering)
    assert (first.p1, first.p2, second.p1, second.p2) == (p1, 0, p1 | 0x80, 1)
    assert (first.le is None) == (answering is gp.Answering.NO_DATA)


PRIVILEGES = [
    # Tables 11-7 to 11-9
    (Privilege.SECURITY_DOMAIN, "800000"),
    (Privilege.DAP_VERIFICATION, "C00000"),
    (Privilege.DELEGATED_MANAGEMENT, "A00000"),
    (Privilege.CARD_LOCK, "10"),
    (Privilege.CARD_TERMINATE, "08"),
    (Privilege.CARD_RESET, "04"),
    (Privilege.CVM_MANAGEMENT, "02"),
    (Privilege.MANDATED_DAP_VERIFICATION, "C10000"),
    (Privilege.TRUSTED_PATH, "008000"),
    (Privilege.AUTHORIZED_MANAGEMENT, "004000"),
    (Privilege.TOKEN_MANAGEMENT, "002000"),
    (Privilege.GLOBAL_DELETE, "001000"),
    (Privilege.GLOBAL_LOCK, "000800"),
    (Privilege.GLOBAL_REGISTRY, "000400"),
    (Privilege.FINAL_APPLICATION, "000200"),
    (Privilege.GLOBAL_SERVICE, "000100"),
    (Privilege.RECEIPT_GENERATION, "000080"),
    (Privilege.CIPHERED_LOAD_FILE_DATA_BLOCK, "000040"),
    (Privilege.CONTACTLESS_ACTIVATION, "000020"),
    (Privilege.CONTACTLESS_SELF_ACTIVATION, "000010"),
    (gp.NO_PRIVILEGE, "00"),
    (Privilege.SECURITY_DOMAIN | Privilege.CARD_LOCK | Privilege.TRUSTED_PATH, "908000"),
]


@pytest.mark.parametrize(("privilege", "encoded"), PRIVILEGES)
def test_privileges(privilege: Privilege, encoded: str) -> None:
    assert encode_privileges(privilege).hex().upper() == encoded
    assert decode_privileges(bytes.fromhex(encoded)) == privilege


KEY_TYPES = {
    # Table 11-16
    "DES": 0x80,
    "TLS_PSK": 0x85,
    "AES": 0x88,
    "HMAC_SHA1": 0x90,
    "HMAC_SHA1_160": 0x91,
    "RSA_PUBLIC_EXPONENT": 0xA0,
    "RSA_PUBLIC_MODULUS": 0xA1,
    "RSA_PRIVATE_MODULUS": 0xA2,
    "RSA_PRIVATE_EXPONENT": 0xA3,
    "RSA_CRT_P": 0xA4,
    "RSA_CRT_Q": 0xA5,
    "RSA_CRT_PQ": 0xA6,
    "RSA_CRT_DP1": 0xA7,
    "RSA_CRT_DQ1": 0xA8,
    "ECC_PUBLIC": 0xB0,
    "ECC_PRIVATE": 0xB1,
    "ECC_P": 0xB2,
    "ECC_A": 0xB3,
    "ECC_B": 0xB4,
    "ECC_G": 0xB5,
    "ECC_N": 0xB6,
    "ECC_K": 0xB7,
    "ECC_PARAMETERS": 0xF0,
}


def test_key_types() -> None:
    assert {kind.name: kind.value for kind in KeyType} == KEY_TYPES


LIFE_CYCLES = [
    (CardLifeCycle.OP_READY, 0x01),
    (CardLifeCycle.INITIALIZED, 0x07),
    (CardLifeCycle.SECURED, 0x0F),
    (CardLifeCycle.CARD_LOCKED, 0x7F),
    (CardLifeCycle.TERMINATED, 0xFF),
    (AppletLifeCycle.INSTALLED, 0x03),
    (AppletLifeCycle.SELECTABLE, 0x07),
    (AppletLifeCycle.PERSONALIZED, 0x0F),
    (AppletLifeCycle.LOCKED, 0x83),
]


@pytest.mark.parametrize(("state", "code"), LIFE_CYCLES)
def test_life_cycles(state: int, code: int) -> None:
    assert state == code


MEANINGS = [
    (0x9000, "success"),
    (0x6283, "deactivated"),
    (0x6310, "more data"),
    (0x6581, "memory"),
    (0x6700, "length"),
    (0x6881, "channel"),
    (0x6882, "secure messaging"),
    (0x6883, "last command"),
    (0x6982, "security status"),
    (0x6983, "blocked"),
    (0x6984, "reference data"),
    (0x6985, "conditions"),
    (0x6A80, "data field"),
    (0x6A81, "not supported"),
    (0x6A82, "not found"),
    (0x6A84, "memory"),
    (0x6A86, "P1"),
    (0x6A88, "not found"),
    (0x6B00, "P1"),
    (0x6D00, "instruction"),
    (0x6E00, "class"),
    (0x63C2, "2"),
]


@pytest.mark.parametrize(
    ("sw", "word"), MEANINGS, ids=lambda value: f"{value:04X}" if isinstance(value, int) else value
)
def test_status_words_say_what_the_standard_says(sw: int, word: str) -> None:
    assert word.casefold() in meaning(sw).casefold()


@pytest.mark.parametrize("count", range(16))
def test_63cx_counts(count: int) -> None:
    assert tries_left(0x63C0 | count) == count


DES = gp.des_key(bytes(16), b"\x01\x02\x03")
PUT_KEYS = [
    # Table 11-68, one key with and without its check value; P2 bit 8 for several keys.
    (
        gp.put_key(0, 1, 0x30, [DES]),
        "80D8000117 30 8010" + "00" * 16 + "03010203 00",
    ),
    (
        gp.put_key(0x30, 1, 0x30, [DES] * 3),
        "80D8308143 30" + ("8010" + "00" * 16 + "03010203") * 3 + "00",
    ),
    (
        gp.put_key(0, 1, 0x30, [gp.aes_key(bytes(16), 16, b"\x01\x02\x03", gp.AesForm.INNER_LENGTH)]),
        "80D8000118 30 881110" + "00" * 16 + "03010203 00",
    ),
    (
        gp.put_key(0, 1, 0x30, [gp.aes_key(bytes(16), 16, b"\x01\x02\x03", gp.AesForm.BARE)]),
        "80D8000117 30 8810" + "00" * 16 + "03010203 00",
    ),
    (
        gp.put_key(0, 1, 0x30, [gp.aes_key(bytes(32), 24, b"\x01\x02\x03", gp.AesForm.INNER_LENGTH)]),
        "80D8000128 30 882118" + "00" * 32 + "03010203 00",
    ),
    (
        gp.put_key(0, 1, 0x30, [gp.aes_key(bytes(32), 32, b"\x01\x02\x03", gp.AesForm.INNER_LENGTH)]),
        "80D8000128 30 882120" + "00" * 32 + "03010203 00",
    ),
    (
        gp.put_key(0, 1, 0x73, [gp.rsa_public_key(bytes([0x80]) * 128, b"\x01\x00\x01")]),
        "80D800018A 73 A18180" + "80" * 128 + "A003010001 00 00",
    ),
    (
        gp.put_key(0, 1, 0x73, [gp.ecc_public_key(b"\x04" + bytes(64), 0)]),
        "80D8000148 73 B04104" + "00" * 64 + "F00100 00 00",
    ),
    (gp.put_key(0, 2, 0x71, [gp.ecc_private_key(bytes(32), 1)]), "80D8000227 71 B120" + "00" * 32 + "F00101 00 00"),
]


@pytest.mark.parametrize(("command", "expected"), PUT_KEYS, ids=range(len(PUT_KEYS)))
def test_put_key_in_every_form(command: CommandAPDU, expected: str) -> None:
    assert wire(command) == expected.replace(" ", "")


@pytest.mark.parametrize(
    ("size", "block", "count"), [(1, 255, 1), (255, 255, 1), (256, 255, 2), (1000, 239, 5), (65280, 255, 256)]
)
def test_load_numbers_its_blocks(size: int, block: int, count: int) -> None:
    commands = gp.load(bytes(size), block)
    assert len(commands) == count
    assert [command.p2 for command in commands] == list(range(count))
    assert [command.p1 for command in commands] == [0x00] * (count - 1) + [0x80]
    assert sum(len(command.data) for command in commands) == size
    assert {command.le for command in commands} == {256}


def test_the_load_file_is_its_signatures_and_its_block() -> None:
    """Table 11-58: E2 for each domain, in order, then C4 with a length in BER."""
    blocks = [gp.DapBlock(AID, b"\x01" * 8), gp.DapBlock(DOMAIN, b"\x02" * 130)]
    expected = "E2 12 4F06A00000000101 C308" + "01" * 8
    expected += "E2 81 8F 4F08A000000151000000 C38182" + "02" * 130
    expected += "C4 82012C" + "AB" * 300
    assert gp.load_file(b"\xab" * 300, blocks).hex().upper() == expected.replace(" ", "")
