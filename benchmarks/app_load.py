"""How soon `unimo app` answers one visitor, and twenty at once.

`python -m benchmarks.app_load --output docs/results/app.json` starts the app on the loopback interface as a user
does, asks for motions of five seconds one after another, then lets all visitors ask at the same moment, each for
another seed. Needs the extra `app`.
"""

import argparse
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from benchmarks.results_tables import write_table
from modeling_unimo.command_line import positive_int

TEXT, SECONDS = "a person walks forward and waves with the right hand", 5.0
START_SECONDS = 180


@contextmanager
def running_app(words: Sequence[str]) -> Iterator[str]:
    """The app in a process of its own.

    Args:
        words: Options of `unimo app`.

    Yields:
        Its address.

    Raises:
        SystemExit: it does not answer; with what it said.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryFile("w+") as said:
        command = [sys.executable, "-m", "unimo.app", "--port", str(port), *words]
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
        try:
            end = time.monotonic() + START_SECONDS
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    if process.poll() is not None or time.monotonic() > end:
                        said.seek(0)
                        raise SystemExit(f"error: the app does not start\n{said.read()}") from None
                    time.sleep(0.1)
            yield f"http://127.0.0.1:{port}/"
        finally:
            process.terminate()
            process.wait(30)


def ask(address: str, seed: int) -> float:
    """Ask for one motion as the page does.

    Args:
        address: The app's.
        seed: Seed of the motion.

    Returns:
        Seconds until the answer.

    Raises:
        Exception: whatever the client raises where there is none.
    """
    from gradio_client import Client

    client = Client(address, verbose=False)
    began = time.perf_counter()
    client.predict(TEXT, SECONDS, 1, 1, seed, False, api_name="/generate")
    return time.perf_counter() - began


def all_at_once(address: str, visitors: int) -> tuple[list[float], list[str]]:
    """Let visitors ask together.

    Args:
        address: The app's.
        visitors: How many.

    Returns:
        Seconds of those that were answered, and the errors of the others.
    """

    def visit(seed: int) -> float | str:
        try:
            return ask(address, seed)
        except Exception as error:  # of whatever kind: it is counted, and shown
            return f"{type(error).__name__}: {error}"

    with ThreadPoolExecutor(visitors) as pool:
        answers = list(pool.map(visit, range(visitors)))
    failed = [answer for answer in answers if isinstance(answer, str)]
    return [answer for answer in answers if not isinstance(answer, str)], failed


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table and write it.

    Args:
        argv: Arguments; None takes those of the process.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", help="UniMo folder; default: the one of the package")
    parser.add_argument("--visitors", type=positive_int, default=20, help="visitors at once")
    parser.add_argument("--repeats", type=positive_int, default=5, help="answers one after another")
    parser.add_argument("--output", type=Path, help="JSON file for the table")
    arguments = parser.parse_args(argv)
    with running_app([] if arguments.model is None else ["--model", arguments.model]) as address:
        first, *later = [ask(address, seed) for seed in range(arguments.repeats + 1)]
        answered, failed = all_at_once(address, arguments.visitors)
    for error in failed:
        print(error, file=sys.stderr)
    slowest = f"{max(answered):.0f}" if answered else "none"
    columns = ["visitors", "answered", "seconds"]
    rows = [
        ["one, at first", "1", f"{first:.1f}"],
        [f"one, median of the next {arguments.repeats}", str(arguments.repeats), f"{np.median(later):.1f}"],
        [f"{arguments.visitors} at once, the slowest", str(len(answered)), slowest],
    ]
    write_table(
        arguments.output,
        columns,
        rows,
        "app-1",
        f"motions of {SECONDS:g} s with a thought; {torch.get_num_threads()} threads; visitors wait in the app's "
        "queue, which answers one at a time.",
        "python -m benchmarks.app_load --output docs/results/app.json",
    )
    if failed:
        raise SystemExit(f"error: {len(failed)} of {arguments.visitors} visitors got no answer")


if __name__ == "__main__":
    main()
