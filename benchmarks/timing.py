"""How something is timed: alternating ways of doing the same work, warmed up, repeated, with the spread kept."""

import statistics
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch

Key = TypeVar("Key", bound=Hashable)
LINEAR = 1.1  # a power of growth up to this is called linear: repeats differ by some percent


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
        dtype: "float32", "bfloat16" or, on the host, "float64": whose arithmetic peak is the limit.
        baseline: the way of the same item that it is compared with.
        published: the way of the same item that is the published repository's own code doing the same work, if it ran.
        goal: how many times as fast as the baseline it should be.
        limit_goal: the share of its limit that it should reach.
        host: done by the processor in any case, so that its limits count and not those of a GPU.
        spread_of: what the seconds are of, where they are no repeats, such as a bootstrap's quantiles.
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
    host: bool = False
    spread_of: str = ""
    published: str | None = None

    @property
    def rate(self) -> float:
        """Units a second, by the median repeat."""
        return self.amount / statistics.median(self.seconds)

    @property
    def spread(self) -> tuple[float, float]:
        """Units a second of the slowest and of the fastest repeat."""
        return self.amount / max(self.seconds), self.amount / min(self.seconds)


@dataclass
class Figure:
    """A figure that is no rate, as a line of the table.

    Attributes:
        name: as the table shows it.
        value: the figure.
        unit: of it, such as "MiB"; empty: none.
        at_most: what it should not exceed; None: reported only.
    """

    name: str
    value: float
    unit: str = ""
    at_most: float | None = None


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
        figures: what is no rate but has a line of the table, such as a peak of memory.
        limits: of the machine, measured in the same run; see `limits.measure`.
        kind: "" of a whole run, "quick" or "tiny".
        measured: when.
        published: which code of a published repository ran beside the others, or why none; see `published.told`.
    """

    name: str
    title: str
    unit: str
    ways: list[Way] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    series: dict[str, Any] = field(default_factory=dict)
    figures: list[Figure] = field(default_factory=list)
    limits: dict[str, float] = field(default_factory=dict)
    kind: str = ""
    measured: str = ""
    published: dict[str, Any] = field(default_factory=dict)

    def ratio(self, way: Way) -> float | None:
        """How many times as fast as its baseline.

        Args:
            way: One of its ways.

        Returns:
            The ratio of the rates; None where the way has no baseline.
        """
        return self._times(way, way.baseline)

    def published_ratio(self, way: Way) -> float | None:
        """How many times as fast as the published repository's own code.

        Args:
            way: One of its ways.

        Returns:
            The ratio of the rates; None where that code did not run.
        """
        return self._times(way, way.published)

    def _times(self, way: Way, name: str | None) -> float | None:
        if name is None:
            return None
        return way.rate / next(other for other in self.ways if other.name == name).rate


def _clock(device: torch.device | str = "cpu") -> float:
    """Seconds, once everything that was started on the device is done."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def timed(function: Callable[[], object], device: torch.device | str = "cpu") -> float:
    """Time one call.

    Args:
        function: What is called.
        device: Whose work is waited for.

    Returns:
        Seconds.
    """
    begun = _clock(device)
    function()
    return _clock(device) - begun


def alternate(
    ways: Mapping[Key, Callable[[], object]],
    repeats: int,
    device: torch.device | str = "cpu",
    warm_up: bool = True,
) -> dict[Key, list[float]]:
    """Time ways in turn, so that other work on the machine slows all of them alike.

    Args:
        ways: By name.
        repeats: Timed calls of each.
        device: Whose work is waited for.
        warm_up: Whether each way is called once before.

    Returns:
        Seconds of each repeat by way.
    """
    if warm_up:
        for way in ways.values():
            way()
    return in_turns({name: [way] * repeats for name, way in ways.items()}, device)


def in_turns(
    ways: Mapping[Key, Sequence[Callable[[], object]]], device: torch.device | str = "cpu"
) -> dict[Key, list[float]]:
    """Time calls, those of every way spread evenly over the whole time, however many it has.

    Args:
        ways: The calls of each way by name.
        device: Whose work is waited for.

    Returns:
        Seconds of each call by way.
    """
    calls = [
        ((place + 0.5) / len(several), name, call)
        for name, several in ways.items()
        for place, call in enumerate(several)
    ]
    seconds: dict[Key, list[float]] = {name: [] for name in ways}
    for _, name, call in sorted(calls, key=lambda entry: entry[0]):
        seconds[name].append(timed(call, device))
    return seconds


def bootstrapped(parts: Sequence[float], count: int, draws: int = 2000) -> list[float]:
    """What `count` parts take of which some were timed.

    Args:
        parts: Seconds of each timed part.
        count: Parts of the whole.
        draws: Of the bootstrap.

    Returns:
        2.5%, median and 97.5% over which parts might have been timed, in seconds.
    """
    chosen = np.random.default_rng(0).choice(np.asarray(parts), (draws, len(parts)))
    return (np.quantile(chosen.mean(1), (0.025, 0.5, 0.975)) * count).tolist()


def _slope(points: Sequence[tuple[float, float]]) -> float:
    """By which power y grows with x: the least-squares slope of log y over log x; 1 is linear."""
    x, y = np.log(np.asarray(points, dtype=np.float64)).T
    return float(np.polyfit(x, y, 1)[0])


def growth_figures(points: Sequence[tuple[float, float]]) -> list[Figure]:
    """By which power seconds grow with work.

    Args:
        points: (work, seconds) from little to much, two or more.

    Returns:
        The power over all and over the last step; 1 is linear, with what is fixed less.
    """
    name = "time grows by this power of the number"
    return [
        Figure(f"{name}, over all", _slope(points), at_most=LINEAR),
        Figure(f"{name}, last step", _slope(points[-2:]), at_most=LINEAR),
    ]


def operations_of(function: Callable[[], object]) -> float:
    """What one call computes.

    Of networks on a CPU: recurrent layers are one fused operation on a GPU, which the counter does not know.

    Args:
        function: Whose matrix products and convolutions are counted.

    Returns:
        Floating point operations.
    """
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        function()
    return float(counter.get_total_flops())
