"""Hides how the office's own work is said to people: what a job is for, and what it says it did."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from uec.web.language import exact_moment, moment
from uec.web.texts import _, _l

Text = object  # a lazy string of flask-babel
# Runs of a job that comes round so soon are told apart by their seconds.
SHORT = timedelta(minutes=2)

TITLES: Mapping[str, Text] = {
    "checks": _l("Ask the registers about applications"),
    "prepare": _l("Make the data of released batches"),
    "publish": _l("Publish revocation lists and the stop-list"),
    "ocsp": _l("Sign answers about certificates ahead"),
    "quality": _l("Quarantine what fails too often"),
    "vault": _l("Compare the office's count with the vault's"),
    "audit-head": _l("Sign the heads of the audit chains"),
    "plan": _l("Plan approved applications"),
    "cohorts": _l("Compute lists for mass emission, open their applications"),
    "scenarios": _l("Live through scenarios of the plan"),
    "release": _l("Release batches that policy lets go"),
    "windows": _l("End the time to refuse and to choose a bank"),
    "remind": _l("Queue reminders to applicants"),
    "messages": _l("Send letters to applicants"),
    "exports": _l("Make long lists into files, delete old ones"),
    "expire": _l("End cards whose validity is over"),
    "keys": _l("Note what the vault tells about its keys"),
    "key-sweep": _l("Look over every certified key"),
    "bureaux": _l("Exchange files with outside bureaux"),
    "sweep": _l("Forget old runs"),
}

# What a job says, with its numbers taken out; they come back in their order.
_SAID: Mapping[str, Text] = {
    "started #, asked #, settled #": _l("begun %(a)s, asked %(b)s, settled %(c)s"),
    "lived through # scenarios": _l("lived through %(a)s scenarios"),
    "computed # lists, opened the applications of #": _l("lists computed: %(a)s, applications opened of lists: %(b)s"),
    "prepared #": _l("prepared %(a)s cards"),
    "handed over # parts": _l("%(a)s parts handed over to the workers"),
    "handed over # files, swept #": _l("%(a)s files handed over to the workers, %(b)s old ones deleted"),
    "took on # files, swept #": _l("%(a)s files taken on, %(b)s old ones deleted"),
    "nothing changed": _l("nothing changed"),
    "nothing due": _l("nothing was due"),
    "nothing new": _l("nothing new"),
    "made # files, took #, refused #": _l("%(a)s files made, %(b)s taken, %(c)s refused"),
    "signed #": _l("%(a)s answers signed"),
    "head #": _l("head %(a)s signed"),
    "CRL #": _l("revocation list %(a)s"),
    "stop-list #": _l("stop-list %(a)s"),
    "CRL #, stop-list #": _l("revocation list %(a)s, stop-list %(b)s"),
    "# cards in # batches, # late, # unplaced": _l("%(a)s cards in %(b)s batches, %(c)s late, %(d)s without a place"),
    "expired #": _l("%(a)s cards ended"),
    "# quarantined, # cards drawn for a look": _l("%(a)s put into quarantine, %(b)s cards drawn for a look"),
    "noted": _l("noted"),
    "agreed": _l("they agree"),
    "released #, # wait for a second person": _l("%(a)s released, %(b)s wait for a second person"),
    "closed # notices, # get the bank of the tender": _l("%(a)s notices ended, %(b)s get the bank of the tender"),
    "queued ready #, unclaimed #, card-expiry #, certificate-expiry #; # cards are stored for too long": _l(
        "queued: card ready %(a)s, unclaimed %(b)s, card ends %(c)s, certificate ends %(d)s; "
        "%(e)s cards are stored for too long"
    ),
    "sent #, # are tried again, # given up": _l("%(a)s sent, %(b)s are tried again, %(c)s given up"),
    "no mail server in the settings": _l("no mail server in the settings"),
    "forgot # runs, # jobs, attempts of # senders": _l("forgot %(a)s runs, %(b)s jobs, attempts of %(c)s senders"),
    "looked at # certificates, # findings": _l("%(a)s certificates looked at, %(b)s findings"),
    "ended: asked for": _l("ended, as somebody asked"),
    "ended: asked for after # min": _l("ended after %(a)s min, as somebody asked"),
    "ended: not done within its limit of # min": _l("ended: not done within its limit of %(a)s min"),
}

# Why a job failed, where that is the same sentence each time; a name in it comes back as it was.
_WHY: Sequence[tuple[str, Text]] = (
    (
        r"the vault does not answer at (\S+) .*",
        _l("the vault does not answer: start it, or have two custodians unlock it"),
    ),
    (r"the vault is locked: .*", _l("the vault is locked: two custodians must unlock it again")),
    (r"There is no certification authority yet.*", _l("there is no certification authority yet: run uec ca init")),
    (r"The database is locked .*", _l("the database was locked by another process for too long")),
    (r"The disk of the database is full.*", _l("the disk of the database is full: free some space")),
    (r"The database cannot be reached.*", _l("the database could not be reached")),
    (
        r"a fault of the program \((\w+)\).*",
        _l("a fault of the program (%(a)s): the worker’s log tells where; report it"),
    ),
)


def title(job: str) -> str:
    """Say what a job is for; one without words is shown by its name."""
    return str(TITLES.get(job, job))


def when(at: datetime | None, every: timedelta) -> str:
    """Say when a run was, of a job that comes round so often; empty without a moment."""
    return exact_moment(at) if every < SHORT else moment(at)


def outcome(said: str) -> str:
    """Say what a run did in the language of the page; what is not known is shown as the job said it."""
    if said.startswith("failed: "):
        return _("not done: %(why)s", why=_reason(said.removeprefix("failed: ").rstrip(".")))
    numbers = re.findall(r"\d+", said)
    text = _SAID.get(re.sub(r"\d+", "#", said))
    return said if text is None else str(text) % dict(zip("abcdefgh", numbers, strict=False))


def _reason(why: str) -> str:
    for pattern, text in _WHY:
        found = re.fullmatch(pattern, why)
        if found:
            return str(text) % dict(zip("abcdefgh", found.groups(), strict=False))
    return why
