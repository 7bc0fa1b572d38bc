"""Work over several processes, in order, that ends with the process that started it and tells of one that was killed.

Not `ProcessPoolExecutor`: its processes share one pipe for their results, and where one is killed while it writes, the
others and their parent wait for the rest for ever.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class WorkerError(Exception):
    """What an error in a worker looked like there; the cause of the error that is raised here."""


def map_in_order(function: Callable[[Item], Result], items: Iterable[Item], workers: int = 1) -> Iterator[Result]:
    """`map` over several processes, in order, with a bounded number of results waiting.

    With one worker everything runs in this process.

    Args:
        function: Picklable function of one item.
        items: Picklable items.
        workers: Number of processes.

    Yields:
        Results in the order of the items.

    Raises:
        ValueError: `workers` is below 1.
        ChildProcessError: A worker was killed, for example because memory ran out.
    """
    if workers < 1:
        raise ValueError(f"workers must be >= 1, got {workers}")
    if workers == 1:
        yield from map(function, items)
        return
    idle: deque[_Worker] = deque()
    started: list[_Worker] = []
    waiting: deque[Future[Result]] = deque()

    def ask(item: Item) -> Result:
        worker = idle.popleft()  # as many threads as workers: there is one
        try:
            return worker(item)
        finally:
            idle.append(worker)

    # A thread for each worker, which sleeps in its pipe.
    with ThreadPoolExecutor(workers) as threads:
        try:
            for _ in range(workers):
                started.append(_Worker(function))
            idle.extend(started)
            for item in items:
                waiting.append(threads.submit(ask, item))
                if len(waiting) >= 4 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
            for worker in started:
                worker.stop()


class _Worker:
    """A process that answers calls over a pipe of its own: when it ends, so does the pipe, and a call that waits."""

    def __init__(self, function: Callable[[Any], Any]):
        # Spawned, not forked: a forked process can hang in the thread pool it inherits from torch.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, function), daemon=True)
        self.process.start()
        theirs.close()

    def __call__(self, item: Any) -> Any:
        try:
            self.connection.send(item)
            result, error = self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
            raise ChildProcessError(
                f"worker process {self.process.pid} ended unexpectedly ({_ending(self.process.exitcode)}); the system "
                "does that where memory runs out. Give fewer --workers or make memory free, then give the same "
                "command again"
            ) from None
        if error is not None:
            raise error[0] from WorkerError(error[1])
        return result

    def stop(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()


def _ending(exitcode: int | None) -> str:
    if exitcode is None or exitcode >= 0:
        return f"exit code {exitcode}"
    with suppress(ValueError):
        return signal.Signals(-exitcode).name
    return f"signal {-exitcode}"


def _serve(connection: Connection, function: Callable[[Any], Any]) -> None:
    """In the new process: answers with (result, None) or (None, (error, its traceback)) until the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the parent ends its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            item = connection.recv()
        except EOFError:
            return
        try:
            # An answer that cannot be sent fails before anything of it is.
            connection.send((function(item), None))
        except Exception as error:
            connection.send((None, (_sendable(error), traceback.format_exc())))


def _sendable(error: Exception) -> Exception:
    """The error, or where it cannot be sent and received again, a RuntimeError with its words."""
    try:
        ForkingPickler.loads(ForkingPickler.dumps(error))
        return error
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")


def _end_with_parent() -> None:
    """Ends this worker when its parent dies: a killed parent cannot tell it, and it would work on for nobody."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
