"""Questions that apps ask and people answer. One that its app no longer waits for is gone."""

from collections.abc import Sequence
from itertools import count

import anyio

from dtios.model.errors import ConfigurationError, RefusedError
from dtios.sdk.clock import Clock
from dtios.sdk.protocol import Question

__all__ = ["QuestionBoard"]

MAX_OPEN = 100


class QuestionBoard:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._numbers = count(1)
        self._open: dict[int, tuple[Question, anyio.Event, list[str]]] = {}

    async def ask(self, app: str, text: str, choices: Sequence[str]) -> str:
        """Wait for a person. Raises RefusedError when MAX_OPEN questions wait already."""
        if len(self._open) >= MAX_OPEN:
            raise RefusedError(f"{MAX_OPEN} questions wait for an answer already", where=app, mend="answer some of them")
        question = Question(next(self._numbers), app, text, list(choices), self._clock.now())
        answered, answer = anyio.Event(), list[str]()
        self._open[question.id] = (question, answered, answer)
        try:
            await answered.wait()
        finally:
            del self._open[question.id]
        return answer[0]

    def open(self) -> list[Question]:
        return [question for question, answered, _ in self._open.values() if not answered.is_set()]

    def answer(self, id: int, text: str) -> None:
        """Raises ConfigurationError for a question that is not open or an answer that is not among its choices."""
        found = self._open.get(id)
        if found is None or found[1].is_set():
            raise ConfigurationError("there is no such open question", where=f"question {id}", mend="`dtios app questions`")
        question, answered, answer = found
        if question.choices and text not in question.choices:
            raise ConfigurationError(
                f"{text!r} is not one of its choices", where=f"question {id}", mend=f"answer {' or '.join(question.choices)}"
            )
        answer.append(text)
        answered.set()
