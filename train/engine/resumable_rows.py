"""Training rows with something drawn at random, which a resumed run draws again as the first one did."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info


class ResumableRows(Dataset):
    """A map-style dataset whose `__getitem__` asks `draw` for its random numbers.

    In the training process they come from torch's global generator, between those of the model. Since the loader
    fetches one batch ahead, a checkpoint is made after the draws of a batch that the resumed run has yet to train on:
    the state before those draws is kept with it (`save_draws`, `restore_draws`). In a loader's worker, which fetches
    more batches ahead, each number is a function of the seed, the epoch and the row.
    """

    seed = 0
    epoch = 0
    _before: Tensor | None = None  # generator's state before the latest batch was drawn
    _pending: dict[str, Tensor] | None = None  # of a run that resumes within an epoch, until its first batch
    redrawn = False  # whether that first batch was drawn by this process

    def draw(self, count: int, index: int) -> int:
        """Draw a random number for a row.

        Args:
            count: Upper bound, exclusive.
            index: The row.

        Returns:
            The number.
        """
        if get_worker_info() is None:
            return int(torch.randint(0, count, ()))
        return int(np.random.default_rng((self.seed, self.epoch, index)).integers(count))

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """The rows of one batch; the loader asks for them in one call."""
        if get_worker_info() is not None:
            return [self[index] for index in indices]
        pending, self._pending = self._pending, None
        if pending is not None:
            torch.set_rng_state(pending["before"])
        self._before = torch.get_rng_state()
        rows = [self[index] for index in indices]
        if pending is not None:
            # Here the first run trained and saved; what it drew next, it drew from the state in the checkpoint.
            torch.set_rng_state(pending["saved"])
            self.redrawn = True
        return rows

    def save_draws(self, path: Path) -> None:
        """Save with a checkpoint what is needed to continue drawing.

        Args:
            path: Folder of the checkpoint.
        """
        saved = torch.get_rng_state()
        before = saved if self._before is None else self._before  # None: workers draw
        save_file({"saved": saved, "before": before.clone()}, path)

    def restore_draws(self, path: Path) -> None:
        """Continue with the batch after those that the checkpoint had fetched.

        Args:
            path: Folder of the checkpoint.

        Raises:
            FileNotFoundError: Nothing was saved there.
        """
        self._pending = load_file(path)

    def forget_draws(self) -> None:
        """A new epoch begins: nothing was fetched ahead."""
        self._pending, self.redrawn = None, False
