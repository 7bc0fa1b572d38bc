"""A file of finished work that survives the death of the process: one JSON object a line, appended and synced.

A line counts when it is complete. A run that was killed while it wrote leaves at most one incomplete line at the end,
which the next run cuts off.
"""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any


class Journal:
    """An append-only file of JSON lines; `append` may be called from many threads.

    Args:
        path: the file; created if it does not exist.
        sync_every: seconds within which lines are synced to disk. An appended line survives the end of the process
            at once, and a crash of the machine after this time; 0 syncs each line.

    Raises:
        ValueError: a line other than the last is not a JSON object: the file is not a journal, or damaged.
    """

    def __init__(self, path: str | Path, sync_every: float = 0.0):
        self.path, self.sync_every = Path(path), sync_every
        self.records = self._read()
        self._file = open(self.path, "ab")
        self._lock = threading.Lock()
        self._synced = time.monotonic()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def append(self, record: dict[str, Any]) -> None:
        """Append one record; it is in the file when this returns.

        Args:
            record: What JSON can hold.
        """
        line = json.dumps(record, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
        with self._lock:
            self._file.write(line)
            self._file.flush()
            if time.monotonic() - self._synced >= self.sync_every:
                os.fsync(self._file.fileno())
                self._synced = time.monotonic()

    def close(self) -> None:
        """Sync and close the file."""
        if not self._file.closed:
            with self._file:
                self._file.flush()
                os.fsync(self._file.fileno())

    def _read(self) -> list[dict[str, Any]]:
        """The complete lines; what follows them is cut off."""
        if not self.path.exists():
            return []
        content = self.path.read_bytes()
        complete = content.rfind(b"\n") + 1
        records = []
        for number, line in enumerate(content[:complete].splitlines(), start=1):
            try:
                record = json.loads(line)
            except ValueError as error:
                raise ValueError(
                    f"{self.path.name} line {number} is not valid JSON ({error}); delete this line"
                ) from error
            if not isinstance(record, dict):
                raise ValueError(f"{self.path.name} line {number} is not a JSON object; delete this line")
            records.append(record)
        if complete < len(content):
            with open(self.path, "r+b") as file:
                file.truncate(complete)
        return records
