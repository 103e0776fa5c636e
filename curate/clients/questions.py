"""Questions to a model until there is an answer that can be used: cache, budget, repair.

Several are asked at a time, each in a thread of its own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Any, Generic, TypeVar

from invdpo.curate.batching import Failure
from invdpo.curate.clients.budget import Budget, BudgetError
from invdpo.curate.clients.cache import AnswerCache, default_folder
from invdpo.curate.clients.chat import Chat, Message, Reply, picture
from invdpo.curate.clients.http import AnswerError, Endpoint
from invdpo.schemas import InvdpoError
from invdpo.schemas.config.vlm import VlmOptions
from invdpo.schemas.ids import content_id
from invdpo.schemas.io.text import Counts

A = TypeVar("A")
B = TypeVar("B")
T = TypeVar("T")

SHOWN_AGAIN = 4_000
"""Characters of a wrong answer that the model is shown when it is asked once more."""

ITS_FAULT = (400, 413, 415, 422, 500, 502, 504, 200, None)
"""Statuses that may be owed to what was asked; all others concern the server or the key."""


PATIENCE = 8
"""Questions in a row without an answer, after which it is the server that is at fault."""


class FaultError(Exception):
    """Why an answer can't be used, in words that the model can mend it by."""


@dataclass(frozen=True)
class Question(Generic[T]):
    """What to ask, and how to read the answer."""

    system: str
    text: str
    schema: Mapping[str, Any]
    read: Callable[[Any], T]
    """From the answer's JSON; raises `FaultError`."""
    picture: bytes | None = None

    def messages(self) -> list[Message]:
        """As the server takes them."""
        parts: list[Message] = [{"type": "text", "text": self.text}]
        if self.picture is not None:
            parts.append(picture(self.picture))
        content: Any = parts if self.picture is not None else self.text
        return [
            {"role": "system", "content": self.system},
            {"role": "user", "content": content},
        ]

    def key(self, settings: Mapping[str, Any]) -> str:
        """Of the picture's bytes, all words, the model and its settings."""
        seen = hashlib.sha256(self.picture).hexdigest() if self.picture is not None else None
        return content_id(seen, self.system, self.text, self.schema, settings)


class VlmClient:
    """Asks many questions at a time, each as cheaply as can be. Raises `ConfigError` when made."""

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
        self._answers = AnswerCache(
            Path(config.vlm_cache) if config.vlm_cache else default_folder()
        )
        self._failures: int | None = None
        """Of those in a row since the last answer; None before any answer."""

    def new_counts(self) -> Counts:
        """What was spent since it was last asked for."""
        return self._budget.new_counts()

    def answer(self, questions: Sequence[Question[T]]) -> list[T | Failure]:
        """One answer a question, in order, or why there is none.

        An error that may be owed to one question costs that question alone, as long as the server
        answers others. Raises `BudgetError` when nothing is left to spend, `AnswerError`
        when the server is of no use; whatever was answered by then is in the cache.
        """
        answers = self._pool.map(self._one, questions)
        errors = [part for part in answers if isinstance(part, Exception)]
        for error in sorted(errors, key=_weight):
            if isinstance(error, BudgetError):
                raise self._budget.final(error)
            if not _its_fault(error) or self._failures is None or self._failures > PATIENCE:
                raise error
        return [_failure(part) if isinstance(part, Exception) else part for part in answers]

    def _one(self, question: Question[T]) -> T | Failure:
        key = question.key(self._chat.settings())
        try:
            if (kept := self._answers.get(key)) is not None:
                value = _read(question, kept)
                self._budget.cached()
                return value
        except FaultError:
            pass  # read by stricter rules than when it was kept
        try:
            return self._ask(question, key)
        except InvdpoError as error:
            if not _its_fault(error):
                self._pool.cancel()
            elif self._failures is not None:
                self._failures += 1
            raise

    def _ask(self, question: Question[T], key: str) -> T | Failure:
        """Ask, and once more with the fault named if the answer can't be used."""
        messages, fault = question.messages(), FaultError()
        for _ in range(2):
            reply = self._say(messages, question)
            if reply.refusal is not None or reply.ended == "content_filter":
                return Failure("the model refuses to answer")
            try:
                value = _read(question, reply.text, reply.ended)
            except FaultError as error:
                fault = error
                messages = [*messages, *_again(reply, fault)]
                continue
            self._answers.put(key, reply.text)
            return value
        return Failure(f"no usable answer, twice: {fault}")

    def _say(self, messages: Sequence[Message], question: Question[T]) -> Reply:
        self._budget.begin()
        reply = None
        try:
            reply = self._chat.say(messages, question.schema)
            self._failures = 0
            return reply
        finally:
            self._budget.end(reply.usage if reply is not None else None)


def _its_fault(error: Exception) -> bool:
    return isinstance(error, AnswerError) and error.status in ITS_FAULT


def _weight(error: Exception) -> int:
    """The error that tells most first: those that were called off know nothing."""
    return 2 if isinstance(error, StoppedError) else int(isinstance(error, AnswerError))


def _failure(error: Exception) -> Failure:
    return Failure(str(error).rstrip("."))


def _read(question: Question[T], text: str, ended: str = "") -> T:
    """The value of an answer. Raises `FaultError`."""
    try:
        value = json.loads(_bare(text))
    except (ValueError, RecursionError):
        if ended == "length":
            raise FaultError("the answer was cut off; be briefer") from None
        raise FaultError("the answer is not JSON") from None
    return question.read(value)


def _bare(text: str) -> str:
    """Without the fence that models like to put around JSON."""
    text = text.strip()
    if text.startswith("```") and text.endswith("```"):
        return text[3:-3].removeprefix("json").strip()
    return text


def _again(reply: Reply, fault: FaultError) -> list[Message]:
    said = reply.text[:SHOWN_AGAIN] or "(nothing)"
    wanted = "Answer the same question again, with one JSON object of the form asked for only."
    return [
        {"role": "assistant", "content": said},
        {"role": "user", "content": f"That answer can't be used: {fault}. {wanted}"},
    ]


class StoppedError(Exception):
    """Raised in threads that have been told to stop."""


class WorkerPool:
    """At most `size` threads at work.

    They are daemons: one that waits for a server must not keep the process from ending.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._stop = Event()

    def sleep(self, seconds: float) -> None:
        """Wait, but no longer than until the work is called off, which raises `StoppedError`."""
        if self._stop.wait(seconds):
            raise StoppedError

    def map(self, work: Callable[[A], B], items: Sequence[A]) -> list[B | Exception]:
        """What came of each item, in order; of those that failed, or were not begun, why."""
        results: list[B | Exception] = [StoppedError() for _ in items]
        waiting: SimpleQueue[int] = SimpleQueue()
        for n in range(len(items)):
            waiting.put(n)
        done: SimpleQueue[None] = SimpleQueue()
        self._stop.clear()

        def run() -> None:
            try:
                while not self._stop.is_set():
                    n = waiting.get_nowait()
                    try:
                        results[n] = work(items[n])
                    except Exception as error:  # noqa: BLE001 - the caller sorts them
                        results[n] = error
            except Empty:
                pass
            finally:
                done.put(None)

        threads = [Thread(target=run, daemon=True) for _ in range(min(self._size, len(items)))]
        try:
            for thread in threads:
                thread.start()
            for _ in threads:
                done.get()
        except BaseException:
            self.cancel()
            raise
        return results

    def cancel(self) -> None:
        """Begin nothing more, and wake those that wait for their next try."""
        self._stop.set()
