"""Hides how the numbers of a person and a card are written, checked and completed; each has one canonical form.

SNILS: order of the Pension Fund on the insurance number (control number mod 101). OMS unified policy number and card
number: Luhn, ISO/IEC 7812-1 annex B. Phone: ITU-T E.164. OKTMO: OK 033-2013. FIAS: UUID of RFC 9562.
Every `parse_...` takes what people type, returns the canonical form, and raises `InvalidNumber(kind, reason)`.
"""

import re
import uuid

import phonenumbers

from uec.domain.errors import InvalidNumber

# Control numbers exist only for insurance numbers above this one.
SNILS_UNCHECKED_UP_TO = 1_001_998

_DIGITS = re.compile(r"[0-9]+")
_SPACING = re.compile(r"[\s ‐-―-]+")


def _refuse(kind: str, reason: str, sentence: str) -> InvalidNumber:
    return InvalidNumber(sentence, kind=kind, reason=reason)


def _plain(kind: str, text: str, length: int) -> str:
    plain = _SPACING.sub("", text)
    if not plain:
        raise _refuse(kind, "empty", f"Give the {kind}.")
    if not _DIGITS.fullmatch(plain):
        raise _refuse(kind, "not_digits", f"The {kind} has digits only; remove the other signs.")
    if len(plain) != length:
        raise _refuse(kind, "length", f"The {kind} has {length} digits, not {len(plain)}.")
    return plain


# Sums by groups of three digits: the importer checks a million numbers, and three look-ups beat nine products.
SNILS_WEIGHTS = tuple(
    {f"{n:03}": sum(int(d) * w for d, w in zip(f"{n:03}", weights, strict=True)) for n in range(1000)}
    for weights in ((9, 8, 7), (6, 5, 4), (3, 2, 1))
)


# The largest sum is nine times all weights; the control number of every sum, ready to compare.
SNILS_CHECKS = tuple(f"{total % 101 % 100:02}" for total in range(9 * sum(range(1, 10)) + 1))


def snils_check(base: str) -> str:
    """Return the two control digits of the first nine digits."""
    first, second, third = SNILS_WEIGHTS
    return SNILS_CHECKS[first[base[:3]] + second[base[3:6]] + third[base[6:9]]]


def is_snils(digits: str) -> bool:
    """Tell whether 11 ASCII digits are a valid SNILS."""
    return int(digits[:9]) <= SNILS_UNCHECKED_UP_TO or snils_check(digits) == digits[9:]


def parse_snils(text: str) -> str:
    """Return the 11 digits of a SNILS, written like `112-233-445 95` or plain."""
    digits = _plain("SNILS", text, 11)
    if not int(digits):
        raise _refuse("SNILS", "zero", "The SNILS cannot be all zeros.")
    if not is_snils(digits):
        raise _refuse("SNILS", "check_digit", "The control number of the SNILS does not fit; compare it with the card.")
    return digits


def format_snils(digits: str) -> str:
    """Return the SNILS as printed, `112-233-445 95`."""
    return f"{digits[:3]}-{digits[3:6]}-{digits[6:9]} {digits[9:]}"


# The Luhn sum of every four digits in even places: a number of 16 digits is four look-ups.
LUHN_QUARTETS = {f"{n:04}": sum((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)[int(d)] if i % 2 == 0 else int(d)
                             for i, d in enumerate(f"{n:04}")) for n in range(10_000)}  # fmt: skip


def is_luhn16(digits: str) -> bool:
    """Tell whether 16 ASCII digits end in their Luhn digit."""
    sums = LUHN_QUARTETS
    return (sums[digits[:4]] + sums[digits[4:8]] + sums[digits[8:12]] + sums[digits[12:]]) % 10 == 0


_DOUBLED = bytes.maketrans(b"0123456789", b"0246813579")


def luhn_check(base: str) -> str:
    """Return the Luhn digit to append to a string of digits."""
    digits = base.encode()
    # Codes stand for digits, so 48 goes off again for each; what is doubled beyond nine has lost its nine in the table.
    total = sum(digits[-2::-2]) + sum(digits[-1::-2].translate(_DOUBLED)) - ord("0") * len(digits)
    return str(-total % 10)


def parse_oms(text: str) -> str:
    """Return the 16 digits of the unified number of an OMS policy."""
    digits = _plain("OMS number", text, 16)
    if not int(digits):
        raise _refuse("OMS number", "zero", "The OMS number cannot be all zeros.")
    if not is_luhn16(digits):
        raise _refuse(
            "OMS number", "check_digit", "The check digit of the OMS number does not fit; compare the policy."
        )
    return digits


def parse_passport(series: str, number: str) -> tuple[str, str]:
    """Return (4 digits, 6 digits) of an internal passport."""
    checked = _plain("passport series", series, 4)
    if checked[:2] == "00":
        raise _refuse("passport series", "region", "The passport series begins with the two digits of a region.")
    return checked, _plain("passport number", number, 6)


_ROMAN = "M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})"
_CERTIFICATE_SERIES = re.compile(rf"(?=[IVXLCDM])({_ROMAN})-([А-ЯЁ]{{2}})")
# Letters typed in the wrong layout: in the numeral Latin is meant, in the two letters Cyrillic.
_TO_LATIN = str.maketrans("ХСМІ", "XCMI")
_TO_CYRILLIC = str.maketrans("ABCEHKMOPTXY", "АВСЕНКМОРТХУ")


def parse_birth_certificate(series: str, number: str) -> tuple[str, str]:
    """Return (series like `II-ИК`, 6 digits) of a birth certificate."""
    numeral, dash, letters = series.strip().upper().partition("-")
    plain = f"{numeral.strip().translate(_TO_LATIN)}{dash}{letters.strip().translate(_TO_CYRILLIC)}"
    if not plain:
        raise _refuse("certificate series", "empty", "Give the series of the birth certificate.")
    if not _CERTIFICATE_SERIES.fullmatch(plain):
        raise _refuse(
            "certificate series",
            "format",
            "The series of a birth certificate is a Roman numeral, a hyphen and two Cyrillic letters, like II-ИК.",
        )
    return plain, _plain("certificate number", number, 6)


DOCUMENTS = {"passport": parse_passport, "birth_certificate": parse_birth_certificate}


def parse_document(doc_type: str, series: str, number: str) -> tuple[str, str]:
    """Return (series, number) of a document of a known type: `passport` or `birth_certificate`."""
    try:
        parse = DOCUMENTS[doc_type]
    except KeyError:
        raise _refuse(
            "document type", "unknown", f"The document type must be one of: {', '.join(DOCUMENTS)}."
        ) from None
    return parse(series, number)


def parse_oktmo(text: str) -> str:
    """Return the 8 or 11 digits of an OKTMO code."""
    plain = _SPACING.sub("", text)
    if not _DIGITS.fullmatch(plain) or len(plain) not in {8, 11}:
        raise _refuse("OKTMO code", "format", "An OKTMO code has 8 or 11 digits.")
    return plain


def parse_fias(text: str) -> str:
    """Return the address id in the canonical form of a UUID."""
    plain = text.strip().lower()
    try:
        parsed = str(uuid.UUID(plain))
    except ValueError:
        parsed = ""
    if not plain or parsed != plain:
        raise _refuse("FIAS id", "format", "The FIAS id is a UUID like 5fd1f7a0-7c3b-4e2d-9c57-3f1f0d9f4a11.")
    return plain


# Russia and Kazakhstan share +7; the first digit of the area code tells a number that can exist.
_PLUS_SEVEN = re.compile(r"\+7[34789][0-9]{9}")
_PHONE_NOISE = re.compile(r"[\s ()‐-―.-]+")


def parse_phone(text: str) -> str:
    """Return a phone number in E.164; a Russian one may be typed with 8, brackets and hyphens."""
    plain = _PHONE_NOISE.sub("", text)
    if _PLUS_SEVEN.fullmatch(plain):
        return plain
    try:
        number = phonenumbers.parse(plain, "RU")
    except phonenumbers.NumberParseException:
        raise _refuse("phone", "format", "Write the phone number like +7 912 345-67-89.") from None
    written = str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
    if not (_PLUS_SEVEN.fullmatch(written) or phonenumbers.is_valid_number(number)):
        raise _refuse("phone", "unknown", "There can be no such phone number; write it like +7 912 345-67-89.")
    return written


_EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
                    r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)+", re.ASCII)  # fmt: skip


def parse_email(text: str) -> str:
    """Return an e-mail address that could be delivered to (RFC 5321 lengths, host with a dot)."""
    plain = text.strip()
    if len(plain) > 254 or not _EMAIL.fullmatch(plain) or ".." in plain.partition("@")[0]:
        raise _refuse("e-mail", "format", "Write the e-mail address like name@example.ru.")
    return plain


def make_card_number(prefix: str, serial: int, *, length: int = 16) -> str:
    """Return the card number of a serial: prefix, serial with zeros, Luhn digit; raise when the serial does not fit."""
    room = length - 1 - len(prefix)
    if room < 1 or not 0 <= serial < 10**room or not _DIGITS.fullmatch(prefix):
        raise _refuse("card number", "range", f"No number is left behind the prefix {prefix}; configure a new prefix.")
    base = f"{prefix}{serial:0{room}}"
    return base + luhn_check(base)


def parse_card_number(text: str, *, prefix: str = "", length: int = 16) -> str:
    """Return the digits of a card number with the given prefix and a fitting Luhn digit."""
    digits = _plain("card number", text, length)
    if not digits.startswith(prefix):
        raise _refuse("card number", "prefix", f"The card number does not begin with {prefix}: another issuer's card.")
    if luhn_check(digits[:-1]) != digits[-1]:
        raise _refuse("card number", "check_digit", "The check digit of the card number does not fit; read it again.")
    return digits


def format_card_number(digits: str) -> str:
    """Return the card number in groups of four."""
    return " ".join(digits[i : i + 4] for i in range(0, len(digits), 4))
