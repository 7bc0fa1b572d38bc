"""Kills of each long command at points of its progress: does what is left end as an undisturbed run does?

`python -m benchmarks.kills --folder DIR --kills 20` kills build (two workers), annotate, evaluate and the miniature
quickstart, by SIGKILL and SIGTERM in turn, at points drawn by `--seed` from what an undisturbed run says and writes
in its course. After each kill no process of the command may live on. The same command is then given again, and killed
again, until it ends; then its output is compared with the undisturbed one, and beside it nothing may be left. Prints a
line for each command and adds the counts to those in `--output`, so that the kills can be given in several calls with
other seeds.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from datasets_scripts.sources.synthetic import generator
from modeling_unimo.files_unimo import sha256_of, write_json

CODE = Path(__file__).resolve().parents[1]
MINIATURE = CODE / "train" / "configs" / "miniature" / "quickstart.yaml"
TIMES = {"seconds", "memory_mb", "peak_memory_mb", "settings"}  # `settings` holds the name of the output


@dataclass
class Counts:
    """What came of the kills of one command."""

    command: str
    kills: int = 0
    runs_finished: int = 0
    runs_equal: int = 0
    processes_left: int = 0
    files_left: int = 0
    failures: int = 0

    @property
    def clean(self) -> bool:
        """Whether every kill was without a trace."""
        return self.runs_equal == self.runs_finished and not (self.processes_left + self.files_left + self.failures)


@dataclass
class Command:
    """A command, what its progress is measured by beside its own words, and what must be equal in the end."""

    name: str
    words: Callable[[Path], list[str]]  # of the output
    content: Callable[[Path], dict[str, Any]]
    logs: Callable[[Path], Sequence[Path]] = lambda output: ()


class Running:
    """A command that was started, and how far it is: the bytes that it has said and logged."""

    def __init__(self, command: Command, output: Path, log: Path):
        self.command, self.output, self.said = command, output, 0
        # Every iteration of a progress bar is printed.
        environment = os.environ | {"PYTHONPATH": str(CODE), "OMP_NUM_THREADS": "1", "TQDM_MININTERVAL": "0"}
        words = [sys.executable, "-u", "-m", *command.words(output)]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment)
        self.log = log.open("ab")
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        while data := os.read(self.process.stdout.fileno(), 1 << 16):
            self.said += len(data)
            self.log.write(data)
            self.log.flush()

    def progress(self) -> int:
        """How far it is.

        Returns:
            Bytes that were said and logged so far.
        """
        return self.said + sum(path.stat().st_size for path in self.command.logs(self.output))

    def kill(self, number: int) -> int:
        """Send a signal to the command alone.

        Args:
            number: Of the signal.

        Returns:
            How many of its processes outlive it by a minute; they are killed as well.
        """
        members = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send_signal(number)
        self.process.wait(60)
        left = psutil.wait_procs(members, timeout=60)[1]
        for process in left:
            process.kill()
        return len(left)

    def close(self) -> None:
        """After its end."""
        self.reader.join(10)
        self.log.close()


def _moving_people(folder: Path, clips: int, seed: int) -> None:
    """A folder for `--source joints`: synthetic clips as .npy files with captions.jsonl."""
    folder.mkdir()
    with (folder / "captions.jsonl").open("w", encoding="utf-8") as captions:
        made = generator.iter_clips(train=clips, validation=0, test=0, hard=0, attribute_pools=0, seed=seed)
        for clip in made:
            np.save(folder / f"{clip.id}.npy", clip.joints.astype(np.float32))
            line = {"id": clip.id, "captions": [caption.text for caption in clip.captions]}
            captions.write(json.dumps(line) + "\n")


def _tree(output: Path) -> dict[str, Any]:
    """The hash of each file of a dataset; the card and build.json name the folder."""
    return {
        str(path.relative_to(output)): sha256_of([path])
        for path in sorted(output.rglob("*"))
        if path.is_file() and path.name not in ("README.md", "build.json")
    }


def _figures(path: Path) -> Any:
    """A JSON file without times, memory and names of folders."""

    def without(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: without(item) for name, item in value.items() if name not in TIMES}
        return value

    return without(json.loads(path.read_text(encoding="utf-8")))


def _of_run(output: Path) -> dict[str, Any]:
    """Weights and data of all stages of a quickstart, and its metrics."""
    weights = {
        str(path.relative_to(output)): sha256_of([path])
        for path in sorted(output.rglob("*"))
        if path.suffix in (".safetensors", ".parquet")
    }
    return weights | {"metrics": _figures(output / "metrics.json")}


def _commands(folder: Path) -> dict[str, Command]:
    """The commands over inputs in the folder."""
    build = ["datasets_scripts.build", "--source", "joints", "--data_dir", str(folder / "people"), "--workers", "2"]
    annotate = ["datasets_scripts.annotate", "--dataset", str(folder / "unannotated"), "--workers", "2"]
    run = folder / "reference" / "quickstart"
    evaluate = ["evaluate_unimo.run", "--model", str(run / "unimo"), "--dataset", str(run / "data")]
    evaluate += ["--evaluator", str(run / "evaluator"), "--repeats", "10", "--m2t_repeats", "10"]
    quickstart = ["train.quickstart", "--config", str(MINIATURE)]

    def into(words: list[str]) -> Callable[[Path], list[str]]:
        return lambda output: [*words, "--output", str(output)]

    return {
        "build": Command("build", into(build), _tree),
        "annotate": Command("annotate", into(annotate), _tree),
        "quickstart": Command("quickstart", into(quickstart), _of_run, lambda o: list(o.glob("logs/*.log"))),
        "evaluate": Command(
            "evaluate",
            into(evaluate),
            lambda o: {name: _figures(o / name) for name in ("results.json", "clips.json")},
        ),
    }


def _try_kills(command: Command, folder: Path, kills: int, seed: int) -> Counts:
    """Kill a command so often and count; an undisturbed run is made first where there is none yet."""
    counts, draw = Counts(command.name), random.Random(f"{command.name} {seed}")
    reference, length = folder / "reference" / command.name, folder / "reference" / f"{command.name}.bytes"
    place = folder / "killed" / command.name
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    if not length.is_file():
        reference.parent.mkdir(exist_ok=True)
        whole = Running(command, reference, place.with_suffix(".reference.log"))
        if whole.process.wait():
            raise SystemExit(f"error: {command.name} fails undisturbed; see {whole.log.name}")
        whole.close()
        length.write_text(str(whole.progress()))
    expected, end = command.content(reference), int(length.read_text())
    output = place / "output"
    while True:
        running = Running(command, output, place.with_suffix(".log"))
        goal = running.progress() + draw.uniform(0, 0.9) * end if counts.kills < kills else float("inf")
        while running.process.poll() is None and running.progress() < goal:
            time.sleep(0.002)
        if running.process.poll() is None:
            number = (signal.SIGKILL, signal.SIGTERM)[counts.kills % 2]
            counts.processes_left += running.kill(number)
            counts.kills += 1
            running.close()
            far = f"{goal / end:.0%} of what an undisturbed run says"
            print(f"{command.name}: kill {counts.kills}, {number.name} at {far}", file=sys.stderr, flush=True)
            continue
        running.close()
        if running.process.returncode:
            counts.failures += 1
        else:
            counts.runs_finished += 1
            counts.runs_equal += command.content(output) == expected
            allowed = {output.name, f"{output.name}.annotation"}
            counts.files_left += len([path for path in place.iterdir() if path.name not in allowed])
            counts.files_left += len([path for path in output.rglob(".*") if path.is_file()])
            print(f"{command.name}: ended, {counts.runs_equal} of {counts.runs_finished} equal", file=sys.stderr)
        if counts.kills >= kills or counts.failures:
            return counts
        shutil.rmtree(place)
        place.mkdir()


def main(argv: Sequence[str] | None = None) -> int:
    """Kill, count and print.

    Args:
        argv: Arguments; None takes those of the process.

    Returns:
        Exit status: 0 where every kill was without a trace.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", required=True, help="for inputs and outputs; those of an earlier call are used")
    parser.add_argument("--kills", type=int, default=20, help="of each command (20)")
    parser.add_argument("--commands", nargs="+", default=["build", "annotate", "quickstart", "evaluate"])
    parser.add_argument("--clips", type=int, default=600, help="that build and annotate work on (600)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", help="JSON file for the counts")
    arguments = parser.parse_args(argv)
    folder = Path(arguments.folder).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "people").is_dir():
        _moving_people(folder / "people", arguments.clips, arguments.seed)
    if "annotate" in arguments.commands and not (folder / "unannotated").is_dir():
        words = ["--source", "joints", "--data_dir", str(folder / "people"), "--annotator", "none", "--quiet"]
        words = [sys.executable, "-m", "datasets_scripts.build", *words, "--output", str(folder / "unannotated")]
        subprocess.run(words, check=True, cwd=CODE)
    all_of_them, found = _commands(folder), []
    for name in arguments.commands:
        counts = _try_kills(all_of_them[name], folder, arguments.kills, arguments.seed)
        found.append(counts)
        print(" ".join(f"{key} {value}" for key, value in asdict(counts).items()), flush=True)
        if arguments.output:
            add_counts(Path(arguments.output), counts)
    return 0 if all(counts.clean for counts in found) else 1


def add_counts(file: Path, counts: Counts) -> None:
    """Add counts to those of the same command in a JSON file.

    Args:
        file: {command: {count: number}}; made where it is missing.
        counts: Of one command.
    """
    there = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    added = asdict(counts)
    name = added.pop("command")
    earlier = there.get(name, {})
    write_json(file, there | {name: {key: earlier.get(key, 0) + number for key, number in added.items()}})


if __name__ == "__main__":
    sys.exit(main())
