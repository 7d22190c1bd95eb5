"""`uec card`: readers and cards of this machine, without office or database."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from card_io.errors import CardError
from uec.cli.options import now
from uec.cli.tables import show, show_facts, show_json
from uec.domain.errors import InvalidFile, UecError
from uec.settings import shipped_profiles

if TYPE_CHECKING:
    from card_io.connection import Connection
    from card_io.survey import Survey

PROFILE = shipped_profiles() / "uec.toml"
# The key set that GlobalPlatform samples and public test vectors use; blanks of a real maker have their own.
TEST_MASTER = bytes(range(0x40, 0x50))


class NotOfProfile(UecError):
    """A card that cannot be judged by the profile it was held against. Facts: `profile`, `reason`, `applets`."""

    code = "uec.not_of_profile"

    def __init__(self, profile: str, reason: str, applets: tuple[str, ...]) -> None:
        """Say what the card is, and what the check needs."""
        found = (
            f"The card's applications are {', '.join(applets)}" if applets else "It has no application of a known name"
        )
        super().__init__(
            f"This is no finished card of profile {profile} ({reason}). {found}. Put in a card that was made by this "
            "profile, or name the profile it was made by with --profile; `uec card read` tells more about this one.",
            profile=profile,
            reason=reason,
            applets=applets,
        )


_file = click.Path(exists=True, dir_okay=False, path_type=Path)
_reader = click.option("--reader", default="0", show_default=True, help="Number or name of the reader.")


@click.group()
def card() -> None:
    """Readers and cards on this machine: list, virtual, read, check."""


def _chosen(reader: str) -> str | int:
    return int(reader) if reader.isdigit() else reader


@card.command("list")
def list_readers() -> None:
    """List the readers of this machine: whether a card lies in each, and what a holder may do at its own keys."""
    from card_io.pcsc import Context, pin_pad_abilities  # noqa: PLC0415

    context = Context()
    try:
        slots = context.slots()
    finally:
        context.release()
    rows = []
    for number, (name, slot) in enumerate(slots.items()):
        pad = pin_pad_abilities(name)
        keys = "in use by another program" if pad is None else ", ".join(pad) or "none"
        rows.append((number, name, slot.atr.hex().upper() or "no card", keys))
    show(("number", "reader", "card", "keys"), rows)


@card.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--reader", default=0, show_default=True, type=click.IntRange(0, 15), help="Virtual reader, from 0.")
@click.option(
    "--port", type=click.IntRange(1, 65535), help="TCP port of the virtual reader; default: that of the running pcscd."
)
@click.option("--blank", is_flag=True, help="Make FILE a new blank with the published test keys 40..4F first.")
def virtual(file: Path, reader: int, port: int | None, blank: bool) -> None:  # noqa: FBT001 - a flag of the command line
    """Put the virtual card in FILE into a virtual PC/SC reader, until Ctrl-C takes it out."""
    from card_io.pcscd import reader_ports  # noqa: PLC0415
    from card_io.virtual.vpcd import serve  # noqa: PLC0415

    if blank:
        _make_blank(file)
    elif not file.exists():
        raise InvalidFile(f"{file} is not there: name a virtual card's file, or add --blank.", path=file, line=None)
    said = f"{file} lies in virtual reader {reader}; Ctrl-C takes it out"
    try:
        serve(file, port=port or reader_ports()[0] + reader, put_in=lambda: click.echo(said, err=True))
    except KeyboardInterrupt:
        click.echo("taken out", err=True)


@card.command()
@_reader
def read(reader: str) -> None:
    """Say what card lies in a reader, whoever made it: its chip, its keys, its applications.

    Asks only what any card tells anyone; no key, no PIN, no try is spent.
    """
    from card_io.pcsc import open_reader  # noqa: PLC0415
    from card_io.survey import survey  # noqa: PLC0415

    connection = open_reader(_chosen(reader))
    try:
        found = survey(connection)
        facts: dict[str, object] = {"ATR": found.atr.hex().upper(), **_domain_facts(found)}
        facts["applications"] = ", ".join(found.applets) or "none of a known name"
        if not found.applets or "uec" in found.applets:
            facts |= _face(connection, PROFILE)
    finally:
        connection.close()
    show_facts(facts)


def _domain_facts(found: "Survey") -> dict[str, object]:
    """What the issuer's security domain told, one line each; one line for a card that has none."""
    if found.issuer_domain is None:
        return {"domain": "no GlobalPlatform security domain answers"}
    facts: dict[str, object] = {"domain": found.issuer_domain.hex().upper()}
    if found.version is not None:
        channels = ", ".join(f"SCP{protocol:02X} i={option:02X}" for protocol, option in found.protocols)
        facts["GlobalPlatform"] = f"{found.version} ({channels})" if channels else found.version
    facts["chip"] = found.chip.hex() if found.chip is not None else "not told"
    versions = sorted({key.kvn for key in found.keys})
    counts = (f"version {kvn:02X} ({sum(key.kvn == kvn for key in found.keys)} keys)" for kvn in versions)
    return facts | {"keys": ", ".join(counts) or "not told"}


@card.command()
@_reader
@click.option(
    "--profile",
    "profile_file",
    type=_file,
    default=PROFILE,
    help="The card profile.",
)
@click.option("--root", required=True, type=_file, help="Root certificate, DER or PEM.")
@click.option("--issuing", required=True, multiple=True, type=_file, help="Issuing authority; may be repeated.")
@click.option("--policy-arc", help="The operator's OID; default that of this software.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.pass_context
def check(
    ctx: click.Context,
    reader: str,
    profile_file: Path,
    root: Path,
    issuing: tuple[Path, ...],
    policy_arc: str | None,
    as_json: bool,  # noqa: FBT001 - a flag of the command line
) -> None:
    """Tell whether the card in a reader is genuine: offline, from the card and the issuer's certificates alone.

    Exit code 1 when any check fails, or when the card is none of the profile's.
    """
    from secrets import token_bytes  # noqa: PLC0415

    from card_io.pcsc import open_reader  # noqa: PLC0415
    from issuance.pki.config import CaConfig  # noqa: PLC0415
    from issuance.production.anchors import Anchors  # noqa: PLC0415
    from issuance.production.check import check_card  # noqa: PLC0415
    from issuance.production.errors import ForeignCard  # noqa: PLC0415
    from issuance.production.profile import load_profile  # noqa: PLC0415
    from issuance.production.relay import OpenedSlot  # noqa: PLC0415

    anchors = Anchors.of(_certificate(root), tuple(map(_certificate, issuing)), policy_arc or CaConfig.policy_arc)
    profile = load_profile(profile_file)
    slot = OpenedSlot(lambda: open_reader(_chosen(reader)))
    try:
        report = check_card(slot, profile, anchors, now=now(), random=token_bytes)
    except ForeignCard as error:
        raise NotOfProfile(profile.name, error.reason, _applets_in(reader)) from error
    facts = {name: value for name, value in report.facts.items() if not isinstance(value, bytes)}
    if as_json:
        findings = [{"check": one.check, "ok": one.ok, "reason": one.reason} for one in report.findings]
        show_json({"genuine": report.genuine, "chip": report.chip_id, "facts": facts, "findings": findings})
    else:
        show_facts({"chip": report.chip_id, **facts})
        show(
            ("check", "holds", "reason"),
            [(one.check, "yes" if one.ok else "NO", one.reason) for one in report.findings],
        )
        click.echo("genuine" if report.genuine else "NOT genuine: keep the card and report it")
    ctx.exit(0 if report.genuine else 1)


@card.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--audit",
    "audit_file",
    type=_file,
    help="An export of the audit: whether each key is one that a station was enrolled with. Check it first "
    "(`uec audit verify`).",
)
@click.pass_context
def evidence(ctx: click.Context, folder: Path, audit_file: Path | None) -> None:
    """Judge offline what `uec cards evidence --out` wrote: who signed each session of a card, and what does not hold.

    Exit code 1 when anything is wrong. A session that no station signed proves nothing, and is told as such.
    """
    from issuance.station.evidence import judge  # noqa: PLC0415

    judged = judge(folder)
    enrolled = None if audit_file is None else _enrolled_keys(audit_file)
    columns = ("session", "card", "work", "begun", "station", "commands", "verdict")
    rows, broken = [], False
    for one in judged:
        stranger = enrolled is not None and one.key and one.key not in enrolled
        wrong = "; ".join(filter(None, (one.wrong, "no station was enrolled with this key" if stranger else "")))
        broken = broken or bool(wrong)
        verdict = f"WRONG: {wrong}" if wrong else "signed" if one.signed else "not signed"
        rows.append((one.name, one.card, one.work, one.begun, one.station, one.commands, verdict))
    show(columns, rows)
    for key in sorted({one.key for one in judged if one.key}):
        click.echo(f"key {key}", err=True)
    if enrolled is None:
        click.echo("compare each key with the entries station.enrol of the audit, or name an export: --audit", err=True)
    ctx.exit(1 if broken else 0)


def _enrolled_keys(file: Path) -> set[str]:
    """SHA-256 (hex) of every key that a station was enrolled with, out of an export of the audit."""
    import json  # noqa: PLC0415

    keys = set()
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                entry = json.loads(line)
                if entry.get("action") == "station.enrol":
                    keys.add(str(entry["details"]["key"]))
            except (ValueError, AttributeError, KeyError, TypeError) as error:
                raise InvalidFile(
                    f"{file} is no export of the audit (line {number}).", path=file, line=number
                ) from error
    return keys


def _applets_in(reader: str) -> tuple[str, ...]:
    """The applets of known names on the card in a reader."""
    from card_io.pcsc import open_reader  # noqa: PLC0415
    from card_io.survey import survey  # noqa: PLC0415

    connection = open_reader(_chosen(reader))
    try:
        return survey(connection).applets
    finally:
        connection.close()


def _certificate(file: Path) -> bytes:
    """A certificate in DER, from DER or PEM; raises `InvalidFile`."""
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

    content = file.read_bytes()
    load = x509.load_pem_x509_certificate if content.startswith(b"-----") else x509.load_der_x509_certificate
    try:
        return load(content).public_bytes(Encoding.DER)
    except ValueError as error:
        raise InvalidFile(f"{file} is no certificate: name a DER or PEM file.", path=file, line=None) from error


def _make_blank(file: Path) -> None:
    """A blank as its maker delivers it, with keys derived from the published test key set."""
    from secrets import token_bytes  # noqa: PLC0415

    from card_io.diversification import kdf3  # noqa: PLC0415
    from card_io.secret import Secret  # noqa: PLC0415
    from card_io.virtual.card import VirtualCard  # noqa: PLC0415
    from card_io.virtual.chip import cplc_for, diversification_data  # noqa: PLC0415
    from card_io.virtual.keysets import KeySet  # noqa: PLC0415

    if file.exists():
        raise InvalidFile(f"{file} is there already: name a new file, or leave --blank out.", path=file, line=None)
    seed = token_bytes(16)
    keys = kdf3(Secret(TEST_MASTER), diversification_data(cplc_for(seed)))
    VirtualCard.blank(seed, initial_keys=KeySet(keys.enc, keys.mac, keys.dek)).save(file)


def _face(connection: "Connection", profile_file: Path) -> dict[str, object]:
    """What an office's card tells without a PIN; nothing for a blank or somebody else's card."""
    from card_io.applets.uec.layout import Fid  # noqa: PLC0415
    from card_io.applets.uec.session import UecSession  # noqa: PLC0415
    from issuance.production.datagroups import read_data_group  # noqa: PLC0415
    from issuance.production.errors import InvalidCardData  # noqa: PLC0415
    from issuance.production.profile import load_profile  # noqa: PLC0415

    opened = UecSession(connection)
    try:
        opened.select()
        facts: dict[str, object] = {"applet": f"uec, {opened.applet_state().name.lower()}"}
        facts["PINs"] = ", ".join(f"{pin.ref.name} {pin.tries_left} tries left" for pin in opened.pins())
        group = next(group for group in load_profile(profile_file).data_groups if group.fid == Fid.DG1)
        return facts | dict(read_data_group(group, opened.read_file(Fid.DG1)))
    except (CardError, InvalidCardData) as error:
        return {"applet": f"no finished card of ours ({error})"}
