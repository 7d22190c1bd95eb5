"""`uec bureau`: partners, their certificates, and how their chips diversify."""

from pathlib import Path
from typing import Any

import click

from uec.cli.bureau_acting import acting
from uec.cli.options import ID, login_options, now, reading_store, settings
from uec.cli.tables import show, show_json
from uec.domain.bureau import CertificateUse

_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_bureaux(*, as_json: bool) -> None:
    """List the bureaux and their certificates."""
    from uec.services import bureaux  # noqa: PLC0415

    with reading_store(settings()) as session:
        rows: list[dict[str, Any]] = [
            {
                "code": one.code, "name": one.name, "state": one.state.value, "store": one.store_id,
                "cards_per_day": one.cards_per_day, "key_version": one.transport_version,
                "certificates": [
                    {"id": row.id, "use": row.use.value, "state": row.state.value, "until": f"{row.not_after:%Y-%m-%d}"}
                    for row in bureaux.certificates(session, one.id)
                ],
            }
            for one in bureaux.list_bureaux(session)
        ]  # fmt: skip
    if as_json:
        for row in rows:
            show_json(row)
        return
    columns = ("code", "name", "state", "store", "cards_per_day", "key_version")
    show(columns, [[row[name] for name in columns] for row in rows], title="Bureaux")
    for row in rows:
        for one in row["certificates"]:
            click.echo(f"{row['code']}: certificate {one['id']}, {one['use']}, {one['state']}, until {one['until']}")


@click.command()
@click.argument("code")
@click.argument("name")
@click.option("--store", "store_id", type=ID, required=True, help="The store whose blanks lie at the bureau.")
@click.option("--cards-per-day", type=ID, required=True, help="How many cards a day it promises; the planner's limit.")
@click.option("--key-version", type=ID, help="Version of its transport key (purpose bureau-transport) in the vault.")
@login_options
def add(
    code: str, name: str, store_id: int, cards_per_day: int, key_version: int | None, login: str,
    password_file: Path | None,
) -> None:  # fmt: skip
    """Propose a bureau; another person approves it."""
    from uec.services import bureaux  # noqa: PLC0415

    form = bureaux.BureauForm(code, name, store_id, cards_per_day, key_version)
    with acting(login, password_file) as (session, actor):
        bureaux.add(session, form, actor=actor, now=now())
    click.echo(f"bureau {code.upper()}: proposed; another person approves it")


@click.command()
@click.argument("code")
@login_options
def approve(code: str, login: str, password_file: Path | None) -> None:
    """Let a proposed bureau in, as another person than the one who proposed it."""
    from uec.services import bureaux  # noqa: PLC0415

    with acting(login, password_file) as (session, actor):
        bureaux.approve(session, bureaux.find(session, code).id, actor=actor, now=now())
    click.echo(f"bureau {code.upper()}: approved")


@click.command()
@click.argument("code")
@login_options
def end(code: str, login: str, password_file: Path | None) -> None:
    """Give a bureau no more orders; open ones are taken to their end."""
    from uec.services import bureaux  # noqa: PLC0415

    with acting(login, password_file) as (session, actor):
        bureaux.end(session, bureaux.find(session, code).id, actor=actor, now=now())
    click.echo(f"bureau {code.upper()}: gets no more orders")


@click.command()
@click.argument("code")
@click.argument("file", type=_file)
@click.option(
    "--use",
    type=click.Choice([use.value.lower() for use in CertificateUse]),
    required=True,
    help="What its key does: the bureau signs its files with it, or reads those that are enciphered to it.",
)
@login_options
def certificate(code: str, file: Path, use: str, login: str, password_file: Path | None) -> None:
    """Propose a certificate of a bureau (PEM or DER); compare its fingerprint with the bureau by telephone."""
    from uec.services import bureaux  # noqa: PLC0415

    with acting(login, password_file) as (session, actor):
        found = bureaux.find(session, code).id
        made = bureaux.add_certificate(
            session, found, file.read_bytes(), use=CertificateUse(use.upper()),
            actor=actor, now=now(),
        )  # fmt: skip
        fingerprint = next(row.fingerprint for row in bureaux.certificates(session, found) if row.id == made)
    click.echo(f"certificate {made}: proposed for {use}, SHA-256 {fingerprint}")


@click.command("approve-certificate")
@click.argument("certificate_id", type=ID)
@login_options
def approve_certificate(certificate_id: int, login: str, password_file: Path | None) -> None:
    """Take a proposed certificate into use, as another person."""
    from uec.services import bureaux  # noqa: PLC0415

    with acting(login, password_file) as (session, actor):
        bureaux.approve_certificate(session, certificate_id, actor=actor, now=now())
    click.echo(f"certificate {certificate_id}: in use")


@click.command("end-certificate")
@click.argument("certificate_id", type=ID)
@login_options
def end_certificate(certificate_id: int, login: str, password_file: Path | None) -> None:
    """Trust a certificate no more: files signed with it are refused from now on."""
    from uec.services import bureaux  # noqa: PLC0415

    with acting(login, password_file) as (session, actor):
        bureaux.end_certificate(session, certificate_id, actor=actor, now=now())
    click.echo(f"certificate {certificate_id}: ended")


@click.command()
@click.argument("lot")
@click.argument("kdd")
@login_options
def lot(lot: str, kdd: str, login: str, password_file: Path | None) -> None:
    """Enter how the chips of LOT diversify: 20 hex digits, SSSSSSSS in the place of the serial number."""
    from uec.services import bureaux  # noqa: PLC0415

    with acting(login, password_file) as (session, actor):
        bureaux.add_lot(session, lot, kdd, actor=actor, now=now())
    click.echo(f"lot {lot.lower()}: entered")


@click.command("office-certificate")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="PEM file to write.")
def office_certificate(out: Path) -> None:
    """Write the certificate that our orders are signed with, for the bureau to pin."""
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

    from uec.services import authority  # noqa: PLC0415

    with reading_store(settings()) as session:
        der = authority.certificates(session).document_signer
    out.write_bytes(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM))
    click.echo(f"{out}: written")


@click.command("format")
def show_format() -> None:
    """Print the format of the files that office and bureau exchange, for whoever writes a bureau's software."""
    from importlib.resources import files  # noqa: PLC0415

    click.echo((files("issuance.bureau") / "format.md").read_text("utf-8"), nl=False)


COMMANDS = (
    list_bureaux, add, approve, end, certificate, approve_certificate, end_certificate, lot, office_certificate,
    show_format,
)  # fmt: skip
