"""How something is timed: alternating ways of doing the same work, warmed up, repeated, with the spread kept."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch


class Unavailable(Exception):
    """An item cannot be measured here; the message says what it would take."""


@dataclass
class Way:
    """One way of doing the work of an item.

    Attributes:
        name: as the table shows it.
        seconds: of each repeat.
        amount: units of work a repeat does.
        operations, moved: floating point operations and bytes a repeat cannot do without; None: not counted.
        dtype: "float32" or "bfloat16": whose arithmetic peak is the limit.
        baseline: the way of the same item that it is compared with.
        goal: how many times as fast as the baseline it should be.
        limit_goal: the share of its limit that it should reach.
    """

    name: str
    seconds: list[float]
    amount: float
    operations: float | None = None
    moved: float | None = None
    dtype: str = "float32"
    baseline: str | None = None
    goal: float | None = None
    limit_goal: float | None = None

    @property
    def rate(self) -> float:
        """Units a second, by the median repeat."""
        return self.amount / statistics.median(self.seconds)

    @property
    def spread(self) -> tuple[float, float]:
        """Units a second of the slowest and of the fastest repeat."""
        return self.amount / max(self.seconds), self.amount / min(self.seconds)


@dataclass
class Item:
    """What was measured of one item.

    Attributes:
        name: as `--only` takes it.
        title: what is timed, with its sizes.
        unit: of a rate, such as "frames".
        facts: further figures by name, such as by how much the results of two ways differ.
        note: what the figures are of, in words.
        series: for a picture: {chart title: {"x", "y", "points": {name: [(x, y), ...]}}}.
    """

    name: str
    title: str
    unit: str
    ways: list[Way] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    series: dict[str, Any] = field(default_factory=dict)

    def ratio(self, way: Way) -> float | None:
        """How many times as fast as its baseline; None where it has none."""
        if way.baseline is None:
            return None
        return way.rate / next(other for other in self.ways if other.name == way.baseline).rate


def clock(device: torch.device | str = "cpu") -> float:
    """Seconds, once everything that was started on the device is done."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def timed(function: Callable[[], object], device: torch.device | str = "cpu") -> float:
    """Seconds of one call."""
    begun = clock(device)
    function()
    return clock(device) - begun


def alternate(
    ways: Mapping[str, Callable[[], object]],
    repeats: int,
    device: torch.device | str = "cpu",
    warm_up: bool = True,
) -> dict[str, list[float]]:
    """Seconds of each repeat by way: in turn, so that other work on the machine slows all ways alike."""
    if warm_up:
        for way in ways.values():
            way()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            seconds[name].append(timed(way, device))
    return seconds


def operations_of(function: Callable[[], object]) -> float:
    """Floating point operations of the matrix products and convolutions of one call."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        function()
    return float(counter.get_total_flops())
