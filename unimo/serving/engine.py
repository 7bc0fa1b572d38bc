"""One model for many requests: what waits is taken in batches, and every request has its own stream of news.

Motions are written token by token on one thread. Requests that come while others are written start a batch of their
own beside it, and the batches take turns, so that nobody waits for somebody else's answer to end. Descriptions, which
are short, are written on another thread. A request that its client leaves is dropped with its batch, or before.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from modeling_unimo.generated_unimo import MotionDescription
from modeling_unimo.modeling_unimo import UniMoForConditionalGeneration
from modeling_unimo.processing_unimo import UniMoProcessor
from modeling_unimo.streaming_unimo import StreamedPart


class Busy(Exception):
    """As many requests wait as are allowed to."""


class Stopped(Exception):
    """The engine was closed before the request was answered."""


@dataclass(eq=False)
class Job:
    """A request and what has come of it so far; made and read on the event loop, answered on a worker's thread."""

    request: Any
    loop: asyncio.AbstractEventLoop
    news: asyncio.Queue = field(default_factory=asyncio.Queue)
    cancelled: bool = False

    def tell(self, news: Any) -> None:
        """Hand something over to whoever reads `news`; from any thread.

        Args:
            news: What is handed over.
        """
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.news.put_nowait, news)


@dataclass(frozen=True)
class MotionRequest:
    """What a motion is asked for by."""

    text: str
    duration: float | None = None
    seed: int | None = None
    temperature: float | None = None


@dataclass(frozen=True)
class DescriptionRequest:
    """What a description is asked for by: (T, D) raw features."""

    features: np.ndarray
    seed: int | None = None
    temperature: float | None = None


class Engine:
    """Answers requests for motions and descriptions.

    Args:
        model, processor: what answers.
        most_waiting: requests of each kind that may wait; one more is refused.
        most_together: requests of each kind that are answered at the same time.
    """

    def __init__(
        self,
        model: UniMoForConditionalGeneration,
        processor: UniMoProcessor,
        most_waiting: int = 128,
        most_together: int = 16,
    ):
        self.model, self.processor = model, processor
        self.most_waiting, self.most_together = most_waiting, most_together
        self._changed = threading.Condition()
        self._waiting: dict[type, deque[Job]] = {MotionRequest: deque(), DescriptionRequest: deque()}
        self._active: dict[type, int] = dict.fromkeys(self._waiting, 0)
        self._closed = False
        self._threads = [
            threading.Thread(target=target, daemon=True, name=f"unimo-{target.__name__}")
            for target in (self._write_motions, self._describe)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, request: MotionRequest | DescriptionRequest) -> Job:
        """Queue a request; its news are `StreamedPart`s or one `MotionDescription`, or an exception that ends them.

        Args:
            request: The request.

        Returns:
            The job, whose `news` bring the answer.

        Raises:
            Busy: too many requests wait.
            Stopped: the engine is closed.
        """
        job = Job(request, asyncio.get_running_loop())
        with self._changed:
            if self._closed:
                raise Stopped("the server is shutting down")
            waiting = self._waiting[type(request)]
            if len(waiting) >= self.most_waiting:
                raise Busy(f"{len(waiting)} requests wait already, as many as are allowed to; try again later")
            waiting.append(job)
            self._changed.notify_all()
        return job

    def cancel(self, job: Job) -> None:
        """Nobody wants the answer any more.

        Args:
            job: The job.
        """
        with self._changed:
            job.cancelled = True
            waiting = self._waiting[type(job.request)]
            if job in waiting:
                waiting.remove(job)

    def counts(self) -> dict[str, int]:
        """How many requests wait and are being answered.

        Returns:
            Number of requests by state.
        """
        with self._changed:
            return {"waiting": sum(map(len, self._waiting.values())), "active": sum(self._active.values())}

    def close(self) -> None:
        """Stop both threads; requests that are not answered by then are told so."""
        with self._changed:
            self._closed = True
            left = [job for waiting in self._waiting.values() for job in waiting]
            for waiting in self._waiting.values():
                waiting.clear()
            self._changed.notify_all()
        for job in left:
            job.tell(Stopped("the server is shutting down"))
        for thread in self._threads:
            thread.join()

    # ---------------------------------------------------------------- the threads

    def _take(self, kind: type, key: Callable[[Job], Any], wait: bool) -> list[Job]:
        """The first that waits and those that wait with the same key, as many as there is room for."""
        with self._changed:
            waiting = self._waiting[kind]
            while wait and not waiting and not self._closed:
                self._changed.wait()
            taken: list[Job] = []
            for job in list(waiting):
                if self._active[kind] + len(taken) >= self.most_together:
                    break
                if not taken or key(job) == key(taken[0]):
                    taken.append(job)
                    waiting.remove(job)
            self._active[kind] += len(taken)
            return taken

    def _done(self, kind: type, count: int) -> None:
        with self._changed:
            self._active[kind] -= count

    def _write_motions(self) -> None:
        batches: list[_Batch] = []
        while not self._closed:
            jobs = self._take(MotionRequest, lambda job: job.request.temperature, wait=not batches)
            if jobs:
                batches.append(_Batch(jobs, self.model, self.processor))
            for batch in list(batches):
                batch.advance()
                self._done(MotionRequest, batch.counted - len(batch.jobs))
                batch.counted = len(batch.jobs)
                if not batch.jobs:
                    batches.remove(batch)
        for batch in batches:
            batch.end(Stopped("the server is shutting down"))

    def _describe(self) -> None:
        while not self._closed:
            jobs = self._take(DescriptionRequest, _description_batch, wait=True)
            answers: list[MotionDescription] | list[Exception]
            if not jobs:
                continue
            request = jobs[0].request
            settings = {} if request.temperature is None else {"temperature": request.temperature}
            motions = [job.request.features for job in jobs]
            try:
                answers = self.model.describe_motion(motions, self.processor, seed=request.seed, **settings)
            except Exception as error:  # the thread answers other requests after it
                answers = [error] * len(jobs)
            self._done(DescriptionRequest, len(jobs))
            for job, answer in zip(jobs, answers, strict=True):
                job.tell(answer)


def _description_batch(job: Job) -> tuple[Any, ...]:
    """What requests share that are answered together.

    One with a seed is answered alone: of equal requests in a batch each is drawn by numbers of its own.
    """
    return (job.request.temperature, None if job.request.seed is None else id(job))


class _Batch:
    """Motions that are written together; `jobs` are those that still want theirs."""

    def __init__(self, jobs: list[Job], model: UniMoForConditionalGeneration, processor: UniMoProcessor):
        self.jobs = dict(enumerate(jobs))
        self.counted = len(jobs)  # of them, those that the engine counts as active
        first = jobs[0].request
        settings = {} if first.temperature is None else {"temperature": first.temperature}
        self.steps: Iterator[list[StreamedPart]] = iter(())
        try:
            self.steps = model.stream_motions(
                [job.request.text for job in jobs],
                processor,
                [job.request.duration for job in jobs],
                [job.request.seed for job in jobs],
                **settings,
            )
        except Exception as error:  # the thread answers other requests after it
            self.end(error)

    def advance(self) -> None:
        """Write one token of each motion and tell what is new."""
        self.jobs = {row: job for row, job in self.jobs.items() if not job.cancelled}
        if not self.jobs:
            return
        try:
            parts = next(self.steps)
        except Exception as error:
            self.end(error)
            return
        for part in parts:
            job = self.jobs.get(part.request)
            if job is not None:
                job.tell(part)
                if part.done:
                    del self.jobs[part.request]

    def end(self, error: Exception) -> None:
        """Tell everybody that nothing more will come."""
        for job in self.jobs.values():
            job.tell(error)
        self.jobs = {}
