"""Work over processes: order, errors, and the ends of processes that nobody planned."""

import os
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path

import psutil
import pytest

from datasets_scripts.workers import WorkerError, map_in_order

REPOSITORY = Path(__file__).resolve().parents[2]


class Odd(Exception):
    """Cannot be made again from its words alone."""

    def __init__(self, left, right):
        super().__init__(f"{left} is not {right}")


def work(item):
    """Squares numbers; ends as its item says."""
    if item == "value":
        raise ValueError("no number")
    if item == "odd":
        raise Odd(1, 2)
    if item == "unpicklable":
        return lambda: None
    if isinstance(item, signal.Signals):
        os.kill(os.getpid(), item)
    if item == "exit":
        os._exit(3)
    return item * item


def half_an_answer(item):
    """Killed while it writes a result that no pipe holds at once."""
    signal.setitimer(signal.ITIMER_REAL, 0.01)  # whose signal, SIGALRM, ends the process
    return bytes(item)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_results_come_in_order(workers):
    assert list(map_in_order(work, range(30), workers)) == [n * n for n in range(30)]


def test_items_are_taken_as_results_are():
    """Neither all of them at once, nor what came of a result that nobody takes any more."""
    taken = []
    results = map_in_order(work, (taken.append(n) or n for n in count()), 2)
    assert [next(results) for _ in range(5)] == [0, 1, 4, 9, 16]
    assert len(taken) <= 5 + 4 * 2
    results.close()
    assert workers() == []


def workers() -> list[psutil.Process]:
    found = psutil.Process().children()
    return [child for child in found if any("spawn_main" in word for word in child.cmdline())]


@pytest.mark.parametrize(
    ("item", "error", "words"),
    [
        ("value", ValueError, "no number"),
        ("odd", RuntimeError, "Odd: 1 is not 2"),
        ("unpicklable", Exception, "pickle|local object"),
        (signal.SIGKILL, ChildProcessError, r"worker process \d+ ended unexpectedly \(SIGKILL\).*fewer --workers"),
        (signal.SIGTERM, ChildProcessError, r"\(SIGTERM\)"),
        ("exit", ChildProcessError, r"\(exit code 3\)"),
    ],
    ids=str,
)
def test_errors_and_deaths_of_workers_are_told(item, error, words):
    with pytest.raises(error, match=words) as raised:
        list(map_in_order(work, [1, 2, item, 4], 2))
    if error is not ChildProcessError:
        assert isinstance(raised.value.__cause__, WorkerError) and "Traceback" in str(raised.value.__cause__)
    assert workers() == []


@pytest.mark.skipif(sys.platform == "win32", reason="no timer signals there")
def test_a_worker_killed_in_the_middle_of_an_answer_is_told():
    with pytest.raises(ChildProcessError, match="SIGALRM"):
        for _ in map_in_order(half_an_answer, [200_000_000] * 4, 2):
            pass
    assert workers() == []


PARENT = """
import time
from datasets_scripts.workers import map_in_order
if __name__ == "__main__":
    for _ in map_in_order(time.sleep, [0.01] * 4 + [600] * 4, 2):
        print("one", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
def test_a_killed_parent_takes_its_workers_with_it(tmp_path):
    (tmp_path / "parent.py").write_text(PARENT)
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    parent = subprocess.Popen([sys.executable, "parent.py"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE)
    assert parent.stdout is not None and parent.stdout.readline()
    children = psutil.Process(parent.pid).children()
    assert len(children) >= 2
    parent.kill()
    parent.wait(60)
    parent.stdout.close()
    assert psutil.wait_procs(children, timeout=60)[1] == []


def test_workers_must_be_positive():
    with pytest.raises(ValueError, match="workers must be >= 1, got 0"):
        list(map_in_order(work, [1], 0))
