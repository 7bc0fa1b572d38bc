"""The one motion viewer: a self-contained HTML player for skeleton motion.

Several motions play side by side in step: a shaded body with depth on a ground grid, with shadow and the path of its
root, seen through a perspective camera that follows it and turns by mouse, touch or keyboard. Script, style and joints
(16-bit integers, base64) are all inside the HTML, so a page works offline, in a notebook and in a report. The figure
is the one ``rendering_unimo`` draws (left limbs blue, right limbs red-orange, trunk grey).
"""

import base64
import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .bodies_unimo import BODIES, SIDE_COLORS, SOLE, drawable
from .files_unimo import write_text
from .player_unimo import SCRIPT, STYLE

# Text inside <script> ends at "</script>" or changes meaning at "<!--", whatever the JSON quotes say.
_JSON_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def _script_json(value: Any) -> str:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return "".join(_JSON_ESCAPES.get(character, character) for character in text)


def _encode_track(track: Mapping[str, Any], index: int) -> dict[str, Any]:
    """One motion as JSON: positions in whole steps (a millimetre, more for a body that travels beyond 32 m)."""
    if not isinstance(track, Mapping) or "joints" not in track:
        raise ValueError(f'track {index} is {type(track).__name__}; expected {{"joints": (T,22,3), "label": str}}.')
    label = str(track.get("label", ""))
    joints, body = drawable(track["joints"], name=f"joints of track {index} {label!r}".rstrip())
    origin = np.round(joints[0, 0] * [1, 0, 1], 3)
    relative = joints - origin
    step = max(0.001, float(np.abs(relative).max()) / 32767)
    quantised = np.rint(relative / step).astype("<i2")
    return {
        "label": label,
        "body": str(body.num_joints),
        "frames": len(joints),
        "scale": round(body.scale(joints), 4),
        "heading": [round(float(v), 4) for v in body.heading(joints)],
        "origin": origin.tolist(),
        "step": step,
        "data": base64.b64encode(quantised.tobytes()).decode("ascii"),
    }


def player_html(
    tracks: Sequence[Mapping[str, Any]],
    fps: float = 20.0,
    height: int = 360,
    title: str | None = None,
    caption: str | None = None,
    assets: bool = True,
    segments: Sequence[tuple[float, float, str]] = (),
) -> str:
    """A player as an HTML fragment.

    Args:
        tracks: one or more ``{"joints": (T,22,3) metres or (T,21,3) KIT millimetres, "label": str}``, played side by
            side in step; a shorter one holds its last frame.
        fps: frames a second of all tracks.
        height: of the picture, in CSS pixels.
        title, caption: texts above the picture, escaped.
        segments: (start, end, text) in seconds of parts, which are marked on the time bar and named while they play.
        assets: include style and script. Pass False where :func:`player_assets` is on the page once.

    Returns:
        HTML to put anywhere in the body of a page.

    Raises:
        ValueError: no tracks, wrong joint shape, no frames, NaN, or an impossible fps or height.
    """
    if isinstance(tracks, Mapping) or not len(tracks):
        raise ValueError('tracks must be a non-empty list of {"joints": (T,22,3), "label": str}.')
    if not 0 < fps <= 1000:
        raise ValueError(f"fps must be > 0, got {fps}")
    if not 80 <= height <= 4000:
        raise ValueError(f"height must be 80 to 4000 pixels, got {height}")
    encoded = [_encode_track(track, index) for index, track in enumerate(tracks)]
    heading = ""
    if title:
        heading += f'<div class="um-title">{html.escape(title)}</div>'
    if caption:
        heading += f'<div class="um-caption">{html.escape(caption)}</div>'
    parts = [[float(start), float(end), str(text)] for start, end, text in segments]
    data = _script_json({"fps": fps, "tracks": encoded, "segments": parts})
    views = "".join(
        f'<div class="um-view"><canvas tabindex="0" role="img" aria-label="{html.escape(_describe(track, fps))}"'
        f' style="height:{int(height)}px"></canvas>'
        f'<span class="um-label">{html.escape(track["label"])}</span></div>'
        for track in encoded
    )
    figure = (
        f'<figure class="unimo-player">{heading}<div class="um-stage">{views}</div>'
        '<div class="um-bar"><noscript>This motion plays where JavaScript is on.</noscript></div>'
        f'<script type="application/json" class="um-data">{data}</script></figure>'
    )
    return figure + player_assets() if assets else figure


def _describe(track: Mapping[str, Any], fps: float) -> str:
    name = track["label"] or "Motion"
    return f"{name}: a moving body, {track['frames'] / fps:.1f} seconds"


def player_assets() -> str:
    """Style and script of the player, once for all players on a page.

    Returns:
        HTML to put anywhere in the page.
    """
    bodies = {
        str(count): {
            "joints": body.num_joints,
            "between": body.between,
            "beyond": body.beyond,
            "capsules": body.capsules,
        }
        for count, body in BODIES.items()
    }
    constants = _script_json({"bodies": bodies, "colors": SIDE_COLORS, "sole": SOLE})
    return f"<style>{STYLE}</style><script>{SCRIPT.replace('__CONSTANTS__', constants)}</script>"


def page_html(body: str, title: str, style: str = "") -> str:
    """Wrap HTML in a page of its own: UTF-8, scaled for phones, light and dark.

    Args:
        body: HTML of the body.
        title: Title of the page, escaped.
        style: CSS to add.

    Returns:
        The page.
    """
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{html.escape(title)}</title><style>{style}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def save_html(
    path: str | Path,
    tracks: Sequence[Mapping[str, Any]],
    fps: float = 20.0,
    height: int = 480,
    title: str | None = None,
    caption: str | None = None,
    segments: Sequence[tuple[float, float, str]] = (),
) -> Path:
    """Write a player as a page of its own; raises what :func:`player_html` raises.

    Args:
        path: The file.
        tracks: As for :func:`player_html`.
        fps: Frames per second of all tracks.
        height: Height of the picture in CSS pixels.
        title: Title above the picture, escaped.
        caption: Text above the picture, escaped.
        segments: As for :func:`player_html`.

    Returns:
        The path.
    """
    player = player_html(tracks, fps=fps, height=height, title=title, caption=caption, segments=segments)
    page = page_html(f"<main>{player}</main>", title or "UniMo motion", _PAGE_STYLE)
    write_text(path, page)
    return Path(path)


_PAGE_STYLE = (
    "body{margin:0;background:#fff;color:#1c2430}main{max-width:1100px;margin:0 auto;padding:20px 16px}"
    "@media (prefers-color-scheme:dark){body{background:#14181e;color:#e3e8ee}}"
)
