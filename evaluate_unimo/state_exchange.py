"""Where the processes of one distributed evaluation leave what each has taken in: files that process 0 reads.

As with any module of `evaluate`, all processes see one folder and agree on an `experiment_id`. Process 0 holds a lock
under a name of its own as long as it lives; the others leave their files under that name. So nothing that a killed
evaluation left behind is ever counted, and two evaluations that use one name notice it.
"""

import glob
import json
import re
import secrets
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from modeling_unimo.files_unimo import atomic_write

_JSON = "__json__"


class StateExchange:
    """One of `num_process` processes that meet.

    Args:
        folder: which all of them see.
        experiment_id: of this evaluation, in all of them.
        num_process, process_id: how many there are, and which of them this is; 0 receives.
        timeout: seconds to wait for the others.

    Raises:
        ValueError: an `experiment_id` that is no part of a file name, or that a living evaluation uses.
    """

    def __init__(
        self, folder: str | Path, experiment_id: str, num_process: int, process_id: int, timeout: float
    ) -> None:
        if not re.fullmatch(r"[\w. -]+", experiment_id):
            raise ValueError(
                f"experiment_id must consist of letters, digits, spaces, '-', '_' and '.', got {experiment_id!r}"
            )
        self.folder, self.prefix = Path(folder), f"{experiment_id}-{num_process}-"
        self.num_process, self.process_id, self.timeout = num_process, process_id, timeout
        self.round = 0
        if process_id == 0:
            self._open()

    def send(self, state: dict[str, Any]) -> None:
        """Leave the state of this process for process 0.

        Args:
            state: Arrays, and values that JSON can hold.

        Raises:
            ValueError: Process 0 was not found within the timeout, or several were.
        """
        path = self._path(self._find(), self.process_id)
        arrays = {name: value for name, value in state.items() if isinstance(value, np.ndarray)}
        rest = json.dumps({name: value for name, value in state.items() if name not in arrays})
        arrays[_JSON] = np.frombuffer(rest.encode(), np.uint8)
        with atomic_write(path) as part:
            np.savez(part, **arrays)  # type: ignore[arg-type]  # its `allow_pickle` is none of ours
        self.round += 1

    def receive(self) -> list[dict[str, Any]]:
        """Collect the states of the other processes.

        Returns:
            Their states, by process.

        Raises:
            ValueError: Some processes left nothing within the timeout; what the others left stays for the next call.
        """
        paths = {process: self._path(self.name, process) for process in range(1, self.num_process)}
        end = time.monotonic() + self.timeout
        while late := [process for process, path in paths.items() if not path.is_file()]:
            if time.monotonic() > end:
                raise ValueError(
                    f"process {', '.join(map(str, late))} did not call `compute` within {self.timeout:g} seconds of "
                    "process 0; every process has to, with the same experiment_id and cache_dir (`timeout` sets the "
                    "seconds)"
                )
            time.sleep(0.02)
        states = [_read(path) for path in paths.values()]
        for path in paths.values():
            path.unlink()
        self.round += 1
        return states

    def _open(self) -> None:
        """Take a name that is new, and clear away what evaluations left that are gone."""
        for lock in self._locks():
            if _held(lock, patience=1.0):
                raise ValueError(
                    f"experiment_id: another evaluation uses {self.prefix.rsplit('-', 2)[0]!r} in {self.folder}; "
                    "give another one"
                )
            _remove(lock)
        self.name = self.prefix + secrets.token_hex(8)
        lock = self.folder / f"{self.name}.lock"
        self._lock = FileLock(lock)
        self._lock.acquire(timeout=10)
        weakref.finalize(self, _leave, self._lock, lock)

    def _find(self) -> str:
        """The name that process 0 has taken."""
        end = time.monotonic() + self.timeout
        while True:
            names = [lock.stem for lock in self._locks() if _held(lock)]
            if len(names) == 1:
                return names[0]
            if time.monotonic() > end:
                found = f"{len(names)} are there" if names else "it is not there"
                raise ValueError(
                    f"process {self.process_id} looked for process 0 in {self.folder} for {self.timeout:g} seconds: "
                    f"{found}; both need the same experiment_id, num_process and cache_dir"
                )
            time.sleep(0.02)

    def _locks(self) -> list[Path]:
        return sorted(Path(path) for path in glob.glob(f"{glob.escape(str(self.folder / self.prefix))}{_HEX}.lock"))

    def _path(self, name: str, process: int) -> Path:
        return self.folder / f"{name}-{process}-{self.round}.npz"


_HEX = "[0-9a-f]" * 16


def _read(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as file:
        state = {name: file[name] for name in file.files}
    return state | json.loads(state.pop(_JSON).tobytes())


def _held(lock: Path, patience: float = 0.0) -> bool:
    """Whether a process that lives holds a lock; `patience` outlasts others that ask the same."""
    probe = FileLock(lock)
    try:
        probe.acquire(timeout=patience, poll_interval=0.02)
    except Timeout:
        return True
    probe.release()
    return False


def _remove(lock: Path) -> None:
    for path in _of(lock):
        path.unlink(missing_ok=True)


def _of(lock: Path) -> Iterator[Path]:
    # With the hidden files that a process killed while it wrote has left.
    for hidden in ("", "."):
        yield from lock.parent.glob(f"{hidden}{glob.escape(lock.stem)}*")


def _leave(held: FileLock, lock: Path) -> None:
    held.release()
    _remove(lock)
