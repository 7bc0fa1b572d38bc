"""Processes that begin with the libraries imported: forks of one server, for tests of what a process does.

Starting Python and importing torch and transformers takes longer than most tests; tests of how a process starts do it.
"""

import multiprocessing
import os
import runpy
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import torch

PRELOADED = [
    "train.representation.vqvae_training",
    "train.representation.evaluator_training",
    "train.supervised.sft_training",
    "train.reinforcement.grpo_training",
    "evaluate_unimo.evaluation",
]


def fork_server() -> ForkServerContext:
    """The context whose processes are forks of the server; it starts with the first of them."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def _run(log: Path, environment: Mapping[str, str], target: Callable[..., Any], arguments: Sequence[Any]) -> None:
    with log.open("a", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.environ.clear()
    os.environ.update(environment)
    torch.set_num_threads(1)
    multiprocessing.set_start_method("fork", force=True)  # of its own children, as in a script started by hand
    target(*arguments)


def _command(words: Sequence[str]) -> None:
    if words[0] == "-m":
        sys.argv = list(words[1:])
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = list(words)
        runpy.run_path(words[0], run_name="__main__")


class ForkedProcess:
    """What `train.engine.processes.start_process` returns, of a fork: `pid`, `poll`, `wait`, `returncode`.

    Args:
        log: File to whose end it writes.
        target: What it calls.
        arguments: With what.
        environment: Its environment.
    """

    def __init__(
        self, log: Path, target: Callable[..., Any], arguments: Sequence[Any], environment: Mapping[str, str]
    ):
        self._process = fork_server().Process(target=_run, args=(log, dict(environment), target, arguments))
        self._process.start()
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int | None:
        self._process.join(timeout)
        return self.returncode

    def kill(self) -> None:
        self._process.kill()


def forked_stage(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> ForkedProcess:
    """In the place of `start_process`, for commands that start with this Python."""
    assert command[0] == sys.executable
    log.write_text("")
    return ForkedProcess(log, _command, [command[1:]], environment)


def forked_ranks(count: int, log: Path, target: Callable[..., Any], *arguments: Any) -> list[ForkedProcess]:
    """The processes of one training on CPU, with the environment that a launcher gives them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = os.environ | {
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo",
        "WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count), "ACCELERATE_USE_CPU": "true",
        "ACCELERATE_MIXED_PRECISION": "no",
    }  # fmt: skip
    return [
        ForkedProcess(log, target, arguments, shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(count)
    ]
