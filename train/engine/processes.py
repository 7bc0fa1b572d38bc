"""Processes of a run: started so that they end with their parent, watched, stopped; and what they may use."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import psutil

GPU_SECONDS = 300.0  # for torch to be imported and to count, on a machine that is busy
# Asks Linux for SIGTERM (15) when the parent dies, even by SIGKILL (PR_SET_PDEATHSIG, 1, of <linux/prctl.h>), then
# becomes the command. A program of its own, not `preexec_fn`: that one can hang where this process has threads.
_END_WITH_PARENT = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 15)
if os.getppid() == int(sys.argv[1]):
    os.execvp(sys.argv[2], sys.argv[2:])
"""


def start_process(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> subprocess.Popen:
    """Start a command that writes to a log; on Linux it is terminated when this process dies.

    Args:
        command: The command.
        log: File for its output.
        environment: Its environment.

    Returns:
        The process.
    """
    if sys.platform == "linux":
        command = [sys.executable, "-I", "-S", "-c", _END_WITH_PARENT, str(os.getpid()), *command]
    with log.open("w", encoding="utf-8") as file:
        return subprocess.Popen(command, stdout=file, stderr=file, env=environment)


def leave_group() -> None:
    """Leave the processes that trained together, where there are others.

    A process that ends within its group may abort on its way out. The launcher then ends all of them, the main process
    too, which may still be writing the model.
    """
    from torch import distributed

    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def stop_process(process: subprocess.Popen) -> None:
    """Stop a process and all it has started; those that do not end within five seconds are killed.

    Args:
        process: The process.
    """
    if process.poll() is not None:
        return
    parent = psutil.Process(process.pid)
    left = [*parent.children(recursive=True), parent]
    for end in (psutil.Process.terminate, psutil.Process.kill):
        for member in left:
            with suppress(psutil.NoSuchProcess):  # its parent may have been faster
                end(member)
        left = psutil.wait_procs(left, timeout=5)[1]
    process.wait()


class MemoryWatch(threading.Thread):
    """The largest memory a process tree ever held, in MB; pages that processes share are counted once."""

    def __init__(self, pid: int):
        super().__init__(daemon=True)
        self.process, self.peak_mb = psutil.Process(pid), 0.0

    def run(self) -> None:
        """Measure until the process ends."""
        while True:
            try:
                members = [self.process, *self.process.children(recursive=True)]
            except psutil.NoSuchProcess:
                return
            total = 0.0
            for member in members:
                try:
                    info = member.memory_full_info()
                except (psutil.NoSuchProcess, psutil.AccessDenied):
                    continue  # it ended between the listing and the reading
                total += getattr(info, "pss", info.uss)
            self.peak_mb = max(self.peak_mb, total / 2**20)
            time.sleep(1.0)


def usable_cores() -> int:
    """Number of cores this process may use (all of the machine's if the system does not tell).

    Returns:
        The number.
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@lru_cache
def count_gpus() -> int:
    """Number of GPUs that torch sees, whatever `CUDA_VISIBLE_DEVICES` and the platform are.

    Asked in a separate process, so that the memory torch takes is free again.

    Returns:
        The number.

    Raises:
        SystemExit: There is no answer: a driver hangs, or torch cannot be imported.
    """
    source = "import torch; print(torch.cuda.device_count())"
    try:
        done = subprocess.run(
            [sys.executable, "-c", source], stdout=subprocess.PIPE, text=True, check=True, timeout=GPU_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise SystemExit(
            f"error: torch did not count the GPUs within {GPU_SECONDS:g} s: a driver hangs, or other programs keep "
            'the machine busy; to do without GPUs, set CUDA_VISIBLE_DEVICES to ""'
        ) from None
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"error: torch cannot count the GPUs (exit code {error.returncode}, see above)") from None
    return int(done.stdout)
