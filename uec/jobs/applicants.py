"""Jobs for those who apply or get a card without asking: checks, notices, lists, reminders, letters."""

from uec.domain.actors import system_actor
from uec.domain.errors import UecError
from uec.gateways.mail import open_post
from uec.jobs.tools import Tools, policy_of
from uec.services import checks, cohort, messages, notice_windows, phases, reminders


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
