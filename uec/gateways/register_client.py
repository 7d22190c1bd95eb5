"""Hides how registers are reached: HTTP with time limits; whatever goes wrong on the way is UNAVAILABLE, never a no.

Asking again is the caller's business (with growing pauses); one call here is one try.
"""

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import httpx

from uec.domain.lifecycle import CheckOutcome, CheckRegister
from uec.gateways.questions import CheckAnswer, Person, read_answer, told

# Questions in one request of the bulk form.
BULK = 500


class RegisterGateway:
    """The registers behind one address. Safe to share between threads; close it at the end."""

    def __init__(self, url: str, *, timeout_s: float = 5.0) -> None:
        """Take the address (`http://host:port`) and the longest wait for connection or answer."""
        limit = httpx.Timeout(timeout_s)
        # No proxy from the environment: personal data go to the named address or nowhere.
        self._client = httpx.Client(base_url=url.rstrip("/"), timeout=limit, trust_env=False, follow_redirects=False)

    def __enter__(self) -> Self:
        """Give the gateway."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def check(self, register: CheckRegister, person: Person) -> CheckAnswer:
        """Ask one register about one person; never raises for a register that is slow, down or talks nonsense."""
        answer = self._post(f"/v1/checks/{register}", {"person": told(register, person)})
        return answer if isinstance(answer, CheckAnswer) else read_answer(answer)

    def check_many(self, questions: Sequence[tuple[CheckRegister, Person]]) -> list[CheckAnswer]:
        """Ask many questions in few requests; the answers are in the order of the questions.

        One request names one register only, so that a register that is down spoils no other's answers; once it has
        been silent, its further questions are not even asked.
        """
        answers: dict[int, CheckAnswer] = {}
        for register in dict.fromkeys(register for register, _ in questions):
            places = [place for place, (asked, _) in enumerate(questions) if asked is register]
            silence: CheckAnswer | None = None
            for start in range(0, len(places), BULK):
                part = places[start : start + BULK]
                said = [silence] * len(part) if silence else self._ask_part(register, [questions[at][1] for at in part])
                silence = said[0] if all(answer == said[0] for answer in said) and _silent(said[0]) else None
                answers |= dict(zip(part, said, strict=True))
        return [answers[place] for place in range(len(questions))]

    def _ask_part(self, register: CheckRegister, people: Sequence[Person]) -> list[CheckAnswer]:
        checks = [{"register": register, "person": told(register, person)} for person in people]
        said = self._post("/v1/checks", {"checks": checks})
        if isinstance(said, CheckAnswer):
            return [said] * len(people)
        items = said.get("answers") if isinstance(said, dict) else None
        if not isinstance(items, list) or len(items) != len(people):
            return [read_answer(None)] * len(people)
        return [read_answer(item) for item in items]

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        try:
            response = self._client.post(path, json=body)
        except httpx.TimeoutException:
            return _silence("the register did not answer in time")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return _silence(f"the register cannot be reached ({type(error).__name__})")
        if response.status_code != httpx.codes.OK:
            return _silence(f"the register answered with HTTP status {response.status_code}")
        try:
            return response.json()
        except (ValueError, RecursionError):
            return _silence("the register's answer cannot be read")


def _silent(answer: CheckAnswer) -> bool:
    return answer.outcome is CheckOutcome.UNAVAILABLE


def _silence(detail: str) -> CheckAnswer:
    return CheckAnswer(CheckOutcome.UNAVAILABLE, detail)
