"""Content management: code loaded as CAP structure, instances, privileges, life cycles, the registry as it is told."""

import hashlib

import pytest

from card_io import globalplatform as gp
from card_io import tlv
from card_io.applets.uec import layout
from tests.unit.virtual.cards import HostSession, authenticate, blank, install_uec, open_session, personalise, send

PACKAGE = bytes.fromhex("A00000099901")
MODULES = (bytes.fromhex("A0000009990101"), bytes.fromhex("A0000009990102"))
ISD = bytes.fromhex("A000000151000000")


def component(tag: int, content: bytes) -> bytes:
    return bytes([tag]) + len(content).to_bytes(2, "big") + content


def cap(package: bytes = PACKAGE, modules: tuple[bytes, ...] = MODULES, *, magic: str = "DECAFFED") -> bytes:
    """The components of a small CAP file, with a true directory."""
    header = bytes.fromhex(magic) + b"\x01\x02\x04" + b"\x03\x01" + bytes([len(package)]) + package
    applet = bytes([len(modules)]) + b"".join(bytes([len(item)]) + item + b"\x00\x08" for item in modules)
    contents = {1: header, 3: applet, 4: b"\x00", 5: b"\x00\x00", 6: b"", 7: b"\x00", 8: bytes(10), 9: b"\x00\x00"}
    sizes = b"".join((31 if tag == 2 else len(contents.get(tag, b""))).to_bytes(2, "big") for tag in range(1, 12))
    contents[2] = sizes + bytes(31 - len(sizes))
    order = (1, 2, 4, 3, 6, 7, 8, 5, 9)
    return b"".join(component(tag, contents[tag]) for tag in order)


@pytest.fixture
def host() -> HostSession:
    return open_session(blank())


def fields(*values: bytes) -> bytes:
    return b"".join(bytes([len(item)]) + item for item in values)


def load(host: HostSession, image: bytes, *, package: bytes = PACKAGE, digest: bytes = b"", step: int = 60) -> int:
    """INSTALL [for load] and all LOAD commands; the last status word."""
    sw = host.send("80E60200", fields(package, ISD, digest, b"", b""), 256).sw
    blocks = [image[at : at + step] for at in range(0, len(image), step)]
    for number, block in enumerate(blocks):
        if sw != 0x9000:
            break
        p1 = 0x80 if number == len(blocks) - 1 else 0x00
        sw = host.send(f"80E8{p1:02X}{number & 0xFF:02X}", block, 256).sw
    return sw


def install(host: HostSession, module: bytes, aid: bytes, *, p1: int = 0x0C, privileges: bytes = b"\x00") -> int:
    return host.send(f"80E6{p1:02X}00", fields(PACKAGE, module, aid, privileges, b"\xc9\x00", b""), 256).sw


def test_a_load_file_its_modules_and_an_instance(host: HostSession) -> None:
    block = cap()
    assert load(host, tlv.encode(0xC4, block), digest=hashlib.sha256(block).digest()) == 0x9000
    entry = host.send("80F21002", b"\x4f" + bytes([len(PACKAGE)]) + PACKAGE, 256).data
    lines = tlv.parse(tlv.single(entry, 0xE3))
    assert [item.value for item in lines if item.tag == 0x84] == list(MODULES)
    assert tlv.require(entry, 0xE3, 0xCE) == b"\x01\x03"
    aid = bytes.fromhex("A000000999FF")
    assert install(host, MODULES[0], aid) == 0x9000
    assert send(host.card, "00A40400", aid, 256).ok
    assert send(host.card, "00010000").sw == 0x6D00


@pytest.mark.parametrize("size", [20, 32, 48, 64])
def test_the_hash_of_a_load_file_is_checked(host: HostSession, size: int) -> None:
    block = cap()
    algorithm = {20: "sha1", 32: "sha256", 48: "sha384", 64: "sha512"}[size]
    image = tlv.encode(0xC4, block)
    assert load(host, image, digest=bytes(size)) == 0x6A80
    assert load(host, image, digest=hashlib.new(algorithm, block).digest()) == 0x9000


@pytest.mark.parametrize(
    ("image", "sw"),
    [
        (tlv.encode(0xC4, cap(magic="DECAFFEE")), 0x6A80),
        (tlv.encode(0xC4, cap()[:-1]), 0x6A80),
        (tlv.encode(0xC4, cap()[1:]), 0x6A80),
        (tlv.encode(0xC4, cap() + component(12, b"debug" * 3)), 0x9000),
        (tlv.encode(0xC4, cap() + component(1, b"twice")), 0x6A80),
        (tlv.encode(0xC4, cap() + component(99, b"")), 0x6A80),
        (tlv.encode(0xC4, cap(modules=(b"\x01",))), 0x6A80),
        (tlv.encode(0xC4, cap(package=PACKAGE + b"\x01")), 0x6A80),
        (tlv.encode(0xC4, b""), 0x6A80),
        (cap(), 0x6A80),
        (tlv.encode(0xC4, cap())[:-1], 0x6A80),
        (tlv.encode(0xE2, b"\x4f\x00\xc3\x00") + tlv.encode(0xC4, cap()), 0x6A80),
        (tlv.encode(0xC4, cap()) + tlv.encode(0xC4, cap()), 0x6A80),
    ],
)
def test_images(host: HostSession, image: bytes, sw: int) -> None:
    assert load(host, image) == sw
    assert (host.card.platform.registry.load_file(PACKAGE) is not None) == (sw == 0x9000)


def test_loading_out_of_order(host: HostSession) -> None:
    assert host.send("80E80000", b"x", 256).sw == 0x6985
    host.send("80E60200", fields(PACKAGE, ISD, b"", b"", b""), 256)
    assert host.send("80E80001", b"x", 256).sw == 0x6A86
    assert host.send("80E80000", b"x", 256).sw == 0x6985
    assert host.send("80E60200", fields(b"\x01", ISD, b"", b"", b""), 256).sw == 0x6A80
    assert host.send("80E60200", fields(PACKAGE, b"\x01" * 6, b"", b"", b""), 256).sw == 0x6A88
    assert host.send("80E60200", fields(layout.PACKAGE_AID, ISD, b"", b"", b""), 256).sw == 0x6985
    assert host.send("80E60200", b"\x06\xa0", 256).sw == 0x6A80
    assert host.send("80E60300", b"", 256).sw == 0x6A80


def test_a_card_has_only_so_much_memory(host: HostSession) -> None:
    assert load(host, bytes(0x19000), step=200) == 0x6A84


def test_install_in_two_steps_and_registry_update(host: HostSession) -> None:
    assert load(host, tlv.encode(0xC4, cap())) == 0x9000
    aid = bytes.fromhex("A000000999FF")
    assert install(host, MODULES[0], aid, p1=0x04) == 0x9000
    assert host.card.platform.registry.instance(aid).life_cycle == 0x03  # type: ignore[union-attr]
    assert host.send("80E60800", fields(b"", b"", aid, b"\x00", b"", b""), 256).ok
    assert host.send("80E60800", fields(b"", b"", aid, b"\x00", b"", b""), 256).sw == 0x6985
    assert host.send("80E64000", fields(b"", b"", aid, b"\x04", b"", b""), 256).ok
    assert host.send("80E61000", fields(ISD, b"", aid, b"", b"", b""), 256).ok
    assert host.send("80E61000", fields(aid, b"", aid, b"", b"", b""), 256).sw == 0x6A88
    host.card.reset()
    assert send(host.card, "00010000").sw == 0x6D00  # the instance is selected after the reset, and knows nothing


@pytest.mark.parametrize(
    ("module", "aid", "privileges", "sw"),
    [
        (b"\xa0" * 7, b"\xa0" * 8, b"\x00", 0x6A88),
        (MODULES[0], b"\xa0" * 4, b"\x00", 0x6A80),
        (MODULES[0], ISD, b"\x00", 0x6985),
        (MODULES[0], b"", b"\x00", 0x9000),
        (MODULES[0], b"\xa0" * 8, b"\x00\x00\x00", 0x9000),
        (MODULES[0], b"\xa0" * 8, b"\x00\x00", 0x6A80),
    ],
)
def test_installing(host: HostSession, module: bytes, aid: bytes, privileges: bytes, sw: int) -> None:
    load(host, tlv.encode(0xC4, cap()))
    assert install(host, module, aid, privileges=privileges) == sw


def test_only_one_instance_is_selected_after_a_reset(host: HostSession) -> None:
    install_uec(host)
    load(host, tlv.encode(0xC4, cap()))
    assert install(host, MODULES[0], b"\xa0" * 8, privileges=b"\x04") == 0x6985
    assert install(host, MODULES[0], b"\xa0" * 8) == 0x9000
    assert host.send("80E64000", fields(b"", b"", b"\xa0" * 8, b"\x04", b"", b""), 256).sw == 0x6985
    assert (
        host.send(
            "80E60C00", fields(layout.PACKAGE_AID, layout.MODULE_AID, layout.APPLET_AID, b"\x04", b"", b""), 256
        ).sw
        == 0x6985
    )


def test_deleting(host: HostSession) -> None:
    load(host, tlv.encode(0xC4, cap()))
    aid = bytes.fromhex("A000000999FF")
    install(host, MODULES[0], aid)
    remove = tlv.encode(0x4F, PACKAGE)
    assert host.send("80E40000", remove, 256).sw == 0x6985
    assert host.send("80E40080", remove, 256).ok
    assert host.send("80E40080", remove, 256).sw == 0x6A88
    assert send(host.card, "00A40400", aid, 256).sw == 0x6A82
    assert host.card.platform.registry.instances() == []


def test_deleting_a_personalised_applet_takes_its_content_along() -> None:
    card = blank()
    personalise(card)
    host = open_session(card)
    assert host.send("80E40000", tlv.encode(0x4F, layout.APPLET_AID), 256).ok
    assert not card.platform.memory.names("instance/")
    install_uec(host)
    card.reset()
    assert send(card, "00CADF20", b"", 256).data[-1] == 0x07


@pytest.mark.parametrize(
    ("header", "data", "sw"),
    [
        ("80E40000", "4F", 0x6A80),
        ("80E40000", "5F0101", 0x6A80),
        ("80E40100", "4F05A000000151", 0x6A86),
        ("80E40000", "4F08A000000151000000", 0x6A82),
        ("80E61900", "", 0x6A80),
        ("80E60001", "", 0x6A86),
        ("80E61C00", "000005A000000999000000", 0x6A86),
    ],
)
def test_refusals(host: HostSession, header: str, data: str, sw: int) -> None:
    assert host.send(header, bytes.fromhex(data), 256).sw == sw


def test_the_selected_instance_is_not_deleted(host: HostSession) -> None:
    install_uec(host)
    opened = send(host.card, "00700000", b"", 1)
    assert opened.data == b"\x01"
    assert send(host.card, "01A4040C", layout.APPLET_AID).ok
    again = open_session(host.card)
    assert again.send("80E40000", tlv.encode(0x4F, layout.APPLET_AID), 256).sw == 0x6985


def entries(host: HostSession, p1: int, form: int = 0x02) -> list[bytes]:
    """All lines of GET STATUS, continued as long as the card has more."""
    answer = host.send(f"80F2{p1:02X}{form:02X}", b"\x4f\x00", 256)
    lines = [answer.data]
    while answer.sw == 0x6310:
        answer = host.send(f"80F2{p1:02X}{form | 1:02X}", b"\x4f\x00", 256)
        lines.append(answer.data)
    assert answer.sw in {0x9000, 0x6A88}
    return lines


def test_get_status_goes_on_as_long_as_there_is_more(host: HostSession) -> None:
    load(host, tlv.encode(0xC4, cap()))
    aids = [bytes.fromhex("A000000999F0") + bytes([number]) for number in range(20)]
    for aid in aids:
        assert install(host, MODULES[0], aid) == 0x9000
    answers = entries(host, 0x40)
    assert len(answers) > 2
    assert [entry.aid for entry in gp.parse_registry(b"".join(answers))] == aids
    legacy = b"".join(entries(host, 0x40, 0x00))
    assert legacy[:10] == bytes([7]) + aids[0] + b"\x07\x00"
    assert len(entries(host, 0x20)) == 1
    assert host.send("80F24001", b"\x4f\x00", 256).sw == 0x6985


def test_get_status_of_the_domain_and_with_a_tag_list(host: HostSession) -> None:
    entry = host.send("80F28002", bytes.fromhex("4F005C034F9F70"), 256).data
    assert [item.tag for item in tlv.parse(tlv.single(entry, 0xE3))] == [0x4F, 0x9F70]
    assert host.send("80F28000", b"\x4f\x00", 256).data == bytes([8]) + ISD + b"\x01\x9e"
    assert host.send("80F21000", b"\x4f\x00", 256).data[-9:] == bytes([8]) + layout.MODULE_AID
    for data, sw in ((b"", 0x6A80), (b"\x4f", 0x6A80), (b"\x4f\x05\xa0\x00\x00\x00\x99", 0x6A88)):
        assert host.send("80F24002", data, 256).sw == sw
    assert host.send("80F23002", b"\x4f\x00", 256).sw == 0x6A86


CARD_STATES = (0x01, 0x07, 0x0F, 0x7F, 0xFF)
ALLOWED = {
    (0x01, 0x07),
    (0x07, 0x0F),
    (0x0F, 0x7F),
    (0x7F, 0x0F),
    (0x01, 0xFF),
    (0x07, 0xFF),
    (0x0F, 0xFF),
    (0x7F, 0xFF),
}


@pytest.mark.parametrize("begin", CARD_STATES[:-1])
@pytest.mark.parametrize("end", CARD_STATES)
def test_every_move_of_the_cards_life_cycle(begin: int, end: int) -> None:
    card = blank()
    card.platform.life_cycle = begin
    card.platform.memory.commit()
    host = authenticate(card, 0x03)
    assert host.send(f"80F080{end:02X}").sw == (0x9000 if (begin, end) in ALLOWED else 0x6985)
    assert card.platform.life_cycle == (end if (begin, end) in ALLOWED else begin)


def test_a_locked_card_shows_only_its_domain() -> None:
    card = blank()
    personalise(card)
    host = open_session(card)
    for state in ("07", "0F", "7F"):
        assert host.send(f"80F080{state}").ok
    card.reset()
    assert send(card, "00A40400", layout.APPLET_AID, 256).sw == 0x6A82
    assert send(card, "00A40400", ISD, 256).sw == 0x6283
    assert send(card, "80CA9F7F", b"", 256).ok


def test_a_terminated_card_opens_no_session() -> None:
    card = blank()
    assert open_session(card).send("80F080FF").ok
    card.reset()
    assert send(card, "80500000", bytes(8), 256).sw == 0x6985
    assert send(card, "80CA9F7F", b"", 256).ok


def test_locking_and_unlocking_an_applet() -> None:
    card = blank()
    personalise(card)
    host = open_session(card)
    assert host.send("80F04080", layout.APPLET_AID).ok
    assert card.platform.registry.instance(layout.APPLET_AID).life_cycle == 0x8F  # type: ignore[union-attr]
    assert send(card, "00A40400", layout.APPLET_AID, 256).sw == 0x6A82
    card.reset()
    assert send(card, "80CA9F7F", b"", 256).ok  # the domain is selected where the applet was
    host = open_session(card)
    assert host.send("80F0400F", layout.APPLET_AID).ok
    assert host.send("80F0400F", layout.APPLET_AID).sw == 0x6985
    assert host.send("80F04080", b"\xa0" * 7).sw == 0x6A88
    assert host.send("80F02080", layout.APPLET_AID).sw == 0x6A86
    card.reset()
    assert send(card, "00CADF20", b"", 256).data[-1] == 0x0F


AID = bytes.fromhex("A000000999FF")


def begin(host: HostSession, image: bytes, *, digest: bytes = b"", step: int = 60) -> int:
    """The combined process up to its last LOAD; the last status word."""
    sw = host.send("80E60E01", fields(PACKAGE, ISD, digest, b"", b""), 256).sw
    blocks = [image[at : at + step] for at in range(0, len(image), step)]
    for number, block in enumerate(blocks):
        if sw != 0x9000:
            break
        sw = host.send(f"80E8{0x80 * (number == len(blocks) - 1):02X}{number:02X}", block, 256).sw
    return sw


def end(
    host: HostSession, *, load_file: bytes = PACKAGE, module: bytes = MODULES[0], privileges: bytes = b"\x00"
) -> int:
    return host.send("80E60E03", fields(load_file, module, AID, privileges, b"\xc9\x00", b""), 256).sw


@pytest.mark.parametrize("load_file", [b"", PACKAGE], ids=["left out", "named again"])
def test_loaded_installed_and_selectable_in_one_process(host: HostSession, load_file: bytes) -> None:
    block = cap()
    assert begin(host, tlv.encode(0xC4, block), digest=hashlib.sha256(block).digest()) == 0x9000
    assert host.card.platform.registry.load_file(PACKAGE) is None, "nothing is there before the end"
    assert end(host, load_file=load_file) == 0x9000
    instance = host.card.platform.registry.instance(AID)
    assert instance is not None
    assert (instance.life_cycle, instance.load_file, instance.domain) == (0x07, PACKAGE, ISD)
    found = host.card.platform.registry.load_file(PACKAGE)
    assert found is not None and found.applets == MODULES
    assert send(host.card, "00A40400", AID, 256).sw == 0x9000


@pytest.mark.parametrize(
    ("changes", "sw"),
    [
        ({"load_file": layout.PACKAGE_AID}, 0x6A80),
        ({"module": b"\xa0" * 7}, 0x6A88),
        ({"module": b""}, 0x6A88),
        ({"privileges": b"\x00\x00"}, 0x6A80),
    ],
)
def test_an_end_that_fails_leaves_nothing_of_the_load(host: HostSession, changes: dict[str, bytes], sw: int) -> None:
    assert begin(host, tlv.encode(0xC4, cap())) == 0x9000
    assert end(host, **changes) == sw
    assert host.card.platform.registry.load_file(PACKAGE) is None
    assert end(host) == 0x6985, "it begins anew"
    assert begin(host, tlv.encode(0xC4, cap())) == 0x9000
    assert end(host) == 0x9000


def test_the_combined_process_keeps_its_order(host: HostSession) -> None:
    assert end(host) == 0x6985
    assert host.send("80E60E01", fields(PACKAGE, ISD, b"", b"", b""), 256).ok
    assert end(host) == 0x6985, "the file has not come"
    assert host.send("80E88000", tlv.encode(0xC4, cap()), 256).sw == 0x6985, "and the process is over"
    assert begin(host, tlv.encode(0xC4, cap())) == 0x9000
    assert install(host, MODULES[0], AID) == 0x6A88, "an ordinary INSTALL finds no file"
    assert end(host) == 0x6985, "and ends the process"
    assert load(host, tlv.encode(0xC4, cap())) == 0x9000
    assert begin(host, tlv.encode(0xC4, cap())) == 0x6985, "the file is there already"


@pytest.mark.parametrize("head", ["80E60E00", "80E60E02", "80E60E04", "80E60C03", "80E60201", "80E62001", "80E60601"])
def test_only_the_combined_process_has_its_p2(host: HostSession, head: str) -> None:
    assert host.send(head, fields(PACKAGE, ISD, b"", b"", b""), 256).sw == 0x6A86


def test_the_hosts_own_builders_drive_the_combined_process(host: HostSession) -> None:
    command = gp.install_for_load(PACKAGE, ISD, combined=gp.Combined.BEGIN)
    assert host.send(bytes([command.cla, command.ins, command.p1, command.p2]).hex(), command.data, 256).ok
    assert host.send("80E88000", tlv.encode(0xC4, cap()), 256).ok
    command = gp.install_for_install_and_make_selectable(b"", MODULES[1], AID, combined=gp.Combined.END)
    assert host.send(bytes([command.cla, command.ins, command.p1, command.p2]).hex(), command.data, 256).ok
    assert host.card.platform.registry.instance(AID) is not None


@pytest.mark.parametrize(
    ("head", "row"),
    [
        ("80E60200", (PACKAGE, ISD, b"", b"", b"token")),
        ("80E60E01", (PACKAGE, ISD, b"", b"", b"token")),
        ("80E60C00", (layout.PACKAGE_AID, layout.MODULE_AID, AID, b"\x00", b"\xc9\x00", b"token")),
        ("80E60800", (b"", b"", AID, b"\x00", b"", b"token")),
        ("80E61000", (ISD, b"", AID, b"", b"", b"token")),
        ("80E64000", (b"", b"", AID, b"\x00", b"", b"token")),
    ],
)
def test_a_token_where_none_is_asked_for_is_refused(host: HostSession, head: str, row: tuple[bytes, ...]) -> None:
    install(host, MODULES[0], AID)
    assert host.send(head, fields(*row), 256).sw == 0x6985
