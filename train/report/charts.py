"""Charts of the report pages: matplotlib's SVG with the page's own fonts and, through CSS variables, its colours."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Matplotlib is given these colours; the page sees a variable of its style, or the colour beside it where it has none.
_SERIES = ("#2f7acd", "#e0592b", "#2a9d6f", "#8a63c9", "#b8860b", "#c2417f")
_TEXT, _EDGE, _GOOD, _BAD = "#5b6675", "#dbe1e9", "#1a7f37", "#cf222e"
_VARIABLES = {
    **{color: f"--c{index}" for index, color in enumerate(_SERIES)},
    **{_TEXT: "--soft", _EDGE: "--edge", _GOOD: "--good", _BAD: "--bad"},
}
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "unimo",  # the same data gives the same file
    "font.size": 9,
    "text.color": _TEXT,
    "axes.labelcolor": _TEXT,
    "axes.edgecolor": _TEXT,
    "axes.grid.axis": "y",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "grid.color": _EDGE,
    "xtick.color": _TEXT,
    "ytick.color": _TEXT,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
}
_NOISY = 60  # points from which a series is also drawn smoothed
_FEW = 8  # points up to which each is marked

Series = Mapping[str, Sequence[tuple[float, float]]]


def line_chart(series: Series, x_label: str, y_label: str, title: str) -> str:
    """An SVG of one or more (x, y) series; long ones are drawn faintly under their moving average.

    The y axis is logarithmic where values are positive and span more than two orders of magnitude.

    Args:
        series: Points by name of the series.
        x_label: Title of the x axis.
        y_label: Title of the y axis.
        title: Title of the chart.

    Returns:
        The SVG.

    Raises:
        ValueError: no series, or none with a finite point.
    """
    from scipy.ndimage import uniform_filter1d

    points = {name: np.asarray(values, float).reshape(-1, 2) for name, values in series.items()}
    points = {name: values[np.isfinite(values).all(axis=1)] for name, values in points.items()}
    points = {name: values for name, values in points.items() if len(values)}
    if not points:
        raise ValueError(f"chart {title!r} has no finite point to draw")

    def draw(axes: Axes) -> None:
        low = min(values[:, 1].min() for values in points.values())
        high = max(values[:, 1].max() for values in points.values())
        log = low > 0 and high > 100 * low
        if log:
            axes.set_yscale("log")
        for color, (name, (x, y)) in zip(_cycle(len(points)), ((n, v.T) for n, v in points.items()), strict=True):
            if len(x) > _NOISY:
                axes.plot(x, y, color=color, alpha=0.28, linewidth=0.8)
                y = uniform_filter1d(y, 2 * max(2, len(y) // 40) + 1, mode="nearest")
            axes.plot(x, y, color=color, label=name, marker="o" if len(x) <= _FEW else None, markersize=4)
        axes.set_xlabel(x_label)
        axes.set_title(f"{y_label}{' (log scale)' if log else ''}", loc="left", fontsize="medium", color=_TEXT)
        if len(points) > 1:
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=2, fontsize="small")

    return _svg(draw, f"{title}: {', '.join(points)} over {x_label}", 2.6)


def histogram(counts: Sequence[int], x_label: str, y_label: str, title: str) -> str:
    """An SVG of counts as bars that touch, largest first.

    Args:
        counts: Height of each bar.
        x_label: Title of the x axis.
        y_label: Title of the y axis.
        title: Title of the chart.

    Returns:
        The SVG.
    """

    def draw(axes: Axes) -> None:
        axes.stairs(sorted(counts, reverse=True), fill=True, color=_SERIES[0])
        axes.set_xlim(0, len(counts))
        axes.set_ylim(0, max(*counts, 1))
        axes.set_xlabel(x_label)
        axes.set_title(y_label, loc="left", fontsize="medium", color=_TEXT)

    return _svg(draw, title, 2.4)


def forest(rows: Sequence[tuple[str, float, float]], title: str) -> str:
    """An SVG of changes in percent as points with intervals, better to the right.

    Args:
        rows: (label, change, half-width of its interval), from the top down.
        title: what a screen reader says.

    Returns:
        The SVG.
    """
    # One wild interval must not squeeze the others into a line: it leaves the plot, as an arrow says.
    reach = 1.15 * max(1.0, float(np.quantile([abs(change) + half for _, change, half in rows], 0.9)))

    def draw(axes: Axes) -> None:
        axes.grid(False)
        axes.axvline(0, color=_TEXT, linewidth=0.8, linestyle="--")
        for place, (_, change, half) in enumerate(rows):
            color = _TEXT if abs(change) <= half or not half else _GOOD if change > 0 else _BAD
            ends = np.clip([change - half, change + half], -reach, reach)
            axes.plot(ends, [place, place], color=color)
            axes.plot(np.clip(change, -reach, reach), place, "o", color=color, markersize=5)
            for end, marker in ((change - half, "<"), (change + half, ">")):
                if abs(end) > reach and (end > 0) == (marker == ">"):
                    tip = math.copysign(reach, end)
                    axes.plot(tip, place, marker, color=color, clip_on=False, gid=f"beyond-{place}")
            axes.annotate(f"{change:+.1f}%", (1.02, place), xycoords=("axes fraction", "data"), va="center")
        axes.set_xlim(-reach, reach)
        axes.set_yticks(range(len(rows)), [label for label, *_ in rows])
        axes.tick_params(axis="y", pad=9)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.xaxis.set_major_formatter("{x:+.0f}%")
        axes.set_xlabel("better to the right")

    return _svg(draw, title, 0.7 + 0.26 * len(rows), width=8.5)


def _cycle(count: int) -> list[str]:
    return [_SERIES[index % len(_SERIES)] for index in range(count)]


def _svg(draw, description: str, height: float, width: float = 4.4) -> str:
    """Draws on the axes of a new figure (inches) and returns it as an `<svg>` element for a page."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure((width, height), layout="constrained")
        draw(figure.add_subplot())
        return _element(figure, description)


def _element(figure: Figure, description: str) -> str:
    content = io.StringIO()
    figure.savefig(
        content,
        format="svg",
        transparent=True,
        metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")),
    )
    svg = content.getvalue()
    view_box = re.search(r'viewBox="[^"]*"', svg)
    assert view_box is not None
    body = svg[svg.index(">", svg.index("<svg")) + 1 :]
    # Matplotlib's style would hold for the whole page; ids that nothing refers to would occur several times on it.
    body = re.sub(r'<style.*?</style>|<metadata>.*?</metadata>|<!--.*?-->| id="[\w.]+_\d+"', "", body, flags=re.DOTALL)
    body = re.sub(r"\s+", " ", re.sub(r"font-family: [^;\"]*", "font-family: system-ui, sans-serif", body))
    body = re.sub("#[0-9a-f]{6}", lambda found: _color(found[0]), body)
    label = escape(description)
    return f'<svg class="chart" {view_box[0]} stroke-linejoin="round" role="img" aria-label="{label}">{body.strip()}'


def _color(color: str) -> str:
    return f"var({_VARIABLES[color]}, {color})" if color in _VARIABLES else color
