"""Rows of numbers that may be more than memory holds: beyond a buffer they lie in a temporary file."""

import tempfile
from typing import Any

import numpy as np

BUFFER_BYTES = 1 << 26


class RowStore:
    """(N, D) float64 rows, N growing.

    Args:
        buffer_bytes: how much stays in memory.
    """

    def __init__(self, buffer_bytes: int = BUFFER_BYTES) -> None:
        self.buffer_bytes = buffer_bytes
        self.width = 0
        self._buffer: list[np.ndarray] = []
        self._buffered = self._stored = 0
        self._file: Any = None

    def __len__(self) -> int:
        return self._buffered + self._stored

    def append(self, rows: np.ndarray, name: str = "embeddings") -> None:
        """Add rows. They are copied, so the caller may reuse the array for the next batch.

        Args:
            rows: (B, D).
            name: Name of the rows in the error message.

        Raises:
            ValueError: D differs from that of earlier rows.
        """
        if len(self) and rows.shape[1] != self.width:
            raise ValueError(f"{name} have {rows.shape[1]} dimensions, earlier ones had {self.width}")
        self.width = rows.shape[1]
        self._buffer.append(np.array(rows, np.float64))
        self._buffered += len(rows)
        if self._buffered * self.width * 8 > self.buffer_bytes:
            self._store()

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Select rows.

        Args:
            indices: (K,).

        Returns:
            (K, D), in the order of the indices.
        """
        if self._file is not None:
            self._store()
            return np.asarray(self._mapped()[indices])
        if len(self._buffer) > 1:
            self._buffer = [np.concatenate(self._buffer)]
        return self._buffer[0][indices]

    def all(self) -> np.ndarray:
        """All rows, mapped from the file if there is one.

        Returns:
            (N, D); (0, 0) without rows.
        """
        if self._file is not None:
            self._store()
            return self._mapped()
        return np.concatenate(self._buffer) if self._buffer else np.zeros((0, 0))

    def _store(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="unimo-metric-")
        for rows in self._buffer:
            rows.tofile(self._file)
        self._file.flush()
        self._stored, self._buffered, self._buffer = self._stored + self._buffered, 0, []

    def _mapped(self) -> np.ndarray:
        # Mapped anew each time: pages that were read are given back with the map.
        return np.memmap(self._file, np.float64, "r", shape=(self._stored, self.width))
