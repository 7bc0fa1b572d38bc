"""Several processes that answer together: the first leads, the others do what it sends them.

`accelerate launch` and `torchrun` start them and say in the environment how they meet. What they exchange is text and
codes, as JSON over gloo, beside GPUs as well.
"""

import json
import os
from contextlib import suppress
from datetime import timedelta
from typing import Any

import torch
from torch import distributed

# The others wait while the first one scores, and that may take hours.
PATIENCE = timedelta(days=7)


class Team:
    """The processes that were started together; one, where nothing started more.

    Used as a context: at its end the first process sends the others home, and they part.

    Args:
        rank: which of them this is; 0 leads.
        size: how many there are.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size

    @classmethod
    def started(cls) -> "Team":
        """The processes that a launcher started beside this one, all of which have to come here."""
        team = cls(int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)))
        if team.size > 1:
            distributed.init_process_group("gloo", timeout=PATIENCE)
        return team

    @property
    def leads(self) -> bool:
        """Whether this is the process that asks, scores and writes."""
        return self.rank == 0

    @property
    def device(self) -> torch.device:
        """A GPU of this process's own where there are any."""
        if not torch.cuda.is_available():
            return torch.device("cpu")
        local = int(os.environ.get("LOCAL_RANK", 0))
        return torch.device("cuda", local % torch.cuda.device_count())

    def tell(self, message: Any = None) -> Any:
        """What the first process says, anything fit for JSON; None sends the others home."""
        if self.size == 1:
            return message
        content = _bytes(message)
        length = torch.tensor([len(content)])
        distributed.broadcast(length, 0)
        content = content if self.leads else torch.empty(int(length), dtype=torch.uint8)
        distributed.broadcast(content, 0)
        return _value(content)

    def collect(self, value: Any) -> list[Any]:
        """What each process has, by rank: the same list in all of them."""
        if self.size == 1:
            return [value]
        content = _bytes(value)
        lengths = [torch.zeros(1, dtype=torch.long) for _ in range(self.size)]
        distributed.all_gather(lengths, torch.tensor([len(content)]))
        longest = max(int(length) for length in lengths)
        padded = torch.zeros(longest, dtype=torch.uint8)
        padded[: len(content)] = content
        contents = [torch.empty(longest, dtype=torch.uint8) for _ in range(self.size)]
        distributed.all_gather(contents, padded)
        return [_value(received[: int(length)]) for received, length in zip(contents, lengths, strict=True)]

    def __enter__(self) -> "Team":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self.size == 1:
            return
        # Whoever was stopped in the middle, by a signal or by one that is gone, has nobody left who listens.
        if self.leads and (kind is None or issubclass(kind, Exception | SystemExit)):
            with suppress(RuntimeError):
                self.tell(None)
        if kind is None or kind is SystemExit:
            distributed.destroy_process_group()


def _bytes(value: Any) -> torch.Tensor:
    return torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)


def _value(content: torch.Tensor) -> Any:
    return json.loads(content.numpy().tobytes())
