"""Jobs that bring cards about: their data, their quality, outside bureaux, and the end of their validity."""

from functools import partial
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from uec.domain.actors import system_actor
from uec.domain.bureau import FileRefused
from uec.jobs.tools import Tools, policy_of
from uec.services import authority, bureau_drawing, bureau_exchange, card_looks, cards, preparation, quality, rules
from uec.services.bureau_taking import Taken

WORKER = system_actor("bureaux")


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
            counter = partial(_bureau_counter, session, tools)
            for one in bureau_exchange.send_due(session, counter, folder=folder, actor=WORKER, clock=tools.clock):
                if isinstance(one, bureau_exchange.NotSent):
                    said.append(f"{one.order}: {one.refusal}")
                else:
                    made += 1
        for file in bureau_exchange.take_new(
            session, folder=folder, profiles=profiles, weak_keys=weak_keys, actor=WORKER, clock=tools.clock
        ):
            if isinstance(file, bureau_exchange.NotTaken):
                said.append(f"{file.name}: {file.refusal}")
            refused += isinstance(file, FileRefused)
            taken += isinstance(file, Taken)
    if made + taken + refused:
        said.append(f"made {made} files, took {taken}, refused {refused}")
    return "; ".join(said) or "nothing new"


def _bureau_counter(session: Session, tools: Tools) -> bureau_exchange.Counter:
    """What files for bureaux are made with; the vault is asked."""
    return bureau_exchange.Counter(
        tools.vault,
        authority.document_signer(session, tools.vault),
        authority.open_authority(session, tools.vault, settings=tools.settings),
        partial(rules.card_profile, tools.settings),
        tools.random,
        ZoneInfo(tools.settings.timezone),
    )


def expire(tools: Tools) -> str:
    """End the cards whose last day of validity is over."""
    now = tools.clock()
    with tools.sessions() as session:
        return f"expired {cards.expire_due(session, today=tools.settings.policy.day(now), now=now)}"
