"""Questions to a vision-language model: asked side by side, cached, within a budget.

An answer that can't be used is asked for once more, with the reason. `VlmClient` is the entry,
`WorkerPool` the threads in which the questions wait for the server.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Any, Generic, TypeVar

from invdpo.curate.batching import Failure
from invdpo.curate.clients.budget import Budget, BudgetError
from invdpo.curate.clients.cache import AnswerCache, default_folder
from invdpo.curate.clients.chat import Chat, Message, Reply, image_part
from invdpo.curate.clients.http import AnswerError, Endpoint
from invdpo.schemas import DataError, InvdpoError
from invdpo.schemas.config.vlm import VlmOptions
from invdpo.schemas.ids import content_id
from invdpo.schemas.io.documents import read_json
from invdpo.schemas.io.text import Counts

Item = TypeVar("Item")
Result = TypeVar("Result")

MAX_QUOTED = 4_000
"""Characters of an unusable answer that the model is shown when it is asked again."""
QUESTION_STATUSES = (400, 413, 415, 422, 500, 502, 504, 200, None)
"""Statuses that one question may cause; all others concern the server or the key."""
MAX_FAILURES_IN_A_ROW = 8
"""Questions in a row without an answer, after which the server is to blame and not a question."""


class UnusableAnswerError(Exception):
    """Why an answer can't be used, in words by which the model can correct it."""


@dataclass(frozen=True)
class Question(Generic[Result]):
    """What to ask, and how to read the answer."""

    system: str
    text: str
    schema: Mapping[str, Any] | None
    """Of the answer; None to ask for the first token alone, see `Chat.send`."""
    read: Callable[[Any], Result]
    """From the JSON of the answer to the result; raises `UnusableAnswerError`."""
    image: bytes | None = None
    form: str = "with one JSON object of the form asked for only"
    """How to answer, in words, for a model that did not."""

    def messages(self) -> list[Message]:
        """The messages of the first request."""
        content: Any = self.text
        if self.image is not None:
            content = [{"type": "text", "text": self.text}, image_part(self.image)]
        return [
            {"role": "system", "content": self.system},
            {"role": "user", "content": content},
        ]

    def key(self, settings: Mapping[str, Any]) -> str:
        """A hash of the image, all words, and the model with its settings."""
        digest = hashlib.sha256(self.image).hexdigest() if self.image is not None else None
        return content_id(digest, self.system, self.text, self.schema, settings)


class StoppedError(Exception):
    """Raised in threads of a pool that was cancelled."""


class WorkerPool:
    """At most `size` threads at work.

    They are daemons: a thread that waits for a server must not keep the process from ending.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._stop = Event()

    def sleep(self, seconds: float) -> None:
        """Wait; raises `StoppedError` as soon as the pool is cancelled."""
        if self._stop.wait(seconds):
            raise StoppedError

    def map(
        self, work: Callable[[Item], Result], items: Sequence[Item]
    ) -> list[Result | Exception]:
        """The result of each item, in order, or its error; `StoppedError` if it was not begun."""
        results: list[Result | Exception] = [StoppedError() for _ in items]
        waiting: SimpleQueue[int] = SimpleQueue()
        for index in range(len(items)):
            waiting.put(index)
        finished: SimpleQueue[None] = SimpleQueue()
        self._stop.clear()

        def run() -> None:
            try:
                while not self._stop.is_set():
                    index = waiting.get_nowait()
                    try:
                        results[index] = work(items[index])
                    except Exception as error:  # noqa: BLE001 - the caller sorts them
                        results[index] = error
            except Empty:
                pass
            finally:
                finished.put(None)

        threads = [Thread(target=run, daemon=True) for _ in range(min(self._size, len(items)))]
        try:
            for thread in threads:
                thread.start()
            for _ in threads:
                finished.get()
        except BaseException:
            self.cancel()
            raise
        return results

    def cancel(self) -> None:
        """Begin no further item, and wake the threads that `sleep`."""
        self._stop.set()


class VlmClient:
    """Asks many questions side by side. Raises `ConfigError` when made."""

    def __init__(self, config: VlmOptions, section: str) -> None:
        self._pool = WorkerPool(config.vlm_concurrency)
        endpoint = Endpoint(
            (config.vlm_url or "").rstrip("/"),
            config.vlm_key_variable,
            config.vlm_timeout,
            5 * config.vlm_timeout,
            config.vlm_tries,
            self._pool.sleep,
        )
        self._chat = Chat(config, section, endpoint)
        self._budget = Budget(config)
        self._cache = AnswerCache(Path(config.vlm_cache) if config.vlm_cache else default_folder())
        self._failures: int | None = None
        """Failures in a row since the last answer; None before the first answer."""

    def new_counts(self) -> Counts:
        """What was spent since the last call of this method."""
        return self._budget.new_counts()

    def answer(self, questions: Sequence[Question[Result]]) -> list[Result | Failure]:
        """The result of each question, in order, or why there is none.

        An error that one question may have caused costs that question only, as long as the server
        answers others. Raises `BudgetError` when the budget is spent, and `AnswerError` when the
        server can't be used; what was answered by then is in the cache.
        """
        answers = self._pool.map(self._answer, questions)
        errors = [answer for answer in answers if isinstance(answer, Exception)]
        for error in sorted(errors, key=_rank):
            if isinstance(error, BudgetError):
                raise self._budget.summary(error)
            server_fails = self._failures is None or self._failures > MAX_FAILURES_IN_A_ROW
            if server_fails or not _may_be_the_question(error):
                raise error
        return [
            Failure(str(answer).rstrip(".")) if isinstance(answer, Exception) else answer
            for answer in answers
        ]

    def _answer(self, question: Question[Result]) -> Result | Failure:
        key = question.key(self._chat.settings())
        try:
            if (cached := self._cache.get(key)) is not None:
                result = _read(question, cached)
                self._budget.count_cached()
                return result
        except UnusableAnswerError:
            pass  # it was kept when the rules for answers were looser
        try:
            return self._ask(question, key)
        except InvdpoError as error:
            if not _may_be_the_question(error):
                self._pool.cancel()
            elif self._failures is not None:
                self._failures += 1
            raise

    def _ask(self, question: Question[Result], key: str) -> Result | Failure:
        """Ask, and once more with the reason if the answer can't be used."""
        messages, problem = question.messages(), UnusableAnswerError()
        for _ in range(2):
            reply = self._send(messages, question)
            if reply.refusal is not None or reply.finish_reason == "content_filter":
                return Failure("the model refuses to answer")
            try:
                result = _read(question, reply.text, reply.finish_reason)
            except UnusableAnswerError as error:
                problem = error
                messages = [*messages, *_correction(reply, problem, question.form)]
                continue
            self._cache.put(key, reply.text)
            return result
        return Failure(f"no usable answer, twice: {problem}")

    def _send(self, messages: Sequence[Message], question: Question[Result]) -> Reply:
        self._budget.begin()
        reply = None
        try:
            reply = self._chat.send(messages, question.schema)
            self._failures = 0
            return reply
        finally:
            self._budget.end(reply.usage if reply is not None else None)


def _may_be_the_question(error: Exception) -> bool:
    return isinstance(error, AnswerError) and error.status in QUESTION_STATUSES


def _rank(error: Exception) -> int:
    """The most informative error first; cancelled threads know nothing."""
    return 2 if isinstance(error, StoppedError) else int(isinstance(error, AnswerError))


def _read(question: Question[Result], text: str, finish_reason: str = "") -> Result:
    """The result of an answer. Raises `UnusableAnswerError`."""
    try:
        value = read_json(_without_fence(text), "the answer", halves=True)
    except DataError:
        if finish_reason == "length":
            raise UnusableAnswerError("the answer was cut off; be briefer") from None
        raise UnusableAnswerError("the answer is not JSON") from None
    return question.read(value)


def _without_fence(text: str) -> str:
    """The text without the Markdown fence that models like to put around JSON."""
    text = text.strip()
    if text.startswith("```") and text.endswith("```"):
        return text[3:-3].removeprefix("json").strip()
    return text


def _correction(reply: Reply, problem: UnusableAnswerError, form: str) -> list[Message]:
    """The messages that ask for another answer."""
    quoted = reply.text[:MAX_QUOTED] or "(nothing)"
    wanted = f"Answer the same question again, {form}."
    return [
        {"role": "assistant", "content": quoted},
        {"role": "user", "content": f"That answer can't be used: {problem}. {wanted}"},
    ]
