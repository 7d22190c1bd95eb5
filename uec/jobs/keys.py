"""Jobs that need the vault or look after its keys: lists and answers for terminals, signed audit, what the keys are."""

from datetime import timedelta

from uec.jobs.tools import Tools, policy_of
from uec.services import authority, key_rotation, key_sweep, ocsp_answers, ocsp_signers, publication, vault_memory
from uec.services.audit import sign_head


def publish(tools: Tools) -> str:
    """Publish what terminals fetch, where something changed or time runs out."""
    now, said = tools.clock(), []
    with tools.sessions() as session:
        policy = policy_of(session, tools)
        if publication.any_crl_due(session, policy=policy, now=now):
            ca = authority.open_authority(session, tools.vault, settings=tools.settings)
            said += publication.publish_due(session, ca, policy=policy, now=now)
        if publication.stop_list_due(session, policy=policy, now=now):
            signer = authority.document_signer(session, tools.vault)
            said.append(f"stop-list {publication.publish_stop_list(session, signer, policy=policy, now=now)}")
    return ", ".join(said) or "nothing changed"


def sign_answers(tools: Tools) -> str:
    """Sign answers about certificates ahead: what is void first, then what is old; renew the signer in time."""
    now = tools.clock()
    with tools.sessions() as session:
        life = timedelta(hours=policy_of(session, tools).ocsp_hours)
        said = [
            f"signer until {until:%Y-%m-%d}"
            for until in ocsp_signers.renew_due(
                session, tools.vault, settings=tools.settings, now=now, random=tools.random
            )
        ]
        delegates = ocsp_signers.delegates(session, tools.vault, now=now)
        signed = ocsp_answers.sign_due(session, delegates, life=life, now=now)
    return ", ".join(said + ([f"signed {signed}"] if signed else [])) or "nothing due"


def sign_audit(tools: Tools) -> str:
    """Put a signature under the present ends of the audit chains."""
    with tools.sessions() as session:
        head = sign_head(session, tools.vault, now=tools.clock())
    return "nothing new" if head is None else f"head {head.id}"


def meet_vault(tools: Tools) -> str:
    """Count on with the vault, so that an older copy of either is known."""
    with tools.sessions() as session:
        vault_memory.meet(session, tools.vault)
    return "agreed"


def note_keys(tools: Tools) -> str:
    """Note versions, uses and periods of the vault's keys for the office's page; name those that end."""
    with tools.sessions() as session:
        ending = key_rotation.refresh(session, tools.vault, now=tools.clock())
    return "; ".join(["noted", *ending])


def sweep_keys(tools: Tools) -> str:
    """Look over every certified key again."""
    known, missing = authority.weak_keys(tools.settings)
    with tools.sessions() as session:
        swept = key_sweep.sweep_keys(session, weak_keys=known, missing=missing, now=tools.clock())
    said = f"looked at {swept.looked_at} certificates, {len(swept.findings)} findings"
    return f"{said}; {missing}" if missing else said
