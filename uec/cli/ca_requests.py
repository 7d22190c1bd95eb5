"""`uec ca certify`, `list`, `revoke`: certificates of stations and staff, by requests they make and sign themselves."""

from pathlib import Path
from secrets import token_bytes

import click

from uec.cli.options import now, reading_store, settings, store
from uec.cli.serial_numbers import serial_number
from uec.cli.tables import show
from uec.domain.actors import system_actor

OPERATOR = system_actor("command line")
REASONS = {
    "keyCompromise": "KEY_COMPROMISE",
    "affiliationChanged": "AFFILIATION_CHANGED",
    "superseded": "SUPERSEDED",
    "cessationOfOperation": "CESSATION_OF_OPERATION",
}
"""Reasons as lists write them (RFC 5280 section 5.3.1), and their names in `RevocationReason`."""


@click.command()
@click.argument("request_file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--profile", type=click.Choice(["station", "staff"]), required=True, help="What the certificate is for.")
@click.option("--name", required=True, help="The common name: a station's name, or a person's.")
@click.option("--surname", help="A member of staff's surname.")
@click.option("--given-name", help="A member of staff's given names.")
@click.option("--number", help="A member of staff's personnel number.")
@click.option("--days", type=click.IntRange(1, 730), default=365, show_default=True, help="For how long at most.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="Write it here, as PEM.")
def certify(
    request_file: Path,
    profile: str,
    name: str,
    surname: str | None,
    given_name: str | None,
    number: str | None,
    days: int,
    out: Path,
) -> None:
    """Sign a certificate for a station or a member of staff, by a request (PKCS #10) in PEM or DER.

    \b
    Example: openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 \\
                 -keyout station.key -subj /CN=anything -out station.csr
             uec ca certify station.csr --profile station --name window-7 --out station.pem
    The private key stays with whoever made it; the request shows that they hold
    it. What it says about their name is not taken over: --name says it. A key
    that was ever certified is not certified again for anybody else; the same
    request gives the same certificate again, if its file was lost.
    """
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

    from issuance.keys.access import ClientKind  # noqa: PLC0415
    from issuance.keys.client import VaultClient  # noqa: PLC0415
    from uec.domain.errors import InvalidInput  # noqa: PLC0415
    from uec.services import authority, requested_certificates  # noqa: PLC0415

    chosen = settings()
    if not out.parent.is_dir():
        raise InvalidInput(f"There is no folder {out.parent} to write to; nothing was signed.")
    with store(chosen) as sessions, sessions() as session, VaultClient(chosen.vault_socket, ClientKind.CA) as vault:
        opened = authority.open_authority(session, vault, settings=chosen)
        subject = opened.config.subject(common_name=name, surname=surname, given_name=given_name, serial_number=number)
        wanted = requested_certificates.Wanted(profile, subject, days)
        der = requested_certificates.certify(
            session, opened, _request(request_file), wanted, actor=OPERATOR, now=now(), random=token_bytes
        )
    parsed = x509.load_der_x509_certificate(der)
    out.write_bytes(parsed.public_bytes(Encoding.PEM))
    click.echo(f"certificate {parsed.serial_number:x} until {parsed.not_valid_after_utc:%Y-%m-%d} is in {out}")


def _request(file: Path) -> bytes:
    """The request in DER, whichever way the file has it."""
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

    content = file.read_bytes()
    if not content.lstrip().startswith(b"-----"):
        return content
    try:
        return x509.load_pem_x509_csr(content).public_bytes(Encoding.DER)
    except ValueError:
        return content  # refused for what it is, with an entry in the audit


@click.command("list")
def listed() -> None:
    """List the certificates of stations and staff, newest first."""
    from uec.services import requested_certificates  # noqa: PLC0415

    with reading_store(settings()) as session:
        rows = [
            (row.serial, row.profile, row.subject, f"{row.not_after:%Y-%m-%d}", row.state.value)
            for row in requested_certificates.listed(session)
        ]
    show(("serial", "profile", "subject", "until", "state"), rows)


@click.command()
@click.argument("serial")
@click.option("--reason", type=click.Choice(list(REASONS)), required=True, help="Why, as the revocation list will say.")
def revoke(serial: str, reason: str) -> None:
    """Revoke a station's or a member of staff's certificate for good, by its serial number in hex.

    \b
    Example: uec ca revoke 8f04c1... --reason keyCompromise
    Answers about it (OCSP) say so at once, the revocation list with its next
    number. Certificates of cards are revoked with their card.
    """
    from issuance.pki.crl import RevocationReason  # noqa: PLC0415
    from uec.services import requested_certificates  # noqa: PLC0415

    chosen, number = settings(), f"{serial_number(serial):x}"
    with store(chosen) as sessions, sessions() as session:
        requested_certificates.revoke(
            session, number, reason=RevocationReason[REASONS[reason]], actor=OPERATOR, now=now()
        )
    click.echo(f"certificate {number} is revoked")
