"""Several processes that sample together: the main one asks, each of the others answers its share.

`accelerate launch` and `torchrun` start them and describe the group in the environment. What they exchange is text and
codes, over gloo, also where each has a GPU of its own.
"""

import os
from contextlib import suppress
from datetime import timedelta
from typing import Any

import torch
from torch import distributed

TIMEOUT = timedelta(days=7)  # the others wait while the main process scores, which may take hours


class ProcessGroup:
    """The processes that a launcher started together; a group of one without a launcher.

    As a context manager it releases the other processes at the end.

    Args:
        rank: index of this process; 0 is the main process.
        size: number of processes.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size

    @classmethod
    def from_environment(cls) -> "ProcessGroup":
        """Join the group that the launcher describes; every process of the group must call this.

        Returns:
            The group.
        """
        group = cls(int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)))
        if group.size > 1:
            distributed.init_process_group("gloo", timeout=TIMEOUT)
        return group

    @property
    def is_main(self) -> bool:
        """Whether this process asks, scores and writes."""
        return self.rank == 0

    @property
    def device(self) -> torch.device:
        """The GPU of this process, or the CPU where there is none."""
        if not torch.cuda.is_available():
            return torch.device("cpu")
        local = int(os.environ.get("LOCAL_RANK", 0))
        return torch.device("cuda", local % torch.cuda.device_count())

    def broadcast(self, message: Any = None) -> Any:
        """Send a message from the main process to all.

        Args:
            message: The message, in the main process; None ends the loop of the other processes.

        Returns:
            The message.
        """
        messages = [message]
        if self.size > 1:
            distributed.broadcast_object_list(messages, src=0)
        return messages[0]

    def gather(self, value: Any) -> list[Any]:
        """Collect one value of each process.

        Args:
            value: The value of this process.

        Returns:
            The values by rank, in every process.
        """
        values = [value] * self.size
        if self.size > 1:
            distributed.all_gather_object(values, value)
        return values

    def __enter__(self) -> "ProcessGroup":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self.size == 1:
            return
        # After an interrupt, or where another process is gone, nobody is left who listens.
        if self.is_main and (kind is None or issubclass(kind, Exception | SystemExit)):
            with suppress(RuntimeError):
                self.broadcast(None)
        if kind is None or kind is SystemExit:
            distributed.destroy_process_group()
