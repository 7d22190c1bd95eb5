"""Commands as the tables of the specification have them, and answers of cards in the field read back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card_io import globalplatform as gp
from card_io.apdu import CommandAPDU
from card_io.errors import InvalidApdu, InvalidTlv, UnexpectedAnswer
from card_io.globalplatform.registry import decode_privileges, encode_privileges
from card_io.secret import Secret
from tests.support.caps import APPLET, LANG, PACKAGE, cap, component, components

SD = gp.ISD_AID
PKG = bytes.fromhex("F00000000101")
MOD = bytes.fromhex("F0000000010101")
APP = bytes.fromhex("F0000000010102")


@pytest.mark.parametrize(
    ("command", "raw"),
    [
        (gp.select(), "00A4040000"),
        (gp.select(SD), "00A4040008A00000015100000000"),
        (gp.select_next(SD[:5]), "00A4040205A00000015100"),
        (gp.get_data(gp.TAG_CPLC), "80CA9F7F00"),
        (gp.get_data(gp.TAG_CARD_DATA), "80CA006600"),
        (gp.list_applications(), "80CA2F00025C0000"),
        (gp.initialize_update(0x30, bytes(8)), "8050300008000000000000000000"),
        (gp.get_status(gp.Subset.ISSUER_SECURITY_DOMAIN), "80F28002024F0000"),
        (gp.get_status(gp.Subset.APPLETS, SD[:5], occurrence=gp.Occurrence.NEXT), "80F24003074F05A00000015100"),
        (gp.get_status(gp.Subset.LOAD_FILES, tags=(0x4F, 0x9F70)), "80F22002074F005C034F9F7000"),
        (gp.set_card_status(gp.CardLifeCycle.SECURED, SD), "80F0800F08A000000151000000"),
        (gp.lock(APP), "80F0408007F0000000010102"),
        (gp.unlock(APP), "80F0400007F0000000010102"),
        (gp.set_status(gp.StatusOf.SECURITY_DOMAIN_AND_APPLETS, 0x80, SD), "80F0608008A000000151000000"),
        (gp.install_for_load(PKG), "80E602000B06F0000000010100000000" + "00"),
        (
            gp.install_for_load(PKG, SD, block_hash=b"\xaa" * 32, parameters=b"\xef\x00", token=b"\x01"),
            "80E6020036" + "06F00000000101" + "08A000000151000000" + "20" + "AA" * 32 + "02EF00" + "0101" + "00",
        ),
        (gp.install_for_load(PKG, combined=gp.Combined.BEGIN), "80E60E010B06F0000000010100000000" + "00"),
        (
            gp.install_for_install_and_make_selectable(PKG, MOD, APP, privileges=gp.Privilege.CARD_RESET),
            "80E60C001D" + "06F00000000101" + "07F0000000010101" + "07F0000000010102" + "0104" + "02C900" + "00" + "00",
        ),
        (
            gp.install_for_install(PKG, MOD, APP, parameters=gp.install_parameters(b"\x01", b"\xc8\x02\x01\x00")),
            "80E6040024"
            + "06F00000000101"
            + "07F0000000010101"
            + "07F0000000010102"
            + "0100"
            + "09C90101EF04C8020100"
            + "00"
            + "00",
        ),
        (gp.install_for_make_selectable(APP), "80E608000E000007F0000000010102010000" + "00" + "00"),
        (gp.install_for_personalization(APP), "80E620000D000007F0000000010102000000" + "00"),
        (gp.install_for_extradition(APP, SD), "80E610001508A0000001510000000007F0000000010102000000" + "00"),
        (
            gp.install_for_registry_update(APP, privileges=gp.Privilege.CARD_RESET),
            "80E640000E" + "0000" + "07F0000000010102" + "0104" + "0000" + "00",
        ),
        (gp.install_for_registry_update(parameters=b"\xd9\x01\x01"), "80E640000900000000" + "03D90101" + "00" + "00"),
        (gp.delete(APP), "80E40000094F07F000000001010200"),
        (gp.delete(APP, token=b"\x01"), "80E400000C4F07F00000000101029E010100"),
        (gp.delete_with_related(PKG), "80E40080084F06F0000000010100"),
        (gp.delete_key(kvn=0x30), "80E4000003D2013000"),
        (gp.delete_key(kvn=0x30, key_id=1), "80E4000006D00101D2013000"),
    ],
)
def test_commands_are_written_as_the_tables_say(command: CommandAPDU, raw: str) -> None:
    assert command.encode() == bytes.fromhex(raw)


def test_store_data_numbers_its_blocks_and_marks_the_last() -> None:
    commands = gp.store_data([b"\x01", b"\x02", b"\x03"], answering=gp.Answering.DATA)
    assert [command.encode().hex() for command in commands] == [
        "80e20900010100",
        "80e20901010200",
        "80e28902010300",
    ]
    plain = gp.store_data([b"\x01"], structure=gp.Structure.BER_TLV, encryption=gp.Encryption.ENCRYPTED)
    assert plain[0].encode().hex() == "80e2f0000101"
    other = gp.store_data([b"\x01"], structure=gp.Structure.NONE, encryption=gp.Encryption.APPLET_DEPENDENT)
    assert other[0].p1 == 0xA0


@pytest.mark.parametrize("blocks", [[], [b""], [bytes(256)], [b"\x01"] * 257])
def test_store_data_refuses_what_cannot_be_numbered(blocks: list[bytes]) -> None:
    with pytest.raises(InvalidApdu):
        gp.store_data(blocks)


@given(st.binary(min_size=1, max_size=3000), st.integers(1, 255))
def test_split_loses_nothing(data: bytes, block: int) -> None:
    parts = gp.split(data, block)
    assert b"".join(parts) == data
    assert all(len(part) == block for part in parts[:-1])


@given(st.binary(min_size=256, max_size=2000))
def test_long_commands_are_cut_with_bit_8_of_p1(data: bytes) -> None:
    raw = CommandAPDU(0x84, 0xD8, 0x01, 0x81, data, 65536).encode()
    parts = [CommandAPDU.decode(part) for part in gp.segment(raw)]
    assert b"".join(part.data for part in parts) == data
    assert [part.p1 for part in parts] == [0x81] * (len(parts) - 1) + [0x01]
    assert [part.le for part in parts] == [None] * (len(parts) - 1) + [256]
    assert not any(part.extended for part in parts)


def test_short_commands_are_not_cut() -> None:
    raw = gp.delete(APP).encode()
    assert list(gp.segment(raw)) == [raw]


def test_put_key_with_both_forms_of_aes_keys() -> None:
    key = Secret(bytes(range(0x40, 0x50)))
    enciphered = gp.encipher_aes_key(key, key)
    assert enciphered.hex().upper() == "80D2A5B08FA0EE51143B459E638106DF"
    kcv = bytes.fromhex("504A77")
    inner = gp.aes_key(enciphered, 16, kcv, gp.AesForm.INNER_LENGTH)
    bare = gp.aes_key(enciphered, 16, kcv, gp.AesForm.BARE)
    assert inner.encode().hex().upper() == "881110" + enciphered.hex().upper() + "03504A77"
    assert bare.encode().hex().upper() == "8810" + enciphered.hex().upper() + "03504A77"
    command = gp.put_key(0x30, 1, 0x31, [inner, inner, inner])
    assert command.header.hex() == "80d83081"
    assert command.data == b"\x31" + inner.encode() * 3
    assert gp.put_key_data(0x30, 1, command.data, count=3) == command
    assert gp.put_key(0, 5, 0x31, [bare]).header.hex() == "80d80005"


def test_put_key_with_the_other_key_types() -> None:
    assert gp.des_key(bytes(16), b"\x01\x02\x03").encode().hex() == "8010" + "00" * 16 + "03010203"
    assert gp.rsa_public_key(bytes(128), b"\x01\x00\x01").encode().hex() == "a18180" + "00" * 128 + "a003010001" + "00"
    assert gp.rsa_public_key(bytes(256), b"\x03").encode()[:4].hex() == "a1820100"
    assert gp.rsa_private_key(b"\x01", b"\x02").encode().hex() == "a10101a30102" + "00"
    crt = gp.rsa_crt_key([b"\x01", b"\x02", b"\x03", b"\x04", b"\x05"])
    assert crt.encode().hex() == "a40101a50102a60103a70104a80105" + "00"
    point = b"\x04" + bytes(64)
    assert gp.ecc_public_key(point, 0x00).encode().hex() == "b041" + point.hex() + "f0010000"
    assert gp.ecc_private_key(bytes(32), 0x0103).encode().hex() == "b120" + "00" * 32 + "f002010300"
    assert gp.component_block(bytes(32), 31).hex() == "1f" + "00" * 32


@pytest.mark.parametrize(
    "build",
    [
        lambda: gp.aes_key(bytes(16), 15, b"", gp.AesForm.BARE),
        lambda: gp.aes_key(bytes(16), 24, b"", gp.AesForm.INNER_LENGTH),
        lambda: gp.aes_key(bytes(32), 24, b"", gp.AesForm.BARE),
        lambda: gp.des_key(bytes(8), b""),
        lambda: gp.rsa_crt_key([b"\x01"]),
        lambda: gp.ecc_public_key(bytes(65), 0),
        lambda: gp.put_key(0, 1, 0x31, []),
        lambda: gp.put_key(0, 1, 0x00, [gp.des_key(bytes(16), b"")]),
        lambda: gp.put_key(0, 1, 0x80, [gp.des_key(bytes(16), b"")]),
        lambda: gp.put_key(0xFF, 1, 0x31, [gp.des_key(bytes(16), b"")]),
        gp.delete_key,
        lambda: gp.store_data([b"\x01"] * 300),
        lambda: gp.load(b""),
        lambda: gp.load(bytes(300), 1),
        lambda: gp.split(b"\x01", 0),
    ],
)
def test_commands_that_cannot_be_are_refused(build: object) -> None:
    assert callable(build)
    with pytest.raises(InvalidApdu):
        build()


@pytest.mark.parametrize("aid", [b"\xa0" * 4, b"\xa0" * 17])
def test_aids_of_impossible_length_are_refused(aid: bytes) -> None:
    for build in (gp.select, gp.delete, gp.install_for_personalization, gp.install_for_load, gp.lock):
        with pytest.raises(gp.InvalidAid, match="5 to 16"):
            build(aid)


def test_the_answer_of_put_key_is_compared() -> None:
    kcvs = [b"\x01\x02\x03", b"\x04\x05\x06", b"\x07\x08\x09"]
    gp.check_put_key_answer(b"\x31" + b"".join(kcvs), 0x31, kcvs)
    with pytest.raises(gp.WrongCheckValues, match="aside"):
        gp.check_put_key_answer(b"\x31" + b"".join(reversed(kcvs)), 0x31, kcvs)
    with pytest.raises(gp.WrongCheckValues):
        gp.check_put_key_answer(b"\x30" + b"".join(kcvs), 0x31, kcvs)
    with pytest.raises(UnexpectedAnswer, match="open a channel"):
        gp.check_put_key_answer(b"", 0x31, kcvs)


def test_privileges_are_written_in_one_or_three_bytes() -> None:
    assert encode_privileges(gp.NO_PRIVILEGE) == b"\x00"
    assert encode_privileges(gp.Privilege.CARD_RESET) == b"\x04"
    assert encode_privileges(gp.Privilege.SECURITY_DOMAIN) == b"\x80\x00\x00"
    assert encode_privileges(gp.Privilege.GLOBAL_DELETE) == b"\x00\x10\x00"
    assert decode_privileges(b"\xc1") & gp.Privilege.MANDATED_DAP_VERIFICATION == gp.Privilege.MANDATED_DAP_VERIFICATION
    with pytest.raises(UnexpectedAnswer):
        decode_privileges(b"")


@given(st.integers(0, 0xFFFFFF))
def test_privileges_are_read_back(raw: int) -> None:
    privileges = gp.Privilege(raw & 0xFFFFF0)
    assert decode_privileges(encode_privileges(privileges)) == privileges


def test_a_select_answer_is_read() -> None:
    fci = gp.parse_fci(bytes.fromhex("6F108408A000000151000000A5049F6501FF"))
    assert (fci.aid, fci.max_data, fci.management_data, fci.life_cycle_data) == (SD, 255, None, None)
    assert gp.parse_fci(bytes.fromhex("6F0A8408A000000003000000")).aid.hex() == "a000000003000000"
    with pytest.raises(InvalidTlv):
        gp.parse_fci(bytes.fromhex("6F04A5020000"))


RECOGNITION = (
    "664C734A06072A864886FC6B01600C060A2A864886FC6B02020201630906072A864886FC6B03640B06092A864886FC6B040370"
    "650B06092B8510864864020103660C060A2B060104012A026E0102"
)


def test_card_recognition_data_are_read() -> None:
    data = gp.parse_card_data(bytes.fromhex(RECOGNITION))
    assert data.version == "2.2.1"
    assert data.protocols == ((3, 0x70),)
    assert {tag for tag, _ in data.details} == {0x63, 0x65, 0x66}
    assert gp.parse_card_data(bytes.fromhex(RECOGNITION)[2:]) == data


def test_two_protocols_in_both_formats_are_read() -> None:
    oid2, oid3 = "06092A864886FC6B040255", "06092A864886FC6B040370"
    first = bytes.fromhex("731A" + "640B" + oid2 + "640B" + oid3)
    second = bytes.fromhex("7318" + "6416" + oid2 + oid3)
    assert gp.parse_card_data(first).protocols == ((2, 0x55), (3, 0x70))
    assert gp.parse_card_data(second).protocols == ((2, 0x55), (3, 0x70))


def test_key_information_is_read_in_both_structures() -> None:
    basic = gp.parse_key_information(bytes.fromhex("E012C00401308810C00402308810C00403308810"))
    assert basic == [gp.KeyInformation(n, 0x30, ((0x88, 16),)) for n in (1, 2, 3)]
    rsa = gp.parse_key_information(bytes.fromhex("E008C0060173A180A003"))
    assert rsa == [gp.KeyInformation(1, 0x73, ((0xA1, 128), (0xA0, 3)))]
    extended = gp.parse_key_information(bytes.fromhex("E00CC00A0130FF8800100101" + "0100"))
    assert extended == [gp.KeyInformation(1, 0x30, ((0x88, 16),))]


@pytest.mark.parametrize("raw", ["E005C003013088", "E007C0050130881088", "6600"])
def test_key_information_that_is_cut_is_refused(raw: str) -> None:
    with pytest.raises(UnexpectedAnswer):
        gp.parse_key_information(bytes.fromhex(raw))


def test_the_cplc_is_read_with_and_without_its_tag() -> None:
    value = bytes(range(42))
    cplc = gp.parse_cplc(b"\x9f\x7f\x2a" + value)
    assert cplc == gp.parse_cplc(value)
    assert cplc.encode() == b"\x9f\x7f\x2a" + value
    assert cplc.ic_serial_number == bytes([12, 13, 14, 15])
    assert cplc.chip_id == bytes([0, 1, 2, 3, 16, 17, 12, 13, 14, 15])
    with pytest.raises(UnexpectedAnswer, match="42"):
        gp.parse_cplc(bytes.fromhex("9F7F020102"))


def test_registry_entries_are_read() -> None:
    applets = gp.parse_registry(
        bytes.fromhex("E3274F07F00000000101029F700107C503040000CF0180C406F00000000101CC08A000000151000000")
    )
    assert applets == [
        gp.RegistryEntry(
            APP, 0x07, gp.Privilege.CARD_RESET, load_file=PKG, security_domain=SD, implicit_selection=(0x80,)
        )
    ]
    files = gp.parse_registry(bytes.fromhex("E31E4F06F000000001019F700101CE0201008407F00000000101018403F00000"))
    assert files[0].version == b"\x01\x00"
    assert files[0].modules == (MOD, b"\xf0\x00\x00")
    assert gp.parse_registry(b"") == []
    for raw in ("E304C5020000", "6F00", "E3024F00"):
        with pytest.raises(UnexpectedAnswer):
            gp.parse_registry(bytes.fromhex(raw))


@given(st.binary(max_size=120))
def test_parsers_read_or_refuse_and_nothing_else(data: bytes) -> None:
    for parse in (gp.parse_fci, gp.parse_card_data, gp.parse_key_information, gp.parse_cplc, gp.parse_registry):
        try:
            read = parse(data)
        except (InvalidTlv, UnexpectedAnswer) as refused:
            assert refused.code and str(refused)
        else:
            assert read == parse(data), "the same bytes mean the same"


def test_a_cap_file_is_read() -> None:
    parts = components()
    found = gp.parse_cap(cap(parts))
    assert found.package == PACKAGE
    assert found.version == (1, 3)
    assert found.applets == (APPLET,)
    assert found.imports == ((LANG, (1, 0)),)
    order = ["Header", "Directory", "Import", "Applet", "Class", "Method", "StaticField", "ConstantPool", "RefLocation"]
    assert found.data_block == b"".join(parts[name] for name in order)
    assert len(found.block_hash()) == 32
    assert len(found.block_hash("sha1")) == 20
    with pytest.raises(InvalidApdu, match="sha256"):
        found.block_hash("md5")


def without(name: str) -> bytes:
    parts = components()
    del parts[name]
    return cap(parts)


def changed(name: str, content: bytes) -> bytes:
    return cap({**components(), name: content})


@pytest.mark.parametrize(
    ("archive", "reason"),
    [
        (b"", "archive"),
        (b"not a zip", "archive"),
        (cap()[:-40], "archive"),
        (without("Method"), "Method is missing"),
        (without("Header"), "Header is missing"),
        (without("Applet"), "another size for component Applet"),
        (changed("Method", components()["Method"][:-1]), "promises 30 bytes and has 29"),
        (changed("Method", components(method_size=31)["Method"]), "another size for component Method"),
        (changed("Class", b"\x06"), "does not start"),
        (changed("Class", component("Export", b"")), "does not start"),
        (changed("Header", component("Header", bytes(17))), "DECAFFED"),
        (changed("Applet", component("Applet", b"\x01\x20" + bytes(10))), "Applet is cut short"),
        (changed("Applet", component("Applet", b"\x02\x08" + bytes(10))), "Applet is cut short"),
    ],
)
def test_a_cap_file_that_is_not_whole_is_refused_with_its_reason(archive: bytes, reason: str) -> None:
    with pytest.raises(gp.InvalidCap, match=reason):
        gp.parse_cap(archive)


@given(st.data())
def test_a_damaged_cap_file_is_read_or_refused(data: st.DataObject) -> None:
    parts = components()
    name = data.draw(st.sampled_from(sorted(parts)))
    content = bytearray(parts[name])
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        read = gp.parse_cap(cap({**parts, name: bytes(content)}))
    except gp.InvalidCap as refused:
        assert str(refused)
    else:
        loaded = name not in {"Descriptor", "Debug"}  # those two never go to a card
        assert (bytes(content) in read.data_block) == loaded, "what is read is what came"
        assert len(read.package) in range(5, 17) and all(len(applet) in range(5, 17) for applet in read.applets)


def test_a_load_file_goes_in_numbered_blocks_behind_its_signatures() -> None:
    block = gp.parse_cap(cap(components(method_size=700))).data_block
    dap = gp.DapBlock(SD, b"\x5a" * 64)
    file = gp.load_file(block, [dap])
    assert file[: len(dap.encode())] == dap.encode()
    assert dap.encode()[:12].hex() == "e24c4f08a000000151000000"
    assert file[len(dap.encode()) :][:1] == b"\xc4"
    assert file.endswith(block)
    commands = gp.load(file, 239)
    assert b"".join(command.data for command in commands) == file
    assert [command.p2 for command in commands] == list(range(len(commands)))
    assert [command.p1 for command in commands] == [0x00] * (len(commands) - 1) + [0x80]
    assert all(command.ins == 0xE8 and command.le == 256 for command in commands)
