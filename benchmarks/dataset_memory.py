"""Builds a dataset, or loads it the published way, in this process alone, and prints what that took as JSON.

    python -m benchmarks.dataset_memory --folder JOINTS --source joints --output DIR [--workers N]
    python -m benchmarks.dataset_memory --folder HUMANML3D --source humanml3d --annotator none --output DIR --repeats 3
    python -m benchmarks.dataset_memory --folder HUMANML3D --published

The peak is of this process and of those that it starts, each by the most that it held at any time so far; a page that
several share counts for each. (The usual figure of a child also counts what its parent had when it was started.)
"""

import argparse
import contextlib
import io
import json
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import psutil

_EVERY = 0.1  # seconds between two looks at the processes


def _held_at_most(process: psutil.Process) -> int:
    """Bytes that a process held at most so far, or holds now, where the system does not tell the former."""
    status = Path(f"/proc/{process.pid}/status")
    if status.is_file():
        lines = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        return int(lines[0].split()[1]) * 1024 if lines else 0  # a process that has just ended has none
    return process.memory_info().rss


def tree_memory() -> int:
    """What this process and those it has started held at most so far.

    Returns:
        Bytes, each process by its own peak.
    """
    own, held = psutil.Process(), 0
    for process in (own, *own.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError, FileNotFoundError):  # it ended meanwhile
            held += _held_at_most(process)
    return held


@contextlib.contextmanager
def watched_memory() -> Iterator[list[int]]:
    """Watch this process and its children in the block.

    Yields:
        A list whose only number is, once the block is left, the most bytes that they held at once.
    """
    peak, done = [tree_memory()], threading.Event()

    def watch() -> None:
        while not done.wait(_EVERY):
            peak[0] = max(peak[0], tree_memory())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()
        peak[0] = max(peak[0], tree_memory())


def loaded_dataset(folder: Path) -> dict[str, dict]:
    """Every motion and caption of a HumanML3D folder in memory, as the published data loaders hold them.

    Args:
        folder: In the official layout.

    Returns:
        By name: motion (T, 263), length T, and text with captions and tokens.
    """
    data = {}
    for name in (folder / "train.txt").read_text(encoding="utf-8").split():
        motion = np.load(folder / "new_joint_vecs" / f"{name}.npy")
        if not 40 <= len(motion) < 200:
            continue
        texts = []
        for line in (folder / "texts" / f"{name}.txt").read_text(encoding="utf-8").splitlines():
            caption, tokens, *_ = line.split("#")
            texts.append({"caption": caption, "tokens": tokens.split(" ")})
        data[name] = {"motion": motion, "length": len(motion), "text": texts}
    return data


def _build(arguments: argparse.Namespace, output: Path, *more: str) -> None:
    """Builds the dataset as the command does.

    Raises:
        SystemExit: it was not built; the message says why.
    """
    from datasets_scripts.build import main as command

    words = ["--source", arguments.source, "--data_dir", str(arguments.folder), "--output", str(output), "--quiet"]
    words += [*more, "--workers", str(arguments.workers)]
    words += [] if arguments.annotator is None else ["--annotator", arguments.annotator]
    with contextlib.redirect_stdout(io.StringIO()):
        if command(words):
            raise SystemExit(f"error: the dataset was not built from {arguments.folder}")


def main(argv: Sequence[str] | None = None) -> None:
    """Build or load, and print.

    Args:
        argv: Arguments; None takes those of the process.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--output", type=Path, help="folder for the datasets, one for each repeat")
    parser.add_argument("--published", action="store_true")
    parser.add_argument("--source", choices=("joints", "humanml3d"), default="joints")
    parser.add_argument("--annotator", choices=("kinematic", "none"), help="of the build; left out: its default")
    parser.add_argument("--workers", type=int, default=1, help="of the build")
    parser.add_argument("--repeats", type=int, default=1, help="how often it is built, after a warm-up where repeated")
    arguments = parser.parse_args(argv)
    if not arguments.published and arguments.output is None:
        parser.error("--output is missing: the folder that the dataset is written to")
    seconds = []
    # Each way with the packages it needs, which count for memory but not for time.
    if arguments.published:
        with watched_memory() as peak:
            begun = time.perf_counter()
            clips = len(loaded_dataset(arguments.folder))
            seconds.append(time.perf_counter() - begun)
    else:
        import datasets_scripts.build  # noqa: F401
        from datasets_scripts.schema import count_clips

        with watched_memory() as peak:
            if arguments.repeats > 1:
                _build(arguments, arguments.output / "warm_up", "--limit", "8")
            for repeat in range(arguments.repeats):
                begun = time.perf_counter()
                _build(arguments, arguments.output / str(repeat))
                seconds.append(time.perf_counter() - begun)
        clips = count_clips(arguments.output / "0")
    print(json.dumps({"clips": clips, "seconds": seconds, "peak": peak[0]}))


if __name__ == "__main__":
    main()
