"""What the office does by itself: each job, its rhythm, and the services it calls.

The scheduler reads the rhythms, workers do the work. A job may run twice and be killed anywhere: its services are
transactions that find nothing left to do.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session, sessionmaker

from issuance.errors import IssuanceError
from issuance.keys.port import Vault
from uec.domain.actors import system_actor
from uec.domain.bureau import FileRefused
from uec.domain.errors import UecError
from uec.domain.policy import Policy
from uec.gateways.mail import open_post
from uec.services import (
    attempts,
    authority,
    batches,
    bureau_drawing,
    bureau_exchange,
    card_looks,
    cards,
    checks,
    cohort,
    export_jobs,
    key_rotation,
    key_sweep,
    messages,
    notice_windows,
    ocsp_answers,
    ocsp_signers,
    phases,
    plan_region,
    plan_scenarios,
    preparation,
    publication,
    quality,
    release_by_policy,
    reminders,
    rules,
    schedule,
    vault_memory,
)
from uec.services.applicant_secret import RandomBytes
from uec.services.audit import sign_head
from uec.settings import Settings
from uec.store import queue

_log = logging.getLogger(__name__)
WORKER = system_actor("bureaux")


@dataclass(frozen=True)
class Tools:
    """What jobs work with; `gateway` asks the registers, `clock` gives the present moment.

    With `spread`, work that comes in parts is handed over to all workers instead of being done by one.
    """

    settings: Settings
    sessions: sessionmaker[Session]
    vault: Vault
    gateway: checks.Gateway
    clock: Callable[[], datetime]
    random: RandomBytes
    spread: bool = False


@dataclass(frozen=True)
class Job:
    """A job by name: its rhythm (of the day, from midnight UTC), what it does, in words, and the work itself."""

    every: timedelta
    title: str
    work: Callable[[Tools], str]


def policy_of(session: Session, tools: Tools) -> Policy:
    """The rules of this moment: those of the settings with every dated change of the office."""
    return phases.book(session, tools.settings.policy).at(tools.clock())


def run_checks(tools: Tools) -> str:
    """Ask registers until nothing is due."""
    asked = settled = 0
    with tools.sessions() as session:
        policy = policy_of(session, tools)
        started = checks.start_checks(session, now=tools.clock())
        while True:
            run = checks.run_checks(session, tools.gateway, policy=policy, now=tools.clock())
            if not run.asked:
                return f"started {started}, asked {asked}, settled {settled}"
            asked += run.asked
            settled += run.matched + run.mismatched


def prepare_batches(tools: Tools) -> str:
    """Make the data of every released batch, or hand over to the workers what none of them has yet."""
    with tools.sessions() as session:
        if tools.spread:
            given = [
                preparation.hand_over(session, batch_id, quiet=preparation.QUIET)
                for batch_id, _ in preparation.waiting(session)
            ]
            session.commit()
            return f"handed over {sum(given)} parts"
        prepared, trouble = 0, []
        for batch_id, profile in preparation.waiting(session):
            recipe = recipe_of(session, tools, profile)
            try:
                prepared += preparation.prepare(
                    session,
                    batch_id,
                    profile=recipe.profile,
                    issuer=recipe.issuer,
                    signer=recipe.signer,
                    now=tools.clock(),
                )
            except preparation.UnfitCards as error:
                prepared += error.prepared
                trouble.append(str(error))  # the next batch does not wait for a person to look at this one
    return "; ".join([f"prepared {prepared}", *trouble])


def recipe_of(session: Session, tools: Tools, profile: str) -> preparation.Recipe:
    """What batches of a card profile are prepared by: the profile, the issuer's name, and the document signer.

    Nobody signs ahead for PIV, whose security objects cover what is made together with the card.
    """
    found = rules.card_profile(tools.settings, profile)
    signer = authority.document_signer(session, tools.vault) if found.piv is None else None
    return preparation.Recipe(found, tools.settings.pki.organisation, signer)


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


def plan(tools: Tools) -> str:
    """Plan what has been approved since yesterday."""
    now = tools.clock()
    with tools.sessions() as session:
        made = batches.plan(
            session,
            actor=system_actor("scheduler"),
            rules=rules.batch_rules(
                tools.settings,
                today=tools.settings.policy.day(now),
                book=phases.book(session, tools.settings.policy),
            ),
            now=now,
        )
    return (
        f"{made.cards} cards in {len(made.batches)} batches, {made.late} late, {sum(made.unplaced.values())} unplaced"
    )


def release(tools: Tools) -> str:
    """Release what policy lets go by the clock; say how many batches wait for people."""
    now = tools.clock()
    with tools.sessions() as session:
        policy = policy_of(session, tools)
        gone = release_by_policy.release_due(session, policy=policy, actor=system_actor("scheduler"), now=now)
        waiting = release_by_policy.waiting_for_people(session, policy=policy, now=now)
    return f"released {len(gone)}, {waiting} wait for a second person"


def close_windows(tools: Tools) -> str:
    """End the time to refuse and to choose a bank of notices whose last day is over."""
    with tools.sessions() as session:
        closed = notice_windows.close_due(session, policy=policy_of(session, tools), now=tools.clock())
    return f"closed {len(closed)} notices, {sum(one.default_bank for one in closed)} get the bank of the tender"


def remind(tools: Tools) -> str:
    """Queue reminders: cards that lie at a point, cards and certificates that run out."""
    now = tools.clock()
    with tools.sessions() as session:
        policy = policy_of(session, tools)
        queued = reminders.remind(session, policy=policy, now=now)
        stored = reminders.stored_too_long(session, policy=policy, now=now)
    said = ", ".join(f"{kind} {count}" for kind, count in queued.items())
    return f"queued {said}; {stored} cards are stored for too long"


def send_messages(tools: Tools) -> str:
    """Send the letters that are due; without a mail server they stand on the status page only."""
    if not tools.settings.mail.smtp:
        return "no mail server in the settings"
    chosen = tools.settings
    site = messages.Site(
        {"ru": chosen.region_ru, "en": chosen.region_en}, chosen.base_url, chosen.organisation_contact, chosen.locale
    )
    total = messages.Sent()
    with tools.sessions() as session, open_post(chosen.mail) as post:
        while True:
            sent = messages.send_due(session, post, site=site, now=tools.clock())
            total += sent
            # With the mail server away the rest of the pile fares no better: it waits for the next run.
            if not sent.sent + sent.given_up or sent.waiting:
                return f"sent {total.sent}, {total.waiting} are tried again, {total.given_up} given up"


def work_on_lists(tools: Tools) -> str:
    """Compute lists for mass emission and open their applications, where somebody has asked for it."""
    actor, now = system_actor("scheduler"), tools.clock()
    with tools.sessions() as session:
        book = phases.book(session, tools.settings.policy)
        made = cohort.compute_asked(session, actor=actor, book=book, now=now)
        opened = list(cohort.open_asked(session, actor=actor, book=book, now=now))
    trouble = [str(one) for one in opened if isinstance(one, UecError)]
    return "; ".join([f"computed {len(made)} lists, opened the applications of {len(opened) - len(trouble)}", *trouble])


def live_scenarios(tools: Tools) -> str:
    """Live through the scenarios of the plan that somebody has asked for."""
    now = tools.clock()
    lived = 0
    with tools.sessions() as session:
        for scenario in plan_scenarios.waiting(session):
            region = plan_region.region_of(
                session,
                calendar=rules.working_calendar(tools.settings),
                profile=tools.settings.default_profile,
                today=tools.settings.policy.day(now),
            )
            try:
                plan_scenarios.live(session, scenario, region=region, clock=tools.clock)
            except IssuanceError as error:
                plan_scenarios.fail(session, scenario, str(error))
            lived += 1
    return f"lived through {lived} scenarios"


def make_exports(tools: Tools) -> str:
    """Make the files that somebody asked for, or hand them over; sweep away those whose time is over."""
    work = export_jobs.hand_over if tools.spread else partial(export_jobs.make_all, book=tools.settings.policy)
    return work(tools.sessions, clock=tools.clock)


def expire(tools: Tools) -> str:
    """End the cards whose last day of validity is over."""
    now = tools.clock()
    with tools.sessions() as session:
        return f"expired {cards.expire_due(session, today=tools.settings.policy.day(now), now=now)}"


def sweep(tools: Tools) -> str:
    """Forget old runs, and jobs of the queue that ended as long ago."""
    with tools.sessions() as session:
        runs = schedule.sweep(session, now=tools.clock())
        senders = attempts.sweep(session, now=tools.clock())
        return f"forgot {runs} runs, {queue.forget_finished(session)} jobs, attempts of {senders} senders"


def sweep_keys(tools: Tools) -> str:
    """Look over every certified key again."""
    known, missing = authority.weak_keys(tools.settings)
    with tools.sessions() as session:
        swept = key_sweep.sweep_keys(session, weak_keys=known, missing=missing, now=tools.clock())
    said = f"looked at {swept.looked_at} certificates, {len(swept.findings)} findings"
    return f"{said}; {missing}" if missing else said


def note_keys(tools: Tools) -> str:
    """Note versions, uses and periods of the vault's keys for the office's page; name those that end."""
    with tools.sessions() as session:
        ending = key_rotation.refresh(session, tools.vault, now=tools.clock())
    return "; ".join(["noted", *ending])


def judge_quality(tools: Tools) -> str:
    """Quarantine every reader, station, lot and operator that has left the band; draw what is to be looked at."""
    now = tools.clock()
    with tools.sessions() as session:
        rules_now = policy_of(session, tools)
        made = quality.evaluate(session, band=rules_now.quality_band, now=now)
        drawn = card_looks.draw_due(session, plan=rules_now.sampling_plan, now=now, random=tools.random)
        session.commit()
    return f"{len(made)} quarantined, {drawn} cards drawn for a look"


def exchange_with_bureaux(tools: Tools) -> str:
    """Draw up orders of batches planned for bureaux; put due orders and answers into their folders, take what came."""
    folder, made, taken, refused = tools.settings.state_dir / bureau_exchange.FOLDER, 0, 0, 0
    today, said = tools.settings.policy.day(tools.clock()), []
    profiles, (weak_keys, _) = partial(rules.card_profile, tools.settings), authority.weak_keys(tools.settings)
    with tools.sessions() as session:
        drawn = bureau_drawing.draw_due(session, profiles=profiles, actor=WORKER, today=today, clock=tools.clock)
        said += [
            f"drew up the order of {one.batch}" if one.order_id else f"{one.batch}: {one.refusal}" for one in drawn
        ]
        if bureau_exchange.anything_due(session, folder):
            counter = bureau_exchange.Counter(
                tools.vault,
                authority.document_signer(session, tools.vault),
                authority.open_authority(session, tools.vault, settings=tools.settings),
                profiles,
                tools.random,
                ZoneInfo(tools.settings.timezone),
            )
            for one in bureau_exchange.send_due(session, counter, folder=folder, actor=WORKER, clock=tools.clock):
                if isinstance(one, bureau_exchange.NotSent):
                    said.append(f"{one.order}: {one.refusal}")
                else:
                    made += 1
        for file in bureau_exchange.take_new(
            session, folder=folder, profiles=profiles, weak_keys=weak_keys, actor=WORKER, clock=tools.clock
        ):
            refused += isinstance(file, FileRefused)
            taken += not isinstance(file, FileRefused)
    if made + taken + refused:
        said.append(f"made {made} files, took {taken}, refused {refused}")
    return "; ".join(said) or "nothing new"


JOBS: Mapping[str, Job] = {
    "checks": Job(timedelta(seconds=5), "ask the registers about applications", run_checks),
    "prepare": Job(timedelta(seconds=5), "make the data of released batches", prepare_batches),
    "publish": Job(timedelta(seconds=15), "publish revocation list and stop-list", publish),
    "ocsp": Job(timedelta(seconds=15), "sign answers about certificates ahead", sign_answers),
    "quality": Job(timedelta(seconds=15), "quarantine what fails too often", judge_quality),
    "vault": Job(timedelta(seconds=5), "count on with the vault", meet_vault),
    "audit-head": Job(timedelta(minutes=1), "sign the heads of the audit chains", sign_audit),
    "plan": Job(timedelta(days=1), "plan approved applications", plan),
    "release": Job(timedelta(minutes=15), "release batches that policy lets go", release),
    "windows": Job(timedelta(hours=1), "end the time to refuse and to choose a bank", close_windows),
    "remind": Job(timedelta(hours=6), "queue reminders to applicants", remind),
    "messages": Job(timedelta(seconds=30), "send letters to applicants", send_messages),
    "cohorts": Job(timedelta(seconds=15), "compute lists for mass emission, open their applications", work_on_lists),
    "scenarios": Job(timedelta(seconds=15), "live through scenarios of the plan", live_scenarios),
    "exports": Job(timedelta(seconds=15), "make lists into files, sweep old ones away", make_exports),
    "expire": Job(timedelta(days=1), "end cards whose validity is over", expire),
    "keys": Job(timedelta(hours=1), "note what the vault tells about its keys", note_keys),
    "key-sweep": Job(timedelta(days=1), "look over every certified key", sweep_keys),
    "bureaux": Job(timedelta(minutes=1), "order from outside bureaux, exchange files with them", exchange_with_bureaux),
    "sweep": Job(timedelta(days=1), "forget old runs", sweep),
}


def do(job: str, tools: Tools) -> str:
    """Do a job by its name; returns what it did or, in words, why it could not."""
    known = JOBS.get(job)
    if known is None:
        return f"failed: there is no job {job} in this version"
    try:
        outcome = known.work(tools)
    except (UecError, IssuanceError) as error:
        _log.warning("job %s failed: %s", job, error)
        return f"failed: {error}"
    _log.info("job %s: %s", job, outcome)
    return outcome
