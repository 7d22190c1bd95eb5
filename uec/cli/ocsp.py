"""`uec ocsp`: the process that answers about certificates, and what an administrator asks about it."""

import os
from datetime import timedelta
from secrets import token_bytes

import click

from uec.cli.options import now, reading_store, settings, store
from uec.cli.serial_numbers import serial_number
from uec.cli.tables import show_facts

WORKER_STOP_TIMEOUT_S = 4  # less than whoever started it allows


@click.group()
def ocsp() -> None:
    """Answers about single certificates (OCSP): run the responder, look at its answers, sign them now.

    Terminals find the responder by the setting `ocsp_url`, which stands in every certificate; a proxy passes it on to
    `ocsp_listen`. Answers are signed ahead by `uec worker`; `uec ocsp run` asks the vault only for what is new, what
    was decided a moment ago, and for questions with a nonce.
    """


@ocsp.command()
def run() -> None:
    """Answer on `ocsp_listen` until stopped."""
    from uec.domain.settings_rules import split_address  # noqa: PLC0415
    from uec.settings import ENVIRONMENT  # noqa: PLC0415
    from uec.store.migrate import require_current  # noqa: PLC0415

    chosen = settings()
    require_current(chosen.database_url)
    os.environ[ENVIRONMENT] = str(chosen.source)  # the server's own processes read the same file
    host, port = split_address(chosen.ocsp_listen)
    click.echo(f"ocsp answers on http://{chosen.ocsp_listen}; stop with Ctrl-C", err=True)
    serve("uec.cli.rsgi:application", "127.0.0.1" if host == "localhost" else host, port)


def serve(target: str, host: str, port: int) -> None:
    """Serve an RSGI application (`module:name`) until stopped: one worker, one thread, no WebSockets."""
    from granian.constants import Interfaces  # noqa: PLC0415
    from granian.server import Server  # noqa: PLC0415

    Server(
        target,
        address=host,
        port=port,
        interface=Interfaces.RSGI,
        websockets=False,
        log_access=False,
        workers_kill_timeout=WORKER_STOP_TIMEOUT_S,
    ).serve()


@ocsp.command()
def status() -> None:
    """Show how many answers are signed ahead, how many wait, and until when their signers live."""
    from uec.services import authority, ocsp_answers, ocsp_signers  # noqa: PLC0415

    moment = now()
    with reading_store(settings()) as session:
        stock = ocsp_answers.stock(session, now=moment)
        show_facts({"answers": stock.answers, "to be signed": stock.due})
        show_facts({"oldest speaks from": stock.oldest or "-"})
        for issuing in authority.issuing_in_use(session, now=moment):
            signer = ocsp_signers.newest(session, issuing, now=moment)
            show_facts({"signer until": signer.not_after if signer else "none yet: run `uec ocsp refresh`"})


@ocsp.command()
def refresh() -> None:
    """Sign every answer that waits now, and renew the signer where it is time."""
    from issuance.keys.access import ClientKind  # noqa: PLC0415
    from issuance.keys.client import VaultClient  # noqa: PLC0415
    from uec.services import ocsp_answers, ocsp_signers, phases  # noqa: PLC0415

    chosen, moment = settings(), now()
    with (
        store(chosen) as sessions,
        sessions() as session,
        VaultClient(chosen.vault_socket, ClientKind.CA) as vault,
    ):
        for until in ocsp_signers.renew_due(session, vault, settings=chosen, now=moment, random=token_bytes):
            click.echo(f"new signer until {until:%Y-%m-%d}")
        delegates = ocsp_signers.delegates(session, vault, now=moment)
        life, signed = timedelta(hours=phases.book(session, chosen.policy).at(moment).ocsp_hours), 0
        while more := ocsp_answers.sign_due(session, delegates, life=life, now=moment):
            signed += more
    click.echo(f"{signed} answers signed")


@ocsp.command()
@click.argument("serial")
def ask(serial: str) -> None:
    """Ask the responder at `ocsp_url` about the certificate with this SERIAL (hex) and show what it says."""
    from cryptography.x509 import ocsp as library  # noqa: PLC0415

    from uec.ocsp.client import ask as ask_responder  # noqa: PLC0415
    from uec.services import authority  # noqa: PLC0415

    chosen, number = settings(), serial_number(serial)
    with reading_store(chosen) as session:
        issuing = authority.certificates(session).issuing
    answer = ask_responder(chosen.ocsp_url, issuing, number)
    if answer.response_status is not library.OCSPResponseStatus.SUCCESSFUL:
        show_facts({"answer": answer.response_status.name.lower().replace("_", " ")})
        return
    show_facts({"state": answer.certificate_status.name.lower()})
    if answer.revocation_time_utc is not None:
        reason = answer.revocation_reason
        show_facts({"since": answer.revocation_time_utc, "reason": reason.value if reason else "-"})
    show_facts({"speaks from": answer.this_update_utc, "until": answer.next_update_utc or "-"})
