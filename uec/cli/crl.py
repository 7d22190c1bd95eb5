"""`uec crl`: the lists of certificates that must not be trusted, as terminals fetch them."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from uec.cli.options import now, reading_store, settings, store
from uec.cli.tables import show, show_facts

if TYPE_CHECKING:
    from datetime import datetime

    from uec.services.publication import Planned


@click.group()
def crl() -> None:
    """Revocation lists (CRL): what is published, what a list says, and what comes next.

    `uec worker` publishes by itself: soon after each change, and long before a list ends. Lists are fetched by plain
    http below `lists_url` (or `base_url`), at pki/crl/NAME.crl. NAME is `issuing` for the whole list, `issuing-3` for a
    part (setting `pki.crl_part_entries`), with `-delta` behind it for the changes since, and `root` for the root's own.
    """


@crl.command("list")
def list_lists() -> None:
    """List the newest edition of every list."""
    from uec.services import publication  # noqa: PLC0415

    with reading_store(settings()) as session:
        planned = publication.plan(session)
    show(
        ("name", "number", "entries", "bytes", "made", "ends"),
        [(one.name, one.number, one.entries, one.size_bytes, one.this_update, one.next_update) for one in planned],
        title="Revocation lists",
    )


@crl.command("next")
def next_editions() -> None:
    """Show when each list is made again even if nothing changes, the soonest first."""
    from uec.services import phases, publication  # noqa: PLC0415

    chosen, moment = settings(), now()
    with reading_store(chosen) as session:
        planned = publication.plan(session)
        waits = publication.any_crl_due(session, policy=phases.book(session, chosen.policy).at(moment), now=moment)
    planned.sort(key=lambda one: one.next_edition)
    show(
        ("name", "next edition", "ends", "state"),
        [(one.name, one.next_edition, one.next_update, _state(one, moment)) for one in planned],
        title="Next editions",
    )
    if waits or not planned:
        click.echo("Something is due now: `uec worker` publishes it, or `uec crl publish` does.", err=True)


@crl.command()
@click.option("--all", "everything", is_flag=True, help="Make every list anew, due or not.")
@click.option("--root", is_flag=True, help="Make the root's own list anew; due once a year.")
def publish(everything: bool, root: bool) -> None:  # noqa: FBT001 - switches of the command line
    """Sign and publish now what is due."""
    from issuance.keys.access import ClientKind  # noqa: PLC0415
    from issuance.keys.client import VaultClient  # noqa: PLC0415
    from uec.services import authority, crl_entries, phases, publication  # noqa: PLC0415

    chosen, moment = settings(), now()
    with (
        store(chosen) as sessions,
        sessions() as session,
        VaultClient(chosen.vault_socket, ClientKind.CA) as vault,
    ):
        if root:
            click.echo(f"CRL root {authority.renew_root_crl(session, vault, now=moment)} published")
            return
        opened = authority.open_authority(session, vault, settings=chosen)
        policy = phases.book(session, chosen.policy).at(moment)
        if everything:
            for part in crl_entries.parts(session):
                number = publication.publish_crl(session, opened, policy=policy, now=moment, part=part)
                click.echo(f"CRL {publication.list_name(part)} {number} published")
            return
        said = publication.publish_due(session, opened, policy=policy, now=moment)
    click.echo("\n".join(f"{line} published" for line in said) or "nothing is due; --all makes every list anew")


@crl.command("show")
@click.argument("name", default="issuing")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the list (DER) into this file.")
def show_list(name: str, out: Path | None) -> None:
    """Show what the list NAME says of itself, and write it to a file for terminals and OpenSSL."""
    from cryptography import x509  # noqa: PLC0415

    from uec.domain.errors import NotFound  # noqa: PLC0415
    from uec.services import publication  # noqa: PLC0415

    with reading_store(settings()) as session:
        known = [one.name for one in publication.plan(session)]
        if name not in known and (name != publication.ISSUING or set(known) - {publication.ROOT}):
            raise NotFound(f"There is no list {name}; there are: {', '.join(known)}.", kind="Crl", id=name)
        der = publication.latest_crl(session, issuer=name)
    parsed = x509.load_der_x509_crl(der)
    facts: dict[str, object] = {"issuer": parsed.issuer.rfc4514_string()}
    facts |= {"entries": len(parsed), "made": parsed.last_update_utc, "ends": parsed.next_update_utc, "bytes": len(der)}
    for extension in parsed.extensions:
        match extension.value:
            case x509.CRLNumber():
                facts["number"] = extension.value.crl_number
            case x509.DeltaCRLIndicator():
                facts["changes since number"] = extension.value.crl_number
            case x509.IssuingDistributionPoint():
                facts["speaks for"] = ", ".join(place.value for place in extension.value.full_name or ())
            case x509.FreshestCRL():
                facts["changes at"] = ", ".join(
                    place.value for point in extension.value for place in point.full_name or ()
                )
    show_facts(facts)
    if out is not None:
        out.write_bytes(der)


@crl.command()
def verify() -> None:
    """Check every newest list as a terminal does: signature, dates, order of numbers; fails when one does not hold."""
    from uec.domain.errors import InvalidInput  # noqa: PLC0415
    from uec.services import crl_check  # noqa: PLC0415

    with reading_store(settings()) as session:
        found = crl_check.check_lists(session, now=now())
    show(("name", "number", "finding"), [(one.name, one.number, one.finding or "sound") for one in found])
    if bad := [one.name for one in found if one.finding]:
        raise InvalidInput(f"{', '.join(bad)}: publish anew with `uec crl publish --all`.")


def _state(one: "Planned", moment: "datetime") -> str:
    if one.next_update <= moment:
        return "HAS ENDED"
    return "due" if one.next_edition <= moment else "fresh"
