"""Supplementary security domains and DAP: the host's blocks against the virtual card, which checks them by the text."""

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from card_io import globalplatform as gp
from card_io.channel import SecureChannel, SecurityDomain
from card_io.ciphers import aes_cbc_encrypt, kcv_aes, kcv_des3
from card_io.errors import InvalidApdu
from card_io.globalplatform import Privilege
from card_io.secret import Secret
from card_io.status import StatusWordError
from card_io.virtual.card import VirtualCard
from card_io.virtual.connection import InProcessConnection
from card_io.virtual.supplementary import MODULE_AID, PACKAGE_AID
from tests.support.caps import PACKAGE, cap, components
from tests.support.key_port import TestVault
from tests.unit.card_io_host.test_channel import CHALLENGE, INITIAL, KEY, blank, key_set, open_channel

PROVIDER = bytes.fromhex("A00000099901")
OTHER = bytes.fromhex("A00000099902")
DAP = Privilege.DAP_VERIFICATION
MANDATED = Privilege.MANDATED_DAP_VERIFICATION
OWN_VERSION = 0x31
CODE = gp.parse_cap(cap(components(method_size=600)))


def enciphered(key: Secret, *, by: int = 2) -> bytes:
    """A key under the DEK of the issuer's set."""
    return gp.encipher_aes_key(key_set().in_order()[by], key)


def make_domain(channel: SecureChannel, privileges: Privilege, aid: bytes = PROVIDER) -> None:
    channel.send(gp.install_for_install_and_make_selectable(PACKAGE_AID, MODULE_AID, aid, privileges=privileges))


def own_channel(card: VirtualCard, aid: bytes = PROVIDER, *, kvn: int = INITIAL) -> SecureChannel:
    """A channel with the supplementary domain itself."""
    domain = SecurityDomain(InProcessConnection(card), aid)
    domain.select()
    vault = TestVault({INITIAL: key_set(), OWN_VERSION: key_set(16, 0x20)})
    channel = domain.open_channel(vault, level=0x33, host_challenge=CHALLENGE, kvn=0)
    assert channel.kvn == kvn
    return channel


def give_keys(channel: SecureChannel) -> None:
    """A key set of the domain's own, under the issuer's DEK with which the channel was opened."""
    new = key_set(16, 0x20).in_order()
    fields = [gp.aes_key(enciphered(key), 16, kcv_aes(key.reveal()), gp.AesForm.INNER_LENGTH) for key in new]
    channel.put_keys(0, OWN_VERSION, fields)


def give_dap_key(channel: SecureChannel, key: gp.KeyData) -> None:
    answer = channel.send(gp.put_key(0, 1, gp.DAP_KEY_VERSION, [key])).data
    gp.check_put_key_answer(answer, gp.DAP_KEY_VERSION, [key.check_value] if key.check_value else [])


Signer = Callable[[bytes], bytes]
AES_DAP, DES_DAP = Secret(bytes(range(0x70, 0x80))), Secret(bytes(range(0x10, 0x20)))
RSA_1024 = rsa.generate_private_key(65537, 1024)
RSA_2048 = rsa.generate_private_key(65537, 2048)
P_256, P_384, P_521 = (ec.generate_private_key(curve) for curve in (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()))


def rsa_field(key: rsa.RSAPrivateKey) -> gp.KeyData:
    numbers = key.public_key().public_numbers()
    return gp.rsa_public_key(numbers.n.to_bytes(key.key_size // 8, "big"), numbers.e.to_bytes(3, "big"))


def ecc_field(key: ec.EllipticCurvePrivateKey, reference: int) -> gp.KeyData:
    return gp.ecc_public_key(key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint), reference)


def aes_field() -> gp.KeyData:
    wrapped = aes_cbc_encrypt(key_set().dek.reveal(), bytes(16), AES_DAP.reveal())
    return gp.aes_key(wrapped, 16, kcv_aes(AES_DAP.reveal()), gp.AesForm.INNER_LENGTH)


def des_field() -> gp.KeyData:
    wrapped = aes_cbc_encrypt(key_set().dek.reveal(), bytes(16), DES_DAP.reveal())
    return gp.des_key(wrapped, kcv_des3(DES_DAP.reveal()))


SCHEMES: dict[str, tuple[Callable[[], gp.KeyData], Signer]] = {
    "AES": (aes_field, lambda digest: gp.sign_with_aes(AES_DAP, digest)),
    "3DES": (des_field, lambda digest: gp.sign_with_des(DES_DAP, digest)),
    "RSA-1024": (lambda: rsa_field(RSA_1024), lambda digest: gp.sign_with_rsa(RSA_1024, digest)),
    "RSA-2048": (lambda: rsa_field(RSA_2048), lambda digest: gp.sign_with_rsa(RSA_2048, digest)),
    "P-256": (lambda: ecc_field(P_256, 0), lambda digest: gp.sign_with_ecc(gp.ecc_signer(P_256), 256, digest)),
    "P-384": (lambda: ecc_field(P_384, 1), lambda digest: gp.sign_with_ecc(gp.ecc_signer(P_384), 384, digest)),
    "P-521": (lambda: ecc_field(P_521, 2), lambda digest: gp.sign_with_ecc(gp.ecc_signer(P_521), 521, digest)),
}


def card_with(privileges: Privilege, scheme: str, aid: bytes = PROVIDER) -> VirtualCard:
    """A card with a personalised domain that has a DAP key."""
    card = blank()
    make_domain(open_channel(card), privileges, aid)
    channel = own_channel(card, aid)
    give_dap_key(channel, SCHEMES[scheme][0]())
    give_keys(channel)
    return card


def loaded(channel: SecureChannel) -> list[gp.RegistryEntry]:
    return [entry for entry in channel.registry(gp.Subset.LOAD_FILES_AND_MODULES) if entry.aid == PACKAGE]


def block(scheme: str, digest: bytes, aid: bytes = PROVIDER) -> gp.DapBlock:
    return gp.DapBlock(aid, SCHEMES[scheme][1](digest))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_code_with_a_good_signature_is_loaded_into_its_providers_domain(scheme: str) -> None:
    card = card_with(DAP, scheme)
    channel = open_channel(card)
    channel.load(CODE, security_domain=PROVIDER, daps=[block(scheme, CODE.block_hash())])
    (entry,) = loaded(channel)
    assert entry.security_domain == PROVIDER


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_wrong_signature_loads_nothing(scheme: str) -> None:
    card = card_with(DAP, scheme)
    channel = open_channel(card)
    other = gp.parse_cap(cap(components(method_size=601)))
    good = block(scheme, CODE.block_hash())
    cut, longer = good.signature[:-1], good.signature + b"\x00"
    flipped = bytes([good.signature[0] ^ 1]) + good.signature[1:]
    for signature in (SCHEMES[scheme][1](other.block_hash()), flipped, cut, longer):
        with pytest.raises(StatusWordError) as caught:
            channel.load(CODE, security_domain=PROVIDER, daps=[gp.DapBlock(PROVIDER, signature)])
        assert caught.value.sw == 0x6982
        assert not loaded(channel)
    channel.load(CODE, security_domain=PROVIDER, daps=[good])
    assert loaded(channel)


def test_a_domain_with_the_privilege_wants_a_dap_for_its_own_code_only() -> None:
    channel = open_channel(card_with(DAP, "P-256"))
    with pytest.raises(StatusWordError) as caught:
        channel.load(CODE, security_domain=PROVIDER)
    assert caught.value.sw == 0x6985
    channel.load(CODE)
    assert loaded(channel)[0].security_domain == gp.ISD_AID


def test_a_mandated_dap_is_wanted_for_all_code() -> None:
    channel = open_channel(card_with(MANDATED, "P-256"))
    with pytest.raises(StatusWordError) as caught:
        channel.load(CODE)
    assert caught.value.sw == 0x6985
    assert not loaded(channel)
    channel.load(CODE, daps=[block("P-256", CODE.block_hash())])
    assert loaded(channel)[0].security_domain == gp.ISD_AID


def test_a_mandated_dap_is_not_wanted_before_the_domain_has_its_keys() -> None:
    card = blank()
    channel = open_channel(card)
    make_domain(channel, MANDATED)
    channel.load(CODE)
    assert loaded(channel)


def test_two_domains_both_vouch() -> None:
    card = card_with(MANDATED, "AES")
    issuer = open_channel(card)
    make_domain(issuer, DAP, OTHER)
    channel = own_channel(card, OTHER)
    give_dap_key(channel, SCHEMES["P-384"][0]())
    give_keys(channel)
    issuer = open_channel(card)
    digest = CODE.block_hash("sha384")
    both = [block("AES", digest), block("P-384", digest, OTHER)]
    for daps in ([], both[:1], both[1:]):
        with pytest.raises(StatusWordError) as caught:
            issuer.load(CODE, security_domain=OTHER, daps=daps, hash_algorithm="sha384")
        assert caught.value.sw == 0x6985
    issuer.load(CODE, security_domain=OTHER, daps=both, hash_algorithm="sha384")
    assert loaded(issuer)


def test_a_block_of_a_domain_that_verifies_nothing_is_refused() -> None:
    card = card_with(Privilege.SECURITY_DOMAIN, "P-256")
    channel = open_channel(card)
    for aid in (PROVIDER, OTHER, gp.ISD_AID):
        with pytest.raises(StatusWordError) as caught:
            channel.load(CODE, daps=[block("P-256", CODE.block_hash(), aid)])
        assert caught.value.sw == 0x6A88


def test_a_block_needs_the_hash_in_install_for_load() -> None:
    channel = open_channel(card_with(DAP, "P-256"))
    channel.send(gp.install_for_load(PACKAGE, PROVIDER))
    commands = gp.load(gp.load_file(CODE.data_block, [block("P-256", CODE.block_hash())]), channel.data_max)
    answers = [channel.transmit(command).sw for command in commands]
    assert answers[:-1] == [0x9000] * (len(commands) - 1)
    assert answers[-1] == 0x6A80
    assert not loaded(channel)


def test_a_domain_without_a_dap_key_accepts_no_signature() -> None:
    card = blank()
    make_domain(open_channel(card), DAP)
    give_keys(own_channel(card))
    with pytest.raises(StatusWordError) as caught:
        open_channel(card).load(CODE, security_domain=PROVIDER, daps=[block("P-256", CODE.block_hash())])
    assert caught.value.sw == 0x6982


def test_a_domain_opens_sessions_with_the_issuers_keys_until_it_has_its_own() -> None:
    card = blank()
    make_domain(open_channel(card), Privilege.SECURITY_DOMAIN)
    first = own_channel(card)
    give_keys(first)
    second = own_channel(card, kvn=OWN_VERSION)
    assert second.send(gp.get_data(0xE0)).ok
    entry = open_channel(card).registry(gp.Subset.APPLETS)[0]
    assert entry.aid == PROVIDER
    assert entry.life_cycle == gp.AppletLifeCycle.PERSONALIZED
    assert entry.privileges == Privilege.SECURITY_DOMAIN


def test_the_domain_says_what_keys_it_has() -> None:
    card = card_with(DAP, "RSA-2048")
    domain = SecurityDomain(InProcessConnection(card), PROVIDER)
    assert domain.select().aid == PROVIDER
    found = {(key.kvn, key.key_id): key.components for key in domain.key_information()}
    assert found[(0x73, 1)] == ((0xA1, 0), (0xA0, 3))  # 256 bytes and more are told as 00
    assert found[(OWN_VERSION, 1)] == ((0x88, 16),)
    curve = card_with(DAP, "P-256")
    domain = SecurityDomain(InProcessConnection(curve), PROVIDER)
    domain.select()
    found = {(key.kvn, key.key_id): key.components for key in domain.key_information()}
    assert found[(0x73, 1)] == ((0xB0, 0x40), (0xF0, 0))


def test_the_domain_keeps_data_of_its_own_and_no_card_data() -> None:
    card = blank()
    make_domain(open_channel(card), Privilege.SECURITY_DOMAIN)
    channel = own_channel(card)
    (command,) = gp.store_data([bytes.fromhex("42030102034502AABB")], structure=gp.Structure.BER_TLV)
    channel.send(command)
    domain = SecurityDomain(channel._connection, PROVIDER)
    domain.select()
    assert domain.get_data(gp.TAG_IIN) == bytes.fromhex("4203010203")
    assert domain.get_data(gp.TAG_CIN) == bytes.fromhex("4502AABB")
    assert domain.find_data(gp.TAG_CPLC) is None
    assert domain.find_data(gp.TAG_SEQUENCE_COUNTER) is None
    issuer = SecurityDomain(channel._connection)
    issuer.select()
    assert issuer.find_data(gp.TAG_IIN) is None


@pytest.mark.parametrize(
    ("command", "sw"),
    [
        (gp.install_for_personalization(PROVIDER), 0x6985),
        (gp.load(b"\xc4\x00")[0], 0x6985),
        (gp.get_status(gp.Subset.APPLETS), 0x6D00),
        (gp.delete(PACKAGE_AID), 0x6A80),
        (gp.delete_key(kvn=0x73), 0x6A88),
        (gp.delete_key(kvn=0x32), 0x6A88),
    ],
)
def test_a_domain_without_privileges_manages_nothing(command: gp.KeyData, sw: int) -> None:
    card = blank()
    make_domain(open_channel(card), Privilege.SECURITY_DOMAIN)
    assert own_channel(card).transmit(command).sw == sw  # type: ignore[arg-type]


def test_dap_keys_are_added_replaced_and_deleted() -> None:
    card = card_with(DAP, "P-256")
    channel = own_channel(card, kvn=OWN_VERSION)
    again = SCHEMES["P-384"][0]()
    assert channel.transmit(gp.put_key(0, 1, 0x73, [again])).sw == 0x6985
    assert channel.transmit(gp.put_key(0x74, 1, 0x73, [again])).sw == 0x6A88
    assert channel.transmit(gp.put_key(0x73, 2, 0x73, [again])).sw == 0x6A88
    assert channel.transmit(gp.put_key(0x73, 1, 0x73, [again])).ok
    issuer = open_channel(card)
    with pytest.raises(StatusWordError):
        issuer.load(CODE, security_domain=PROVIDER, daps=[block("P-256", CODE.block_hash())])
    issuer.load(
        CODE, security_domain=PROVIDER, daps=[block("P-384", CODE.block_hash("sha384"))], hash_algorithm="sha384"
    )
    channel = own_channel(card, kvn=OWN_VERSION)
    channel.send(gp.delete_key(kvn=0x73))
    assert channel.transmit(gp.delete_key(kvn=0x73)).sw == 0x6A88


@pytest.mark.parametrize(
    "field",
    [
        "B041" + "04" + "00" * 64 + "F0010000",  # a point that is not on the curve
        "B02104" + "00" * 32 + "F0010000",
        "B041" + "04" + "11" * 64 + "F0010900",  # no such curve
        "B041" + "04" + "11" * 64 + "00",
        "A180" + "FF" * 128 + "A003010001",
        "A140" + "FF" * 64 + "A00301000100",  # a key of 512 bits
        "A18180" + "FF" * 127,
        "A1",
        "A185",
        "8800",
        "C00100",
    ],
)
def test_keys_that_cannot_be_are_refused(field: str) -> None:
    card = blank()
    make_domain(open_channel(card), DAP)
    channel = own_channel(card)
    raw = gp.put_key(0, 1, 0x73, [SCHEMES["P-256"][0]()])
    command = type(raw)(raw.cla, raw.ins, raw.p1, raw.p2, bytes([0x73]) + bytes.fromhex(field), 256)
    assert channel.transmit(command).sw == 0x6A80
    assert channel.transmit(gp.put_key(0, 1, 0x73, [SCHEMES["P-256"][0]()])).ok


def test_applets_and_load_files_are_extradited() -> None:
    card = card_with(Privilege.SECURITY_DOMAIN, "P-256")
    channel = open_channel(card)
    channel.load(CODE)
    channel.send(gp.install_for_extradition(PACKAGE, PROVIDER))
    assert loaded(channel)[0].security_domain == PROVIDER
    applet = bytes.fromhex("A0000009990A")
    channel.send(gp.install_for_install_and_make_selectable(PACKAGE, CODE.applets[0], applet))
    (entry,) = channel.registry(gp.Subset.APPLETS, applet)
    assert entry.security_domain == PROVIDER  # an instance belongs where its load file belongs
    channel.send(gp.install_for_extradition(applet, gp.ISD_AID))
    assert channel.registry(gp.Subset.APPLETS, applet)[0].security_domain == gp.ISD_AID
    channel.send(gp.install_for_registry_update(applet, security_domain=PROVIDER, privileges=Privilege.CARD_LOCK))
    (entry,) = channel.registry(gp.Subset.APPLETS, applet)
    assert (entry.security_domain, entry.privileges) == (PROVIDER, Privilege.CARD_LOCK)


def test_extradition_that_cannot_be_is_refused() -> None:
    card = blank()
    channel = open_channel(card)
    make_domain(channel, Privilege.SECURITY_DOMAIN)
    channel.load(CODE)
    refusals = [
        (gp.install_for_extradition(PACKAGE, OTHER), 0x6A88),
        (gp.install_for_extradition(PACKAGE, PROVIDER), 0x6985),  # it has no keys yet
        (gp.install_for_extradition(OTHER, gp.ISD_AID), 0x6A88),
        (gp.install_for_load(OTHER, PROVIDER), 0x6985),
        (gp.install_for_load(OTHER, PACKAGE), 0x6A88),
    ]
    for command, sw in refusals:
        assert channel.transmit(command).sw == sw


def test_a_domain_that_holds_content_is_not_deleted() -> None:
    card = card_with(Privilege.SECURITY_DOMAIN, "P-256")
    channel = open_channel(card)
    channel.load(CODE)
    channel.send(gp.install_for_extradition(PACKAGE, PROVIDER))
    assert channel.transmit(gp.delete(PROVIDER)).sw == 0x6985
    channel.send(gp.install_for_extradition(PACKAGE, gp.ISD_AID))
    channel.send(gp.delete(PROVIDER))
    assert channel.transmit(gp.delete(PROVIDER)).sw == 0x6A88


def test_only_a_domain_has_a_domains_privilege() -> None:
    channel = open_channel(blank())
    channel.load(CODE)
    applet = gp.install_for_install_and_make_selectable(PACKAGE, CODE.applets[0], OTHER, privileges=DAP)
    assert channel.transmit(applet).sw == 0x6A80
    domain = gp.install_for_install_and_make_selectable(PACKAGE_AID, MODULE_AID, PROVIDER)
    assert channel.transmit(domain).sw == 0x6A80


def test_a_locked_domain_loads_nothing_and_is_not_selected() -> None:
    card = card_with(Privilege.SECURITY_DOMAIN, "P-256")
    channel = open_channel(card)
    channel.send(gp.lock(PROVIDER))
    assert channel.transmit(gp.install_for_load(PACKAGE, PROVIDER)).sw == 0x6985
    with pytest.raises(StatusWordError) as caught:
        SecurityDomain(channel._connection, PROVIDER).select()
    assert caught.value.sw == 0x6A82


def test_state_of_a_domain_survives_power(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("card") / "card.json"
    card_with(MANDATED, "P-256").save(path)
    channel = open_channel(VirtualCard.load(path))
    with pytest.raises(StatusWordError):
        channel.load(CODE)
    channel.load(CODE, daps=[block("P-256", CODE.block_hash())])
    assert loaded(channel)


def test_a_curve_that_dap_does_not_know_is_refused() -> None:
    with pytest.raises(InvalidApdu, match="P-256"):
        gp.sign_with_ecc(lambda message: message, 255, bytes(32))


def test_des_and_aes_signatures_have_their_sizes() -> None:
    assert len(KEY[16]) == 16
    assert len(gp.sign_with_des(DES_DAP, bytes(20))) == 8
    assert len(gp.sign_with_aes(AES_DAP, bytes(32))) == 16
    assert len(gp.sign_with_ecc(gp.ecc_signer(P_521), 521, bytes(64))) == 132
