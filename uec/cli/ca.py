"""`uec ca`: the certification authority of the office. Its keys stay in the vault process."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_bytes
from typing import TYPE_CHECKING

import click

from uec.cli.ca_requests import certify, listed, revoke
from uec.cli.options import now, reading_store, settings, store
from uec.cli.tables import show_facts
from uec.domain.actors import system_actor

if TYPE_CHECKING:
    from issuance.keys.client import VaultClient
    from uec.settings import Settings

OPERATOR = system_actor("command line")


@click.group()
def ca() -> None:
    """The certification authority: make it, show it, certify stations and staff, publish its stop-list.

    Its keys never leave the vault: whatever signs needs `uec vault` running. Cards get their certificates by themselves
    while they are made; see `uec crl` for revocation lists and `uec ocsp` for answers about single certificates.
    """


@contextmanager
def _vault(chosen: "Settings") -> "Iterator[VaultClient]":
    from issuance.keys.access import ClientKind  # noqa: PLC0415
    from issuance.keys.client import VaultClient  # noqa: PLC0415

    with VaultClient(chosen.vault_socket, ClientKind.CA) as vault:
        yield vault


@ca.command("init")
def make() -> None:
    """Make root, issuing authority and document signer of the vault's keys (`uec init` has done it already)."""
    from uec.services import authority  # noqa: PLC0415

    chosen = settings()
    with store(chosen) as sessions, sessions() as session, _vault(chosen) as vault:
        authority.create(session, vault, settings=chosen, actor=OPERATOR, now=now(), random=token_bytes)
    click.echo("authority made; `uec ca show` tells about it")


@ca.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write root.pem, issuing.pem, document-signer.pem and crl.pem into this folder.",
)
def show(out: Path | None) -> None:
    """Show the authority's certificates, and write them to a folder for terminals and OpenSSL."""
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

    from uec.domain.errors import NotFound  # noqa: PLC0415
    from uec.services import authority, publication  # noqa: PLC0415

    chosen = settings()
    with reading_store(chosen) as session:
        known = authority.certificates(session)
        try:
            crl = x509.load_der_x509_crl(publication.latest_crl(session))
        except NotFound:
            crl = None
    files = {"root": known.root, "issuing": known.issuing, "document-signer": known.document_signer}
    for name, der in files.items():
        parsed = x509.load_der_x509_certificate(der)
        show_facts({name: parsed.subject.rfc4514_string(), "  serial": f"{parsed.serial_number:x}"})
        show_facts({"  until": parsed.not_valid_after_utc})
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            (out / f"{name}.pem").write_bytes(parsed.public_bytes(Encoding.PEM))
    known_weak, missing = authority.weak_keys(chosen)
    show_facts({"weak RSA keys known": len(known_weak.fingerprints)})
    if missing:
        click.echo(f"uec: {missing}", err=True)
    if crl is not None:
        show_facts({"revocation list": f"{len(crl)} certificates", "  until": crl.next_update_utc})
        if out is not None:
            (out / "crl.pem").write_bytes(crl.public_bytes(Encoding.PEM))


@ca.command("stop-list")
def stop_list() -> None:
    """Sign and publish the stop-list now."""
    from uec.services import authority, phases, publication  # noqa: PLC0415

    chosen = settings()
    with store(chosen) as sessions, sessions() as session, _vault(chosen) as vault:
        signer = authority.document_signer(session, vault)
        policy = phases.book(session, chosen.policy).at(now())
        number = publication.publish_stop_list(session, signer, policy=policy, now=now())
    click.echo(f"stop-list {number} published")


for command in (certify, listed, revoke):
    ca.add_command(command)
