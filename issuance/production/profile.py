"""Card profiles: what a card of one kind holds, as data (TOML) read into frozen dataclasses.

A profile names applet, files, data groups, key slots, PIN rules and the secure channel; the generators of this package
do what it says. A new data group or key slot is a change of the TOML file and of no code. Unknown keys are refused with
the nearest known name, so that a misspelt access rule never passes for a missing one.
"""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from card_io import tlv
from card_io.applets.piv import AdminAlgorithm
from card_io.errors import CardError
from issuance.keys.port import KDF3, AesForm
from issuance.pki.names import FASC_N_BYTES
from issuance.pki.profiles import shipped_profiles
from issuance.production.errors import InvalidProfile
from issuance.production.pin_profile import PinProfile, check_pins
from issuance.production.typed_toml import MisshapenTable, read_table

LEVELS = (0x03, 0x13, 0x33)
"""Security levels that encipher what goes to the card: PINs and keys travel there."""
APPLET_KINDS = ("uec", "piv")
CARD_NUMBER = "card_number"
"""The fact that says whose card it is."""
AID_BYTES = range(5, 17)
FILE_IDENTIFIERS = frozenset(range(0x0001, 0xFFFF)) - {0x2F00, 0x2F01, 0x3F00, 0x3FFF}
"""What no standard keeps for itself: EF.DIR, EF.ATR, the master file, the current DF (ISO/IEC 7816-4, 7.4.1)."""
OBJECT_TAGS = range(0x5F0000, 0x600000)
"""Tags of PIV data objects: NIST's, and makers' own."""
PUK_CHARACTERS = 8
GROUPS_MAX, PIV_GROUPS_MAX = 16, 13
"""Data groups that a security object can cover (ICAO Doc 9303 part 10); of PIV's, three are the card's own objects."""


class Access(StrEnum):
    """Who may read a file: anyone, or the holder by a PIN."""

    ALWAYS = "always"
    PIN1 = "pin1"
    PIN2 = "pin2"


class FieldKind(StrEnum):
    """How a data-group field is encoded (see `datagroups`)."""

    TEXT = "text"
    DATE = "date"
    PRINTED_DATE = "printed-date"
    DIGITS = "digits"
    BYTES = "bytes"


class KeyAlgorithm(StrEnum):
    """Algorithm of a key pair made on the card."""

    EC_P256 = "ec-p256"
    EC_P384 = "ec-p384"
    RSA_2048 = "rsa-2048"


class KeyUse(StrEnum):
    """The one thing a key on the card does."""

    SIGN = "sign"
    AGREE = "agree"
    INTERNAL_AUTHENTICATE = "internal-authenticate"


@dataclass(frozen=True, slots=True)
class SecureChannelProfile:
    """How the issuer security domain is entered and re-keyed.

    `level` is the SCP03 security level of EXTERNAL AUTHENTICATE; `blank_kvns` are the key versions that makers deliver
    blanks with; production keys take the versions `first_kvn`..`last_kvn` in turn, by the version of the card master.
    `challenge_bytes` is 8, or 16 for chips in S16 mode; `derivation` names how a card's keys come from the master, and
    `aes_form` how AES keys stand in PUT KEY (makers differ). `secures_card` moves a finished card to the life cycle
    state SECURED, `terminate_returned` allows to make one that came back mute for good (TERMINATED).
    """

    isd_aid: bytes
    level: int
    blank_kvns: tuple[int, ...]
    first_kvn: int
    last_kvn: int
    challenge_bytes: int = 8
    derivation: str = "kdf3"
    aes_form: AesForm = AesForm.INNER_LENGTH
    secures_card: bool = False
    terminate_returned: bool = False

    def kvn(self, master_version: int) -> int:
        """The key version number that production keys of this master version carry on the card."""
        return self.first_kvn + (master_version - 1) % (self.last_kvn - self.first_kvn + 1)


@dataclass(frozen=True, slots=True)
class AppletProfile:
    """The on-card code: `kind` names the layout it follows; AIDs as installed."""

    kind: str
    aid: bytes
    package_aid: bytes
    module_aid: bytes


class AdminCipher(StrEnum):
    """Cipher of a PIV admin key (card management key, 9B)."""

    TDES = "3des"
    AES_128 = "aes-128"
    AES_192 = "aes-192"
    AES_256 = "aes-256"

    @property
    def algorithm(self) -> AdminAlgorithm:
        """Its identifier and sizes."""
        return AdminAlgorithm[self.name]


class SetAdminKey(StrEnum):
    """The maker's command that changes the admin key: SP 800-73 leaves it to makers."""

    YUBICO = "yubico"


@dataclass(frozen=True, slots=True)
class PivProfile:
    """What SP 800-73 leaves to makers and issuers. Needed when `applet.kind` is `piv`.

    Base PIV has no secure channel: admin key and PINs cross the station in clear, so only `trusted_stations` (by name)
    may make such cards and hand them over; empty means none. `factory_...` are what the maker delivers, the same on
    every blank and published. `cipher` is that of the card's own admin key, `set_admin_key` the command that puts it
    there. `fasc_n` (25 bytes) goes into the CHUID of every card.
    """

    trusted_stations: tuple[str, ...]
    factory_cipher: AdminCipher
    factory_admin_key: bytes
    factory_puk: str
    cipher: AdminCipher
    set_admin_key: SetAdminKey
    fasc_n: bytes


@dataclass(frozen=True, slots=True)
class TokenProfile:
    """What stock software shows of the card (EF.CIAInfo)."""

    label: str
    manufacturer: str


@dataclass(frozen=True, slots=True)
class KeySlot:
    """A key pair made on the card, and its certificate's file; `pin` is empty for a key that needs none.

    `certificate_profile` names a profile of `issuance.pki`.
    """

    name: str
    label: str
    reference: int
    algorithm: KeyAlgorithm
    use: KeyUse
    certificate_fid: int
    certificate_profile: str
    pin: str = ""


@dataclass(frozen=True, slots=True)
class DataField:
    """One primitive object of a data group: its tag, and the fact that it holds, or the text `value` on every card.

    More than `max_bytes` on the card are refused; 0 leaves it to the file's size.
    """

    name: str
    tag: int
    kind: FieldKind
    optional: bool = False
    value: str = ""
    max_bytes: int = 0


@dataclass(frozen=True, slots=True)
class DataGroup:
    """A file of facts: BER-TLV template `tag` around `fields`, readable under `read`."""

    number: int
    name: str
    label: str
    fid: int
    tag: int
    read: Access
    fields: tuple[DataField, ...]


class BureauCertificates(StrEnum):
    """How certificates get onto cards that an outside bureau makes: by a window, or by the bureau from an answer."""

    HAND_OVER = "hand-over"
    ANSWER = "answer"


@dataclass(frozen=True, slots=True)
class CardProfile:
    """Everything that makes a card of this kind.

    A card of a profile that `orders_print` has its face printed by the office itself: the order is made with the card's
    first command, and the card is finished only once the number on the plastic was compared with its chip's.
    """

    name: str
    title: str
    secure_channel: SecureChannelProfile
    applet: AppletProfile
    token: TokenProfile
    security_object_fid: int
    pins: tuple[PinProfile, ...]
    keys: tuple[KeySlot, ...]
    data_groups: tuple[DataGroup, ...]
    piv: PivProfile | None = None
    bureau_certificates: BureauCertificates = BureauCertificates.HAND_OVER
    orders_print: bool = False
    # For people who read Russian; empty: the title.
    title_ru: str = ""

    def pin(self, name: str) -> PinProfile:
        """The PIN of this name; KeyError when the profile has none."""
        return {pin.name: pin for pin in self.pins}[name]

    def key(self, name: str) -> KeySlot:
        """The key slot of this name; KeyError when the profile has none."""
        return {key.name: key for key in self.keys}[name]

    def group(self, number: int) -> DataGroup:
        """The data group of this number; KeyError when the profile has none."""
        return {group.number: group for group in self.data_groups}[number]

    def trusts(self, station: str) -> bool:
        """Whether a station of this name may make such cards: any where a secure channel hides what it relays."""
        return self.piv is None or station in self.piv.trusted_stations

    @property
    def chosen_pins(self) -> tuple[PinProfile, ...]:
        """Those that the holder chooses."""
        return tuple(pin for pin in self.pins if pin.chosen_by_holder)

    @property
    def unblock_codes(self) -> tuple[PinProfile, ...]:
        """Those that unblock others, and get a new value when the card becomes its holder's."""
        return tuple(pin for pin in self.pins if pin.after_hand_over is not None)

    @property
    def card_key(self) -> KeySlot:
        """The key that answers a challenge without any PIN: the proof against clones.

        A pass has no `keys` and so not this one (`LookupError`): anyone may read it, and only the office, by the keys
        of its issuer domain, tells it from a copy.
        """
        return {key.use: key for key in self.keys}[KeyUse.INTERNAL_AUTHENTICATE]


def load_profile(path: Path) -> CardProfile:
    """Read and check a profile file; `InvalidProfile` names the key that is wrong, missing or unknown."""
    name = path.stem
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        profile = read_table(CardProfile, table)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidProfile(name, "the file", str(error)) from error
    except MisshapenTable as error:
        raise InvalidProfile(name, error.place, error.reason) from error
    _check(profile, name)
    return profile


def _check(profile: CardProfile, file_name: str) -> None:
    def refuse_if(wrong: bool, place: str, reason: str) -> None:  # noqa: FBT001 - a condition, not a mode
        if wrong:
            raise InvalidProfile(file_name, place, reason)

    _check_contents(profile, file_name, refuse_if)
    _check_numbers(profile, refuse_if)
    _check_applet(profile, refuse_if)


def _check_numbers(profile: CardProfile, refuse_if: Callable[[bool, str, str], None]) -> None:
    """What would not fit into the bytes that hold it on the card."""
    identifiers = FILE_IDENTIFIERS if profile.piv is None else OBJECT_TAGS
    named = "is no identifier that a file, or a data object of PIV, may have"
    refuse_if(profile.security_object_fid not in identifiers, "security_object_fid", named)
    for key in profile.keys:
        place = f"keys.{key.name}"
        refuse_if(key.certificate_fid not in identifiers, f"{place}.certificate_fid", named)
        refuse_if(not 1 <= key.reference <= 0xFF, f"{place}.reference", "must be 0x01 to 0xFF")
        refuse_if(key.certificate_profile not in _certified(), f"{place}.certificate_profile", "there is none of it")
    check_pins(profile.pins, refuse_if)
    for group in profile.data_groups:
        place = f"data_groups.{group.name}"
        refuse_if(group.fid not in identifiers, f"{place}.fid", named)
        last = GROUPS_MAX if profile.piv is None else PIV_GROUPS_MAX
        refuse_if(not 1 <= group.number <= last, f"{place}.number", f"must be 1 to {last}")
        for name, tag in ((group.name, group.tag), *((field.name, field.tag) for field in group.fields)):
            refuse_if(not _is_tag(tag), f"{place}.{name}.tag", f"{tag:X} is no tag of BER-TLV")
        for field in group.fields:
            no_text = bool(field.value) and field.kind is not FieldKind.TEXT
            refuse_if(no_text, f"{place}.{field.name}.value", "is text: the field's kind must be text")
            long = 0 < field.max_bytes < len(field.value.encode())
            refuse_if(long or field.max_bytes < 0, f"{place}.{field.name}.max_bytes", "is less than the value has")


@cache
def _certified() -> frozenset[str]:
    """The names of the certificate profiles."""
    return frozenset(shipped_profiles())


def _is_tag(tag: int) -> bool:
    try:
        return tag > 0 and bool(tlv.tag_bytes(tag))
    except CardError:
        return False


def _check_contents(profile: CardProfile, file_name: str, refuse_if: Callable[[bool, str, str], None]) -> None:
    pins = [pin.name for pin in profile.pins]
    fids = [group.fid for group in profile.data_groups]
    fids += [key.certificate_fid for key in profile.keys] + [profile.security_object_fid]
    refuse_if(profile.name != file_name, "name", f"must be the file's own name, {file_name}")
    refuse_if(len(set(fids)) != len(fids), "data_groups", "two files have the same identifier")
    for label, values in (
        ("pins", pins),
        ("pins", [pin.reference for pin in profile.pins]),
        ("keys", [key.name for key in profile.keys]),
        ("keys", [key.reference for key in profile.keys]),
        ("data_groups", [group.number for group in profile.data_groups]),
    ):
        refuse_if(len(set(values)) != len(values), label, "two entries share a name or number")
    for group in profile.data_groups:
        tags = [field.tag for field in group.fields]
        refuse_if(len(set(tags)) != len(tags), f"data_groups.{group.name}", "two fields share a tag")
    for key in profile.keys:
        guarded = key.pin in pins or key.use is KeyUse.INTERNAL_AUTHENTICATE
        refuse_if(not guarded, f"keys.{key.name}.pin", f"there is no PIN {key.pin!r}")
    challenged = [key for key in profile.keys if key.use is KeyUse.INTERNAL_AUTHENTICATE]
    proven = len(challenged) == 1 and not challenged[0].pin
    refuse_if(bool(profile.keys) and not proven, "keys", "one key must internal-authenticate, without a PIN")
    told = [field.name for group in profile.data_groups if group.read is Access.ALWAYS for field in group.fields]
    unnamed = not profile.keys and CARD_NUMBER not in told
    refuse_if(unnamed, "data_groups", f"one that is read always must have {CARD_NUMBER}: no certificate names the card")
    for group in profile.data_groups:
        known = group.read is Access.ALWAYS or group.read.value in pins
        refuse_if(not known, f"data_groups.{group.name}.read", f"there is no PIN {group.read.value!r}")


def _check_applet(profile: CardProfile, refuse_if: Callable[[bool, str, str], None]) -> None:
    piv = profile.piv
    refuse_if(
        (piv is None) == (profile.applet.kind == "piv"), "piv", "belongs to applets of kind piv, and to those only"
    )
    if piv is not None:
        lengths = len(piv.factory_admin_key) == piv.factory_cipher.algorithm.key_bytes
        refuse_if(not lengths, "piv.factory_admin_key", f"is no key for {piv.factory_cipher}")
        refuse_if(len(piv.fasc_n) != FASC_N_BYTES, "piv.fasc_n", f"has {FASC_N_BYTES} bytes")
        fits = piv.factory_puk.isascii() and len(piv.factory_puk) == PUK_CHARACTERS
        refuse_if(not fits, "piv.factory_puk", f"has {PUK_CHARACTERS} characters")
        unblocked = any(pin.unblocked_by for pin in profile.pins)
        refuse_if(not unblocked, "pins", "one must be unblocked by another: the PUK sets it")
        refuse_if(not profile.keys, "keys", "a card of kind piv has some")
    rsa = any(key.algorithm is KeyAlgorithm.RSA_2048 for key in profile.keys)
    refuse_if(rsa and piv is None, "keys", "only applets of kind piv make RSA keys")
    applet, channel = profile.applet, profile.secure_channel
    for place, aid in (
        ("applet.aid", applet.aid),
        ("applet.package_aid", applet.package_aid),
        ("applet.module_aid", applet.module_aid),
        ("secure_channel.isd_aid", channel.isd_aid),
    ):
        refuse_if(len(aid) not in AID_BYTES, place, f"an AID has {AID_BYTES[0]} to {AID_BYTES[-1]} bytes")
    refuse_if(channel.challenge_bytes not in (8, 16), "secure_channel.challenge_bytes", "must be 8, or 16 for S16")
    known = channel.derivation == KDF3
    refuse_if(not known, "secure_channel.derivation", f"SCP03 has keys by {KDF3}")
    refuse_if(not channel.blank_kvns, "secure_channel.blank_kvns", "names no version: no blank would be known")
    refuse_if(
        channel.level not in LEVELS, "secure_channel.level", "SCP03 has no security level of this number that protects"
    )
    refuse_if(profile.applet.kind not in APPLET_KINDS, "applet.kind", f"known kinds are {', '.join(APPLET_KINDS)}")
    versions = 1 <= channel.first_kvn <= channel.last_kvn <= 0x7F
    refuse_if(not versions, "secure_channel", "production key versions must lie in 0x01 to 0x7F")
    shared = any(channel.first_kvn <= kvn <= channel.last_kvn for kvn in channel.blank_kvns)
    refuse_if(shared, "secure_channel.blank_kvns", "a blank's key version must not be one of production")
