"""The on-card layout of the `uec` identity applet: the specification both the card and its writers follow.

Rests on ISO/IEC 7816-4:2013 (files, SELECT, READ BINARY, VERIFY), 7816-8 (MSE, PSO), 7816-15 (cryptographic
information) and GlobalPlatform Card Specification 2.3.1 (section 11: INSTALL, STORE DATA). How the content is written
is in `card_io.applets.uec.personalisation`; this module is what a finished card looks like.

Names. Load file `PACKAGE_AID` and module `MODULE_AID` are on the blank. One instance, `APPLET_AID`, is installed with
privilege Card Reset (`INSTALL_PRIVILEGES` = 04): after a reset the applet is selected without a SELECT, which stock
readers of ISO 7816-15 cards expect; the issuer security domain is then reached by SELECT of its AID. The instance also
answers SELECT by `ISOAPPLET_AID`, the name OpenSC's isoApplet driver looks for, and by `CIA_AID`, the name that ISO/IEC
7816-15 gives DF.CIA: that directory is the current one then (GnuPG reads files under it by identifier), else the MF.

Life cycle of the instance (GlobalPlatform coding): 07 SELECTABLE, being written; 0F PERSONALISED, content closed;
bit 8 set by the issuer security domain while locked. Only FINISH leads from 07 to 0F. In state 07 no PIN is accepted,
no key may be used, and every file is readable only under its rule. In state 0F nothing is written any more except PINs.

Files (identifier; under; read rule by default). Identifiers are unique over the applet. Nothing is updatable in clear.
    3F00 MF                                     2F00 EF.DIR            3F00  always
    5015 DF.CIA                  3F00           5031 EF.OD             5015  always
    5032 EF.CIAInfo (TokenInfo)  5015 always    4401 EF.AOD (PINs)     5015  always
    4402 EF.PrKD (private keys)  5015 always    4403 EF.PuKD           5015  always
    4404 EF.CD (certificates)    5015 always    4405 EF.DOD (data)     5015  always
    4501..4504 certificates of keys 1..4        5015  always
    5500 DF.UEC                  3F00           0101 DG1 card          5500  always
    0102 DG2 person              5500 PIN1      0103 DG3 documents     5500  PIN1
    0104 DG4 photo               5500 PIN1      011D security object   5500  always
The MF exists from the installation; every other file is created by personalisation. Transparent EFs only.

Rules (one byte, for reading, updating and the use of keys): 00 always; 01 PIN1 verified since the reset or the last
SELECT of the applet; 02 PIN2 verified for this one operation; FF never.

PINs (reference = P2 of VERIFY, CHANGE REFERENCE DATA, RESET RETRY COUNTER = pinReference in EF.AOD): 01 PIN1
identification, 4-8 digits; 02 PIN2 signature, 6-8 digits; 03 KRP, exactly 8 digits, unblocks 01 and 02. ASCII digits,
no padding. Three tries, KRP ten. A *transport* PIN can only be changed: until then VERIFY answers 6984 and no try is
lost.

A card has what its profile says of all this; a pass may have data and no key at all.

Keys (reference = tag 84 of MSE SET = keyReference in EF.PrKD): 01 authentication (PIN1), 02 signature (PIN2, each
time), 03 key agreement (PIN1), 04 card authentication (no PIN; INTERNAL AUTHENTICATE only). 05 to 0F are free to the
profile, which says their rule and use. An operation is refused (6985) unless the key was generated for it.

Commands in clear, CLA 00 (SW 9000 unless said):
    A4 SELECT       P1 00 by identifier, 01 child DF, 02 EF under current DF (or a DF: GnuPG asks so for the path of a
                    key), 03 parent, 04 by AID, 08 path from MF (without 3F00), 09 path from current DF; P2 00 FCI (6F),
                    04 FCP (62), 0C no answer. In the template:
                    80/81 size, 82 file descriptor, 83 identifier, 84 AID, 86 and 8C access (below), 8A life cycle.
                    SELECT by ISOAPPLET_AID with P2 00 answers `ISOAPPLET_SELECT_ANSWER` instead.
    B0 READ BINARY  P1-P2 15-bit offset. 6B00 offset outside, 6982 rule not met, 6986 no EF selected, 6282 short.
    20 VERIFY       P2 reference. No data: asks for the state: 9000 verified, 63Cx tries, 6983 blocked, 6984 transport.
                    Wrong value: 63Cx, then 6983. P1 FF without data: forget that it was verified.
    24 CHANGE REFERENCE DATA   P1 00, P2 reference, data old || new, divided by the old one's length on the card.
                    New out of its lengths, not digits, or a transport PIN again: 6A80, and no try is lost.
    2C RESET RETRY COUNTER     P1 00: data KRP (8 bytes) || new PIN; P1 01: data KRP, value kept. KRP tries apply.
    22 MSE SET      P1 41, P2 B6 (signature), B8 (key agreement) or A4; data TLVs 84 key reference, 80 algorithm:
                    20 ECDSA over the given hash, 21 the same (but see isoApplet), 11 RSA PKCS#1 over DigestInfo;
                    81 file reference, ignored. P1 F3, P2 00: nothing is set any more.
    2A PSO          9E 9A COMPUTE DIGITAL SIGNATURE: data the hash, answer ECDSA-Sig-Value in DER (or the RSA
                    signature).
                    80 86 DECIPHER for key agreement: data the peer's uncompressed point, bare or in A6{7F49{86}};
                    answer the X coordinate of the shared point. 6982 rule not met, 6985 no or wrong key.
    88 INTERNAL AUTHENTICATE   P1 00, P2 key 04; data challenge of 16 to 64 bytes; answer ECDSA with SHA-256 over it,
                               DER.
    84 GET CHALLENGE           Le bytes of randomness.
    47 GENERATE ASYMMETRIC KEY PAIR   P1 81 reads a public key: data B6 03 83 01 ref, answer 7F49. P1 80: 6985 always
                    (keys are generated by personalisation only).
    CA GET DATA     `TAG_STATE` (layout 2 bytes, life cycle 1), `TAG_PINS` (each: ref, tries left, tries, flags; flag 01
                    transport, 02 blocked), `TAG_KEYS` (each: ref, algorithm, rule, use), `TAG_ISOAPPLET`.

isoApplet. OpenSC 0.23 takes the version from the SELECT answer (it must be raw bytes, not a template, major 00) and
then sends PSO with algorithm 21 the *message*: the card hashes it with SHA-1. OpenSC from 0.24 asks GET DATA 0101, is
told version 0100 and sends the hash itself. So under ISOAPPLET_AID algorithm 21 hashes with SHA-1 unless SELECT came
with P2 0C or GET DATA 0101 was asked since the reset (the driver selects again to log out, and does not ask again);
selected by APPLET_AID, or by the reset, it never hashes. Access bytes in tag 86 are that driver's: FF, delete,
terminate, activate, deactivate, write, update, read, each 00, 90 (PIN1) or FF.

What OpenSC expects in the ISO 7816-15 files (facts for whoever builds them):
    EF.DIR   one 61 { 4F CIA_AID, 50 label, 51 path 3F005015 }. EF.OD CHOICE tags: A0 PrKD, A1 PuKD, A4 CD, A7 DOD, A8
             AOD, each { 30 { 04 path } }; paths are absolute from 3F00.
    EF.AOD   pwd attributes: pwdReference = PIN reference; storedLength = maxLength; pwdType 1 (ascii-numeric); no
             padChar; pwdFlags initialized (and unblockingPassword for KRP), never needs-padding; path 3F005015.
             commonObjectAttributes of PIN1 and PIN2 name KRP's authId: that is how unblocking is found.
    EF.PrKD  EC keys are [0] entries; keyReference = key reference; accessFlags sensitive, alwaysSensitive,
             neverExtractable, local; fieldSize in the type attributes (256): without it no signature works; path
             3F005015, no file. usage: 1 sign; 2 sign|nonRepudiation with userConsent 1 (else the PIN is cached) ; 3
             derive. authId = the PIN's.
    EF.CD    iD equals the key's iD; path to 450x, no index/length needed.
    EF.PuKD  iD equal too, usage verify / derive; path to 450x with index and length of the SubjectPublicKeyInfo in the
             certificate: of a bare point it tells no curve, and programs that want one cannot use the key.
Key 4 is listed nowhere there: stock software must not try it for signatures (its certificate 4504 may be in EF.CD).
"""

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final

LAYOUT_VERSION: Final = 0x0100

PACKAGE_AID: Final = bytes.fromhex("F0554543000100")
MODULE_AID: Final = bytes.fromhex("F055454300010001")
APPLET_AID: Final = bytes.fromhex("F05545430001000101")
ISOAPPLET_AID: Final = bytes.fromhex("F276A288BCFBA69D34F31001")
CIA_AID: Final = bytes.fromhex("A000000063504B43532D3135")
"""Application identifier written into EF.DIR: RSA's registered identifier followed by `PKCS-15`."""

INSTALL_PRIVILEGES: Final = b"\x04"
INSTALL_PARAMETERS: Final = bytes.fromhex("C900")

ISOAPPLET_SELECT_ANSWER: Final = bytes.fromhex("000607")
"""Version 00.06; features: 01 extended length, 02 secure random, 04 EC."""
ISOAPPLET_VERSION: Final = bytes.fromhex("010007")
"""Answer to GET DATA 0101: version 01.00 and the same features."""

TAG_ISOAPPLET: Final = 0x0101
TAG_STATE: Final = 0xDF20
TAG_PINS: Final = 0xDF21
TAG_KEYS: Final = 0xDF22


class AppletState(IntEnum):
    """Life cycle of the instance, as GET STATUS and GET DATA `TAG_STATE` answer it."""

    SELECTABLE = 0x07
    PERSONALISED = 0x0F


class Fid(IntEnum):
    """File identifiers."""

    MF = 0x3F00
    DIR = 0x2F00
    CIA = 0x5015
    OD = 0x5031
    CIA_INFO = 0x5032
    AOD = 0x4401
    PRKD = 0x4402
    PUKD = 0x4403
    CD = 0x4404
    DOD = 0x4405
    CERT_AUTHENTICATION = 0x4501
    CERT_SIGNATURE = 0x4502
    CERT_AGREEMENT = 0x4503
    CERT_CARD = 0x4504
    UEC = 0x5500
    DG1 = 0x0101
    DG2 = 0x0102
    DG3 = 0x0103
    DG4 = 0x0104
    SECURITY_OBJECT = 0x011D


class Rule(IntEnum):
    """What must hold for a file operation or for the use of a key."""

    ALWAYS = 0x00
    PIN1 = 0x01
    PIN2 = 0x02
    NEVER = 0xFF


class PinRef(IntEnum):
    """PIN references."""

    PIN1 = 0x01
    PIN2 = 0x02
    KRP = 0x03


class PinFlag(IntFlag):
    """Flags of a PIN in DGI 0E04 and in the answer to `TAG_PINS`."""

    NONE = 0x00
    TRANSPORT = 0x01
    BLOCKED = 0x02


class KeySlot(IntEnum):
    """Key references of the `uec` card."""

    AUTHENTICATION = 0x01
    SIGNATURE = 0x02
    AGREEMENT = 0x03
    CARD = 0x04


SLOT_MAX: Final = 0x0F
"""Greatest key reference; those above `KeySlot` are the profile's own."""


class KeyAlgorithm(IntEnum):
    """Algorithms of a key pair generated on the card."""

    EC_P256 = 0x01
    EC_P384 = 0x02
    RSA_2048 = 0x03


class KeyUse(IntFlag):
    """Operations a key may do; a key has exactly those it was generated with."""

    SIGN = 0x01
    INTERNAL_AUTHENTICATE = 0x02
    AGREE = 0x04


class AlgorithmRef(IntEnum):
    """Algorithm reference, tag 80 of MSE SET."""

    RSA_PKCS1 = 0x11
    ECDSA = 0x20
    ECDSA_ISOAPPLET = 0x21


CERTIFICATE_FILE: Final[dict[KeySlot, Fid]] = {
    KeySlot.AUTHENTICATION: Fid.CERT_AUTHENTICATION,
    KeySlot.SIGNATURE: Fid.CERT_SIGNATURE,
    KeySlot.AGREEMENT: Fid.CERT_AGREEMENT,
    KeySlot.CARD: Fid.CERT_CARD,
}


@dataclass(frozen=True)
class FilePlace:
    """Where a file of the layout lives and who may read it (the profile may tighten the rule)."""

    fid: Fid
    parent: Fid
    read: Rule = Rule.ALWAYS
    directory: bool = False

    @property
    def path(self) -> bytes:
        """Absolute path from the MF, identifiers of two bytes each, `3F00` first."""
        above = b"" if self.parent is Fid.MF else int(Fid.MF).to_bytes(2, "big")
        return above + int(self.parent).to_bytes(2, "big") + int(self.fid).to_bytes(2, "big")


FILES: Final[tuple[FilePlace, ...]] = (
    FilePlace(Fid.DIR, Fid.MF),
    FilePlace(Fid.CIA, Fid.MF, directory=True),
    FilePlace(Fid.OD, Fid.CIA),
    FilePlace(Fid.CIA_INFO, Fid.CIA),
    FilePlace(Fid.AOD, Fid.CIA),
    FilePlace(Fid.PRKD, Fid.CIA),
    FilePlace(Fid.PUKD, Fid.CIA),
    FilePlace(Fid.CD, Fid.CIA),
    FilePlace(Fid.DOD, Fid.CIA),
    FilePlace(Fid.CERT_AUTHENTICATION, Fid.CIA),
    FilePlace(Fid.CERT_SIGNATURE, Fid.CIA),
    FilePlace(Fid.CERT_AGREEMENT, Fid.CIA),
    FilePlace(Fid.CERT_CARD, Fid.CIA),
    FilePlace(Fid.UEC, Fid.MF, directory=True),
    FilePlace(Fid.DG1, Fid.UEC),
    FilePlace(Fid.DG2, Fid.UEC, Rule.PIN1),
    FilePlace(Fid.DG3, Fid.UEC, Rule.PIN1),
    FilePlace(Fid.DG4, Fid.UEC, Rule.PIN1),
    FilePlace(Fid.SECURITY_OBJECT, Fid.UEC),
)
"""In an order in which they can be created: a directory before what is in it."""

PLACES: Final[dict[Fid, FilePlace]] = {place.fid: place for place in FILES}
