"""`uec audit`: the chain of everything that was done and looked at, out of the database and checked without it."""

from pathlib import Path

import click

from uec.cli.options import reading_store, settings, store


@click.group()
def audit() -> None:
    """Export the audit and verify an export offline."""


@audit.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def export(file: Path) -> None:
    """Write the whole audit to FILE, one JSON object a line, with its signed heads.

    With `uec vault` running a head is signed first, so that the newest entries are covered too.
    """
    from issuance.errors import VaultUnavailable  # noqa: PLC0415
    from issuance.keys.access import ClientKind  # noqa: PLC0415
    from issuance.keys.client import VaultClient  # noqa: PLC0415
    from issuance.keys.port import KeyPurpose  # noqa: PLC0415
    from uec.cli.options import now  # noqa: PLC0415
    from uec.services import audit as service  # noqa: PLC0415

    chosen = settings()
    try:
        with VaultClient(chosen.vault_socket, ClientKind.WORKER) as vault:
            vault.active(KeyPurpose.AUDIT)  # it answers: only then is there anything to write
            with store(chosen) as sessions, sessions() as session:
                service.sign_head(session, vault, now=now())
    except VaultUnavailable:
        click.echo("uec vault does not answer: entries since the last signed head are not covered", err=True)
    with reading_store(chosen) as session:
        entries = service.export_file(session, file)
    click.echo(f"{entries} entries written to {file}")


@audit.command("public-key")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def public_key(file: Path) -> None:
    """Write the public key that exports are verified with to FILE (PEM). Needs `uec vault` running."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

    from issuance.keys.access import ClientKind  # noqa: PLC0415
    from issuance.keys.client import VaultClient  # noqa: PLC0415
    from issuance.keys.port import KeyPurpose  # noqa: PLC0415
    from uec.services.whole_file import whole_file  # noqa: PLC0415

    pem = b""
    with VaultClient(settings().vault_socket, ClientKind.WORKER) as vault:
        for info in vault.describe(KeyPurpose.AUDIT):
            key = serialization.load_der_public_key(vault.public_key(info.ref))
            pem += key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    with whole_file(file) as out:
        out.write(pem.decode("ascii"))
    click.echo(f"public key written to {file}")


@audit.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--public-key",
    "key_file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The audit's public key, PEM or DER (`uec audit public-key`).",
)
@click.pass_context
def verify(ctx: click.Context, file: Path, key_file: Path) -> None:
    """Verify an export offline: every altered, missing or cut-off entry is named with its place.

    Needs neither settings nor database. Exit code 1 when anything is wrong.
    """
    from uec.services.audit_verify import verify_file  # noqa: PLC0415

    report = verify_file(file, key_file.read_bytes())
    for finding in report.findings:
        click.echo(f"line {finding.line}: {finding.kind}: {finding.text}")
    if report.more_findings:
        click.echo(f"... and {report.more_findings} more")
    click.echo(f"{report.entries} entries, {report.heads} signed heads, {report.unsigned} entries after the last head")
    # An export that ends early on purpose ends with an old head: only this date shows it.
    click.echo(f"signed up to {report.last_head_at or 'nothing'}")
    click.echo("the audit is whole" if report.ok else "the audit is BROKEN: keep the file and report it")
    ctx.exit(0 if report.ok else 1)
