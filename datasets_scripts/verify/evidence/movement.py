"""A movement, as all layers of the evidence find it, and what is done with more than one of them.

Reads no joints: series of repetitions, spans divided at valleys, the names of a direction.
"""

from dataclasses import dataclass

import numpy as np

from datasets_scripts.verify.kinematics import Span, swings


@dataclass(frozen=True)
class Movement:
    """Something the body does in frames `start` up to `stop`.

    `side`: left, right, both or empty. `count`: fewest and most repetitions that can be read. `directions`: every
    name that fits; a name in `unlike` clearly does not. `angle` degrees (signed, positive to the left, for turns),
    `metres` the extent that a text would give, `speed` m/s, `levels` names of heights reached, `gait` walk, run or
    empty, `airborne` the seconds of the shortest and of the longest flight in it.
    """

    kind: str
    start: int
    stop: int
    sure: bool = True
    side: str = ""
    count: tuple[int, int] = (1, 1)
    directions: frozenset[str] = frozenset()
    unlike: frozenset[str] = frozenset()
    angle: float | None = None
    metres: float | None = None
    speed: float | None = None
    levels: frozenset[str] = frozenset()
    gait: str = ""
    airborne: tuple[float, float] | None = None

    @property
    def span(self) -> Span:
        """Its frames."""
        return Span(self.start, self.stop)


def series_of(kind: str, spans: list[tuple[Span, bool]], gap: int) -> list[Movement]:
    """Repetitions, each with whether it is sure, closer than `gap` frames as one movement with a count.

    Unsure repetitions widen the count downward.

    Args:
        kind: Of the movements.
        spans: Frames of each repetition, and whether it is sure.
        gap: Frames between two series at least.

    Returns:
        The series in order of time.
    """
    runs: list[list[tuple[Span, bool]]] = []
    for span, sure in sorted(spans, key=lambda item: item[0].start):
        if runs and span.start - runs[-1][-1][0].stop < gap:
            runs[-1].append((span, sure))
        else:
            runs.append([(span, sure)])
    found = []
    for run in runs:
        clear = sum(sure for _, sure in run)
        found.append(Movement(kind, run[0][0].start, run[-1][0].stop, sure=clear > 0, count=(max(clear, 1), len(run))))
    return found


def dips(series: np.ndarray, span: Span, reversal: float) -> list[Span]:
    """Divide a span at the valleys between the peaks of a series.

    Args:
        series: (T,).
        span: Frames to divide.
        reversal: How far the series falls between two peaks, in its unit.

    Returns:
        The parts, a peak in each.
    """
    turning = swings(series[span.slice], reversal)
    cuts = [span.start + last for _, last, change in turning[:-1] if change < 0]
    if turning and turning[0][2] > 0 and turning[0][0] > 2:
        # The stretch before the first rise holds no peak of its own.
        cuts = [cut for cut in cuts if cut > span.start + turning[0][0]]
    edges = [span.start, *cuts, span.stop]
    return [Span(a, b) for a, b in zip(edges, edges[1:], strict=False) if b > a]


def named_way(
    ahead: float, left: float, turned: float, net: tuple[float, float]
) -> tuple[frozenset[str], frozenset[str]]:
    """Names of a direction of travel that fit, and those that clearly do not.

    `ahead` and `left` are metres in the body's own directions; `net` those as the body faced at first: somebody who
    turns left and walks on walks "to the left" as well as "forward".

    Args:
        ahead, left: Metres.
        turned: Degrees, positive to the left.
        net: Metres ahead and to the left.

    Returns:
        The names that fit, and those that clearly do not.
    """
    length = max(float(np.hypot(ahead, left)), 1e-6)
    names, unlike = set(), set()
    for name, share in (("forward", ahead), ("backward", -ahead), ("left", left), ("right", -left)):
        if share > 0.35 * length:
            names.add(name)
        if share < 0.12 * length and name in ("forward", "backward"):
            unlike.add(name)
        if share < 0.15 * length and name in ("left", "right"):
            unlike.add(name)
    sign = {"left": 1.0, "right": -1.0}
    for side, value in sign.items():
        if value * turned > 25.0 or value * net[1] > 0.3 * max(float(np.hypot(*net)), 0.2):
            names.add(side)
            unlike.discard(side)
        elif value * turned > 12.0 or value * net[1] > 0.15 * max(float(np.hypot(*net)), 0.2):
            unlike.discard(side)
    if names & {"left", "right"}:
        names.add("sideways")
    if abs(left) < 0.3 * length and abs(turned) < 20.0:
        unlike.add("sideways")
    return frozenset(names), frozenset(unlike)
