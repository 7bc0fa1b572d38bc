"""Commands in processes of their own that fork from a server which has imported the heavy libraries once."""

import multiprocessing
import os
import runpy
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch

IMPORTED_ONCE = [
    "train.representation.vqvae_training",
    "train.representation.evaluator_training",
    "train.supervised.sft_training",
    "train.reinforcement.grpo_training",
    "train.supervised.own_answers",
    "evaluate_unimo.evaluation",
]


@cache
def fork_server() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED_ONCE)
    return context


def write_to(log: Path) -> None:
    """Let this process print to the end of a log."""
    with open(log, "a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)


def _run(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
    write_to(log)
    os.environ.clear()
    os.environ.update(environment)
    torch.set_num_threads(1)
    multiprocessing.set_start_method("fork", force=True)  # of a loader's workers, as in a script started by hand
    if command[1] == "-m":
        sys.argv = list(command[2:])
        runpy.run_module(command[2], run_name="__main__", alter_sys=True)
    else:
        sys.argv = list(command[1:])
        runpy.run_path(command[1], run_name="__main__")


class WarmProcess:
    """Stands for the `subprocess.Popen` of a Python command."""

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str]):
        assert command[0] == sys.executable
        self.process = fork_server().Process(target=_run, args=(list(command), log, dict(environment)))
        self.process.start()
        self.pid = self.process.pid

    @property
    def returncode(self) -> int | None:
        return self.process.exitcode

    def poll(self) -> int | None:
        return self.process.exitcode

    def wait(self, timeout: float | None = None) -> int | None:
        self.process.join(timeout)
        return self.process.exitcode


def start_warm(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> WarmProcess:
    """Takes the place of `train.engine.processes.start_process` where a test is about what commands do together."""
    return WarmProcess(command, log, environment)
