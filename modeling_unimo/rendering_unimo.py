"""The one frame renderer: a body of shaded capsules over a ground with shadow, in numpy alone.

Every limb is a sphere swept along a bone with a radius that tapers. In the image plane such a capsule has a closed
form: along the projected axis the visible surface point, its depth and its normal follow from the distance to the
axis, so each limb is rasterised in its own small window with a depth test and an anti-aliased outline. No GPU, no
OpenGL and no download is needed, the same input gives the same bytes, and one core draws well above 60 frames/s at
336 x 336.

Left limbs are blue, right limbs red-orange, trunk and head grey (`bodies_unimo.SIDE_COLORS`). The body is
shared with the browser player in ``visualization_unimo``, so a picture and a player show the same figure. The style
"skeleton" draws the same joints as thin bones, with the same camera, ground and colours.

:func:`staged` places figure and cameras; another renderer that starts from it frames a clip just as this one does.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from .bodies_unimo import SIDE_COLORS, SOLE, STICK_FIGURES, TRUNK, Body, drawable
from .files_unimo import atomic_write

try:
    import av
except ImportError:
    av = None  # type: ignore[assignment]

try:
    from PIL import Image
except ImportError:
    Image = None  # type: ignore[assignment]


VIEW_ANGLES: dict[str, tuple[float, float]] = {
    "three-quarter": (38.0, 16.0),
    "front": (0.0, 9.0),
    "side": (90.0, 9.0),
    "top": (0.0, 89.0),
}
"""Degrees from the front towards the subject's right, and above the horizon. Seen from its right side the body walks
towards the right edge of the picture, which is how one reads a sequence."""

VIEWS = tuple(VIEW_ANGLES)
CAMERAS = ("follow", "fixed")
STYLES = ("body", "skeleton")


def smoothed(values: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian filter along time with the ends held. Zero phase: the camera leads and lags the body equally.

    Args:
        values: Array (T, ...).
        sigma: Standard deviation in frames.

    Returns:
        Array of the same shape.
    """
    radius = int(np.ceil(3 * sigma))
    if radius == 0 or len(values) == 1:
        return values.copy()
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    padded = np.concatenate([np.repeat(values[:1], radius, 0), values, np.repeat(values[-1:], radius, 0)])
    flat = padded.reshape(len(padded), -1)
    out = np.stack([np.convolve(column, kernel, mode="valid") for column in flat.T], axis=-1)
    return out.reshape(values.shape)


@dataclass(frozen=True)
class _View:
    """Orientation of the camera and its lens. Rows of ``axes`` are image right, image down and depth."""

    axes: np.ndarray
    focal: float
    height: int
    width: int
    light: np.ndarray

    @classmethod
    def of(
        cls,
        heading: np.ndarray,
        azimuth: float,
        elevation: float,
        height: int,
        width: int,
        half_angle: float = 17.0,
    ) -> "_View":
        """Look at a body that faces ``heading`` (x, z) from ``azimuth`` degrees off its front, towards its right, and
        ``elevation`` degrees above the horizon; ``half_angle`` is the lens, from the middle to the nearer edge."""
        yaw = np.arctan2(heading[0], heading[1]) - np.radians(azimuth)
        pitch = np.radians(elevation)
        towards = np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
        depth = -towards
        right = np.cross(depth, [0.0, 1.0, 0.0])
        right /= np.linalg.norm(right)
        down = np.cross(depth, right)
        # Light from above, from the left of and behind the camera's shoulder: tied to the view, so that shading reads
        # the same whichever way a clip faces.
        light = -0.50 * right + np.array([0.0, 1.0, 0.0]) + 0.38 * np.array([np.sin(yaw), 0.0, np.cos(yaw)])
        focal = 0.5 * min(height, width) / np.tan(np.radians(half_angle))
        return cls(np.stack([right, down, depth]), focal, height, width, light / np.linalg.norm(light))

    def distance_to_fit(self, relative: np.ndarray, margin: float) -> float:
        """Camera distance from which points (N,3), given relative to the target, stay inside the picture."""
        camera = relative @ self.axes.T
        reach = np.array([self.width, self.height]) * 0.5 / self.focal
        need = (np.abs(camera[:, :2]) + margin) / reach - camera[:, 2:]
        return float(need.max())


class _Scene:
    """Frame buffer, ground and light of one picture size and view; draws bodies into it."""

    # Sky and ground share one bluish tint, so that only a brightness is computed per pixel.
    TINT = np.array([0.982, 1.0, 1.023], np.float32)
    SKY_TOP, SKY_BOTTOM = 242.0, 233.0
    TILE, DARK_TILE, LINE = 230.0, 219.0, 197.0

    def __init__(self, view: _View, body: Body, scale: float):
        self.view, self.body, self.scale = view, body, scale
        height, width = view.height, view.width
        self.columns = np.arange(width, dtype=np.float32) + 0.5
        self.rows = np.arange(height, dtype=np.float32) + 0.5
        self.light = (view.axes @ view.light).astype(np.float32)
        self.frame = np.empty((height, width, 3), np.float32)
        self.depth = np.empty((height, width), np.float32)
        self._prepare_ground()
        self._backdrop_at: tuple[float, ...] | None = None
        self._backdrop = np.empty_like(self.frame)

    def _prepare_ground(self) -> None:
        view = self.view
        x = (self.columns - 0.5 * view.width) / view.focal
        y = (self.rows - 0.5 * view.height) / view.focal
        rays = x[None, :, None] * view.axes[0] + y[:, None, None] * view.axes[1] + view.axes[2]
        falling = -rays[..., 1]
        # The horizon is a row: everything from `horizon` down is ground (all rows look down in the top view).
        below = np.flatnonzero((falling > 0.03).all(axis=1))
        self.horizon = int(below[0]) if len(below) else view.height
        ground = rays[self.horizon :]
        per_height = 1.0 / falling[self.horizon :]
        # Ground point = camera + camera height * (per_x, per_z); pixel footprint = camera height * per_pixel.
        self.per_x = (ground[..., 0] * per_height).astype(np.float32)
        self.per_z = (ground[..., 2] * per_height).astype(np.float32)
        self.per_pixel = (per_height * per_height / view.focal).astype(np.float32)
        self.sky = np.linspace(self.SKY_TOP, self.SKY_BOTTOM, view.height, dtype=np.float32)[:, None]
        self.footprint_at: float | None = None

    def _prepare_footprint(self, height: float) -> None:
        """What depends on how much ground a pixel covers: sharpness of edges and the fading of the far ground."""
        if height == self.footprint_at:
            return
        footprint = self.per_pixel * np.float32(height)
        # Edges are measured in periods of 2 m and softened over one pixel.
        self.sharpness = 2.0 / np.maximum(footprint, 1e-4)
        self.fade = 1.0 / (1.0 + (footprint * np.float32(self.view.focal / 26.0)) ** 2)
        self.melt = np.clip(1.0 - self.fade * 1.6, 0, 1)
        self.footprint_at = height

    def backdrop(self, camera: np.ndarray, ground: float) -> None:
        """Fill the frame with sky and the ground (height ``ground``) seen from ``camera`` (3,)."""
        self.depth.fill(np.inf)
        key = (*camera.tolist(), ground)
        if key != self._backdrop_at:
            self._paint_backdrop(camera, ground)
            self._backdrop_at = key
        np.copyto(self.frame, self._backdrop)

    def _paint_backdrop(self, camera: np.ndarray, ground: float) -> None:
        picture = self._backdrop
        np.multiply(self.sky[: self.horizon, :, None], self.TINT, out=picture[: self.horizon])
        if self.horizon == self.view.height:
            return
        height = camera[1] - ground
        self._prepare_footprint(round(float(height), 2))
        waves = []
        for per, origin in ((self.per_x, camera[0]), (self.per_z, camera[2])):
            # A triangle wave of period 2 m, zero on the grid lines (one a metre), positive on light tiles and
            # negative on dark ones. Only the origin modulo the period matters: float32 stays exact far from it.
            wave = per * np.float32(0.5 * height)
            wave += np.float32((0.5 * origin) % 1.0 - 0.25)
            wave -= np.rint(wave)
            np.abs(wave, out=wave)
            np.subtract(np.float32(0.25), wave, out=wave)
            wave *= self.sharpness
            waves.append(wave)
        dark = np.clip(waves[0], -1, 1)
        dark *= np.clip(waves[1], -1, 1)
        dark -= 1
        dark *= self.fade
        dark *= np.float32(0.5 * (self.TILE - self.DARK_TILE))
        line = np.minimum(np.abs(waves[0]), np.abs(waves[1]))
        np.subtract(np.float32(1.3), line, out=line)
        np.clip(line, 0, 1, out=line)
        line *= self.fade
        dark += np.float32(self.TILE)
        line *= np.float32(self.LINE) - dark
        dark += line
        # The far ground melts into the sky.
        dark += self.melt * (self.sky[self.horizon :] - dark)
        np.multiply(dark[..., None], self.TINT, out=picture[self.horizon :])

    def shadow(self, points: np.ndarray, camera: np.ndarray, ground: float, strength: float = 0.42) -> None:
        """Darken the ground where the body (P,3) keeps the light off it; softer the higher the limb."""
        if self.horizon == self.view.height:
            return
        light = self.view.light
        starts = np.array([c[0] for c in self.body.capsules])
        ends = np.array([c[1] for c in self.body.capsules])
        radius = np.array([0.5 * (c[2] + c[3]) for c in self.body.capsules]) * self.scale
        lift = points[:, 1] - ground
        flat = points[:, [0, 2]] - light[[0, 2]] / light[1] * lift[:, None]
        height = np.maximum(0.5 * (lift[starts] + lift[ends]), 0.0)
        soft = 0.015 + 0.075 * height
        window = self._shadow_window(flat, float((radius + soft).max()), camera, ground)
        if window is None:
            return
        top, bottom, left, right = window
        height_above = np.float32(camera[1] - ground)
        inside = (slice(top - self.horizon, bottom - self.horizon, 2), slice(left, right, 2))
        x = self.per_x[inside] * height_above + np.float32(camera[0])
        z = self.per_z[inside] * height_above + np.float32(camera[2])
        a = flat[starts].astype(np.float32)
        along = (flat[ends] - flat[starts]).astype(np.float32)
        along /= np.maximum((along**2).sum(-1, keepdims=True), 1e-8) ** 0.5
        length = np.sqrt(((flat[ends] - flat[starts]) ** 2).sum(-1)).astype(np.float32)
        shape = (-1, 1, 1)
        dx = x[None] - a[:, 0].reshape(shape)
        dz = z[None] - a[:, 1].reshape(shape)
        t = dx * along[:, 0].reshape(shape) + dz * along[:, 1].reshape(shape)
        # Distance to the segment without a division: project, clamp, Pythagoras.
        np.clip(t, 0, length.reshape(shape), out=t)
        dx -= t * along[:, 0].reshape(shape)
        dz -= t * along[:, 1].reshape(shape)
        dx *= dx
        dz *= dz
        dx += dz
        distance = np.sqrt(dx, out=dx)
        inner = (radius + soft).astype(np.float32).reshape(shape)
        cover = (inner - distance) * (0.5 / soft).astype(np.float32).reshape(shape)
        np.clip(cover, 0, 1, out=cover)
        cover *= (1.0 / (1.0 + 0.35 * height)).astype(np.float32).reshape(shape)
        shade = cover.max(axis=0)
        # Evaluated on every second pixel; shadows are soft, so linear interpolation between them shows nothing.
        full = _doubled(shade, bottom - top, right - left)
        full *= np.float32(-strength)
        full += 1
        self.frame[top:bottom, left:right] *= full[..., None]

    def _shadow_window(
        self, flat: np.ndarray, reach: float, camera: np.ndarray, ground: float
    ) -> tuple[int, int, int, int] | None:
        low, high = flat.min(axis=0) - reach, flat.max(axis=0) + reach
        corners = np.array([[x, ground, z] for x in (low[0], high[0]) for z in (low[1], high[1])])
        relative = (corners - camera) @ self.view.axes.T
        if (relative[:, 2] < 0.1).any():
            return self.horizon, self.view.height, 0, self.view.width
        x = relative[:, 0] / relative[:, 2] * self.view.focal + 0.5 * self.view.width
        y = relative[:, 1] / relative[:, 2] * self.view.focal + 0.5 * self.view.height
        left, right = max(int(x.min()), 0), min(int(x.max()) + 2, self.view.width)
        top, bottom = max(int(y.min()), self.horizon), min(int(y.max()) + 2, self.view.height)
        return (top, bottom, left, right) if left < right and top < bottom else None

    def draw(self, points: np.ndarray, camera: np.ndarray, opacity: float = 1.0) -> None:
        """Draw one body (P,3 points in metres) with a depth test against what was drawn before it."""
        view = self.view
        relative = (points - camera) @ view.axes.T
        z = relative[:, 2]
        if z.min() < 0.2:
            return
        per_metre = view.focal / z
        x = relative[:, 0] * per_metre + 0.5 * view.width
        y = relative[:, 1] * per_metre + 0.5 * view.height
        box = None
        if opacity < 1.0:
            box = self._body_window(x, y, float(per_metre.max()))
            before = self.frame[box].copy()
        # Far to near: an outline that is half covered then blends with what lies behind it.
        order = np.argsort([-(z[c[0]] + z[c[1]]) for c in self.body.capsules], kind="stable")
        for index in order:
            start, end, radius_a, radius_b, side = self.body.capsules[index]
            self._capsule(
                (float(x[start]), float(y[start]), float(z[start]), radius_a * self.scale * float(per_metre[start])),
                (float(x[end]), float(y[end]), float(z[end]), radius_b * self.scale * float(per_metre[end])),
                _SIDE_FLOAT[side],
                # The trunk is many capsules that should look like one.
                rim=0.08 if side == TRUNK else 0.30,
            )
        if box is not None:
            self.frame[box] = before + np.float32(opacity) * (self.frame[box] - before)

    def _body_window(self, x: np.ndarray, y: np.ndarray, per_metre: float) -> tuple[slice, slice]:
        reach = 0.12 * self.scale * per_metre + 2
        rows = slice(max(int(y.min() - reach), 0), max(int(y.max() + reach), 0))
        return rows, slice(max(int(x.min() - reach), 0), max(int(x.max() + reach), 0))

    def _capsule(
        self,
        a: tuple[float, float, float, float],
        b: tuple[float, float, float, float],
        color: np.ndarray,
        rim: float,
    ) -> None:
        """Rasterise one limb from a to b, each (column, row, depth in metres, radius in pixels), darkened by up to
        ``rim`` towards its outline."""
        ax, ay, az, ra = a
        bx, by, bz, rb = b
        view = self.view
        left = max(int(min(ax - ra, bx - rb) - 1.0), 0)
        right = min(int(max(ax + ra, bx + rb) + 2.0), view.width)
        top = max(int(min(ay - ra, by - rb) - 1.0), 0)
        bottom = min(int(max(ay + ra, by + rb) + 2.0), view.height)
        if left >= right or top >= bottom:
            return
        # Pixels a metre at the limb's middle; depth then has the unit of the image plane.
        per_metre = view.focal / (0.5 * (az + bz))
        ux, uy = bx - ax, by - ay
        length = (ux * ux + uy * uy) ** 0.5
        if length < 1e-3:
            # A ball, or a limb seen end on: any direction will do, but it needs one.
            length, ux, uy = 1e-3, 1e-3, 0.0
        ux, uy = ux / length, uy / length
        rise = (az - bz) * per_metre
        lean = rise / (length * length + rise * rise) ** 0.5
        radius = 0.5 * (ra + rb)

        columns = self.columns[left:right] - np.float32(ax)
        rows = self.rows[top:bottom, None] - np.float32(ay)
        along = columns * np.float32(ux) + rows * np.float32(uy)
        across = columns * np.float32(-uy) + rows * np.float32(ux)
        squared = across * across
        # On a cylinder leaning out of the image plane the normal is perpendicular to the axis in space, so the axis
        # point a pixel belongs to is shifted by the surface's height times the lean.
        place = np.subtract(np.float32(radius * radius), squared)
        np.maximum(place, 0, out=place)
        np.sqrt(place, out=place)
        place *= np.float32(lean)
        place += along
        place *= np.float32(1.0 / length)
        np.clip(place, 0, 1, out=place)
        along -= place * np.float32(length)
        squared += along * along
        local = place * np.float32(rb - ra)
        local += np.float32(ra)
        # Height of the sphere around that axis point, and how much of the pixel its outline covers.
        bulge = local * local
        bulge -= squared
        np.maximum(bulge, 0, out=bulge)
        np.sqrt(bulge, out=bulge)
        np.sqrt(squared, out=squared)
        alpha = np.subtract(local, squared, out=squared)
        alpha += np.float32(0.5)
        np.clip(alpha, 0, 1, out=alpha)
        place *= np.float32(bz - az)
        place += np.float32(az)
        place -= bulge * np.float32(1.0 / per_metre)

        depth = self.depth[top:bottom, left:right]
        nearer = place < depth
        alpha *= nearer
        nearer &= alpha > 0.5
        np.copyto(depth, place, where=nearer)

        # Lambert with a wrapped term, darker towards the outline so that limbs of one colour stay apart.
        lx, ly, lz = (float(v) for v in self.light)
        inverse = np.reciprocal(local, out=local)
        lit = along * np.float32(lx * ux + ly * uy)
        lit += across * np.float32(ly * ux - lx * uy)
        lit -= bulge * np.float32(lz)
        lit *= inverse
        bulge *= inverse
        lit *= np.float32(0.44)
        lit += np.float32(0.66)
        np.maximum(lit, np.float32(0.52), out=lit)
        bulge -= 1
        bulge *= np.float32(rim)
        lit += bulge
        # A highlight where the surface faces the light.
        gloss = lit - np.float32(0.97)
        np.maximum(gloss, 0, out=gloss)
        gloss *= np.float32(420.0)
        patch = self.frame[top:bottom, left:right]
        shaded = lit[..., None] * color
        shaded += gloss[..., None]
        shaded -= patch
        shaded *= alpha[..., None]
        patch += shaded

    def picture(self) -> np.ndarray:
        """The frame as (H,W,3) uint8."""
        return np.clip(self.frame + np.float32(0.5), 0, 255).astype(np.uint8)


_SIDE_FLOAT = tuple(np.array(color, np.float32) for color in SIDE_COLORS)


def _doubled(coarse: np.ndarray, height: int, width: int) -> np.ndarray:
    """Linear interpolation of every second sample (h,w) to (height,width)."""
    tall = np.empty((2 * coarse.shape[0], coarse.shape[1]), np.float32)
    tall[::2] = coarse
    tall[1:-1:2] = 0.5 * (coarse[:-1] + coarse[1:])
    tall[-1] = coarse[-1]
    wide = np.empty((len(tall), 2 * coarse.shape[1]), np.float32)
    wide[:, ::2] = tall
    wide[:, 1:-1:2] = 0.5 * (tall[:, :-1] + tall[:, 1:])
    wide[:, -1] = tall[:, -1]
    return wide[:height, :width]


def _picture_size(size: int | tuple[int, int]) -> tuple[int, int]:
    height, width = (size, size) if isinstance(size, int) else size
    if not (16 <= height <= 4096 and 16 <= width <= 4096):
        raise ValueError(f"size must be 16 to 4096 pixels, as one number or (height, width), got {size}")
    return int(height), int(width)


def _named_views(view: str | Sequence[str], camera: str) -> tuple[str, ...]:
    views = (view,) if isinstance(view, str) else tuple(view)
    unknown = [name for name in views if name not in VIEWS]
    if unknown or not views:
        raise ValueError(f"view must be one of {', '.join(VIEWS)}, or several of them, got {view!r}")
    if camera not in CAMERAS:
        raise ValueError(f"camera must be one of {', '.join(CAMERAS)}, got {camera!r}")
    return views


def _camera_path(
    view: _View, points: np.ndarray, root: np.ndarray, camera: str, fps: float, margin: float
) -> np.ndarray:
    """Camera positions (T,3): along the smoothed root, or one place from which the whole clip is seen."""
    if camera == "follow":
        target = smoothed(root, sigma=0.35 * fps)
        # Half of the root's own height keeps feet on the lower third while a jump or a crouch still shows as one.
        target[:, 1] = 0.5 * target[:, 1] + 0.40 * np.median(root[:, 1])
    else:
        seen = points.reshape(-1, 3) @ view.axes.T
        middle = 0.5 * (seen.min(axis=0) + seen.max(axis=0)) @ view.axes
        target = np.broadcast_to(middle, root.shape)
    distance = view.distance_to_fit((points - target[:, None]).reshape(-1, 3), margin)
    return target - max(distance, 2.0) * view.axes[2]


@dataclass(frozen=True)
class Shot:
    """One view of a clip: the camera stands at ``path`` (T,3) in metres and looks along the last row of ``axes``.

    ``axes`` (3,3) are image right, image down and depth in world coordinates, ``focal`` the focal length in pixels,
    ``light`` the unit direction towards the light. Neither changes during a clip.
    """

    name: str
    axes: np.ndarray
    focal: float
    light: np.ndarray
    path: np.ndarray


@dataclass(frozen=True)
class Staging:
    """A clip ready to be drawn: figure ``points`` (T,P,3) in metres, capsules between them (start, end, start radius,
    end radius in metres, side), the height of the ground, the picture's size and one camera a view."""

    points: np.ndarray
    capsules: tuple[tuple[int, int, float, float, int], ...]
    ground: float
    height: int
    width: int
    shots: tuple[Shot, ...]
    body: Body
    scale: float


def staged(
    joints: np.ndarray,
    size: int | tuple[int, int] = 336,
    view: str | Sequence[str] = "three-quarter",
    camera: str = "follow",
    fps: float = 20.0,
    style: str = "body",
) -> Staging:
    """Place figure and cameras; raises what :func:`render_frames` raises.

    Args:
        joints: Joint positions (T, 22, 3) in metres or (T, 21, 3) in KIT millimetres.
        size: Pixels, as one number or (height, width).
        view: One of `VIEWS`, or several of them.
        camera: One of `CAMERAS`.
        fps: Frames per second of the motion.
        style: One of `STYLES`.

    Returns:
        What is drawn, and from where.

    Raises:
        ValueError: See :func:`render_frames`.
    """
    metres, body = drawable(joints)
    height, width = _picture_size(size)
    views = _named_views(view, camera)
    if style not in STYLES:
        raise ValueError(f"style must be one of {', '.join(STYLES)}, got {style!r}")
    if not fps > 0:
        raise ValueError(f"fps must be > 0, got {fps}")
    if style == "skeleton":
        body = STICK_FIGURES[body.num_joints]
    scale = body.scale(metres)
    points = body.points(metres, scale)
    heading = body.heading(metres)
    shots = []
    for name in views:
        seen = _View.of(heading, *VIEW_ANGLES[name], height, width)
        path = _camera_path(seen, points, metres[:, 0], camera, fps, 0.16 * scale)
        shots.append(Shot(name, seen.axes, seen.focal, seen.light, path))
    capsules = tuple(
        (a, b, radius_a * scale, radius_b * scale, side) for a, b, radius_a, radius_b, side in body.capsules
    )
    return Staging(points, capsules, -SOLE * scale, height, width, tuple(shots), body, scale)


def iter_frames(
    joints: np.ndarray,
    size: int | tuple[int, int] = 336,
    view: str | Sequence[str] = "three-quarter",
    camera: str = "follow",
    fps: float = 20.0,
    style: str = "body",
) -> Iterator[np.ndarray]:
    """Draw a motion frame by frame; arguments and errors as for :func:`render_frames`, which stacks the frames.

    Args:
        joints: Joint positions (T, 22, 3) in metres or (T, 21, 3) in KIT millimetres.
        size: Pixels, as one number or (height, width).
        view: One of `VIEWS`, or several of them.
        camera: One of `CAMERAS`.
        fps: Frames per second of the motion.
        style: One of `STYLES`.

    Returns:
        Iterator of pictures (height, width, 3) uint8.
    """
    staging = staged(joints, size, view, camera, fps, style)
    return _draw_frames(staging, range(len(staging.points)))


def _draw_frames(staging: Staging, indices: Iterable[int]) -> Iterator[np.ndarray]:
    scenes = [
        _Scene(_View(shot.axes, shot.focal, staging.height, staging.width, shot.light), staging.body, staging.scale)
        for shot in staging.shots
    ]
    for index in indices:
        pictures = []
        for scene, shot in zip(scenes, staging.shots, strict=True):
            scene.backdrop(shot.path[index], staging.ground)
            scene.shadow(staging.points[index], shot.path[index], staging.ground)
            scene.draw(staging.points[index], shot.path[index])
            pictures.append(scene.picture())
        yield pictures[0] if len(pictures) == 1 else np.concatenate(pictures, axis=1)


def render_frames(
    joints: np.ndarray,
    size: int | tuple[int, int] = 336,
    view: str | Sequence[str] = "three-quarter",
    camera: str = "follow",
    fps: float = 20.0,
    style: str = "body",
) -> np.ndarray:
    """Draw a motion.

    Args:
        joints: (T,22,3) in metres, Y up (HumanML3D), or (T,21,3) in millimetres (KIT-ML); the floor is y = 0.
        size: pixels, one number or (height, width), of each view.
        view: "three-quarter", "front", "side" or "top", seen relative to how the body faces when the clip starts;
            several views are put side by side.
        camera: "follow" moves with the smoothed root at a constant distance, "fixed" stands where it sees all of
            the clip. Neither turns with the body.
        fps: frames a second of ``joints``; only the smoothing of the following camera depends on it.
        style: "body", shaded limbs, or "skeleton", thin bones between the joints.

    Returns:
        (T, height, width * number of views, 3) uint8, RGB.

    Raises:
        ValueError: wrong shape, no frames, NaN, unknown view, camera or style, impossible size.
    """
    return np.stack(list(iter_frames(joints, size, view, camera, fps, style)))


def contact_sheet(
    joints: np.ndarray,
    n: int = 8,
    columns: int | None = None,
    size: int | tuple[int, int] = 240,
    view: str | Sequence[str] = "three-quarter",
    camera: str = "follow",
    fps: float = 20.0,
    style: str = "body",
) -> np.ndarray:
    """Evenly spaced frames of a motion on one sheet, from its first to its last, stamped with their times in seconds.

    A motion of fewer than ``n`` frames shows each frame once. Raises what :func:`render_frames` raises.

    Args:
        joints: Joint positions (T, 22, 3) in metres or (T, 21, 3) in KIT millimetres.
        n: Number of frames.
        columns: Frames a row; None for four, or one with several views.
        size: Pixels of one frame, as one number or (height, width).
        view: One of `VIEWS`, or several of them.
        camera: One of `CAMERAS`.
        fps: Frames per second of the motion.
        style: One of `STYLES`.

    Returns:
        (rows * height, columns * width, 3) uint8; cells left over are blank.
    """
    staging = staged(joints, size, view, camera, fps, style)
    indices = sheet_indices(len(staging.points), n)
    if columns is None:
        columns = 4 if len(staging.shots) == 1 else 1
    return lay_out(_draw_frames(staging, indices), indices / fps, columns)


def sheet_indices(frames: int, n: int) -> np.ndarray:
    """Indices of the frames that a contact sheet shows: evenly spaced, first and last among them.

    Args:
        frames: Number of frames of the motion.
        n: Frames on the sheet.

    Returns:
        At most `n` indices, ascending.

    Raises:
        ValueError: `n` is below 1.
    """
    if n < 1:
        raise ValueError(f"n must be >= 1, got {n}")
    return np.unique(np.linspace(0, frames - 1, n).round().astype(int))


def lay_out(pictures: Iterable[np.ndarray], seconds: Sequence[float] | np.ndarray, columns: int = 4) -> np.ndarray:
    """Arrange equal pictures row by row on one sheet with white gaps, stamped with their times.

    Args:
        pictures: Pictures (H, W, 3) uint8 of one shape.
        seconds: Time of each picture.
        columns: Pictures a row.

    Returns:
        The sheet, uint8.

    Raises:
        ValueError: No pictures, or `columns` below 1.
    """
    if columns < 1:
        raise ValueError(f"columns must be >= 1, got {columns}")
    columns = min(columns, len(seconds))
    sheet: np.ndarray | None = None
    for cell, (second, drawn) in enumerate(zip(seconds, pictures, strict=True)):
        picture = drawn.copy()
        height, width = picture.shape[:2]
        if sheet is None:
            sheet = np.full((-(-len(seconds) // columns) * height, columns * width, 3), 255, np.uint8)
        stamp(picture, f"{second:.1f}s")
        # A white gap between cells.
        picture[-2:], picture[:, -2:] = 255, 255
        top, left = cell // columns * height, cell % columns * width
        sheet[top : top + height, left : left + width] = picture
    if sheet is None:
        raise ValueError("pictures must hold at least one picture")
    return sheet


def motion_strip(
    joints: np.ndarray,
    n: int = 7,
    size: tuple[int, int] = (360, 1280),
    ghosts: int = 2,
    fps: float = 20.0,
) -> np.ndarray:
    """One wide picture of a motion, read from left to right: ``n`` poses with ``ghosts`` faint ones between two.

    A body that travels far and mostly one way is shown where it really was, from the side. Any other motion (on the
    spot, in a circle) would pile up, so its poses are set out side by side in time order.

    Args:
        joints: Joint positions (T, 22, 3) in metres or (T, 21, 3) in KIT millimetres.
        n: Number of poses.
        size: Pixels (height, width).
        ghosts: Faint poses between two.
        fps: Frames per second of the motion.

    Returns:
        (height, width, 3) uint8.

    Raises:
        ValueError: `n` below 1, `ghosts` below 0, or joints that cannot be drawn.
    """
    if n < 1 or ghosts < 0:
        raise ValueError(f"n must be >= 1 and ghosts >= 0, got {n} and {ghosts}")
    joints, body = drawable(joints)
    height, width = _picture_size(size)
    scale = body.scale(joints)
    n = min(n, len(joints))
    steps = (n - 1) * (ghosts + 1) + 1
    indices = np.linspace(0, len(joints) - 1, steps).round().astype(int)
    poses = joints[indices]
    root = poses[:, 0, [0, 2]]
    way = root[-1] - root[0]
    travelled = float(np.linalg.norm(way))
    keys = root[:: ghosts + 1]
    straight = n > 1 and travelled > 0.45 * scale * (n - 1) and float(np.diff(keys @ way).min()) > 0
    if straight:
        view = _View.of(way / travelled, 80.0, 11.0, height, width, half_angle=7.0)
    else:
        view = _View.of(body.heading(joints), 32.0, 12.0, height, width, half_angle=9.0)
        # Every root is put on one line across the picture; its height stays.
        line = np.linspace(0, 1.05 * scale * (n - 1), steps)[:, None] * view.axes[0]
        poses = poses + (line - poses[:, 0] * [1, 0, 1])[:, None]
    points = body.points(poses, scale)
    camera = _camera_path(view, points, poses[:, 0], "fixed", fps, 0.16 * scale)[0]
    scene = _Scene(view, body, scale)
    ground = -SOLE * scale
    scene.backdrop(camera, ground)
    key_poses = range(0, steps, ghosts + 1)
    for index in key_poses:
        scene.shadow(points[index], camera, ground, strength=0.34)
    nearness = (points[:, 0] - camera) @ view.axes[2]
    for index in sorted(set(range(steps)) - set(key_poses), key=lambda i: -nearness[i]):
        scene.draw(points[index], camera, opacity=0.16)
        # A ghost hides nothing.
        scene.depth.fill(np.inf)
    for index in sorted(key_poses, key=lambda i: -nearness[i]):
        scene.draw(points[index], camera)
    return scene.picture()


# 3 x 5 pixel glyphs, one octal digit a row, for time stamps without a font file.
_GLYPHS = {
    "0": "75557",
    "1": "26227",
    "2": "71747",
    "3": "71717",
    "4": "55711",
    "5": "74717",
    "6": "74757",
    "7": "71122",
    "8": "75757",
    "9": "75717",
    ".": "00002",
    "-": "00700",
    "s": "03636",
}


def stamp(picture: np.ndarray, text: str, zoom: int = 2) -> None:
    """Write digits, ".", "-" or "s" into the top left corner of a picture, in place.

    Args:
        picture: Picture (H, W, 3) uint8.
        text: What to write.
        zoom: Pixels per dot of a glyph.

    Raises:
        ValueError: Another character, or another kind of picture.
    """
    unknown = set(text) - set(_GLYPHS)
    if unknown:
        raise ValueError(f"text must consist of {' '.join(_GLYPHS)}, got {sorted(unknown)}")
    bits = np.zeros((5, 4 * len(text)), bool)
    for place, character in enumerate(text):
        for row, digit in enumerate(_GLYPHS[character]):
            bits[row, 4 * place : 4 * place + 3] = [int(digit) >> shift & 1 for shift in (2, 1, 0)]
    bits = bits.repeat(zoom, axis=0).repeat(zoom, axis=1)
    bits = bits[: max(picture.shape[0] - 8, 0), : max(picture.shape[1] - 8, 0)]
    picture[8 : 8 + bits.shape[0], 8 : 8 + bits.shape[1]][bits] = (84, 92, 104)


def _checked_picture(picture: np.ndarray, name: str) -> np.ndarray:
    array = np.asarray(picture)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or array.size == 0:
        raise ValueError(f"{name} must be uint8 (height, width, 3), got {array.dtype} {array.shape}")
    return np.ascontiguousarray(array)


def png_bytes(picture: np.ndarray) -> bytes:
    """Encode a picture as PNG; the standard library suffices.

    Args:
        picture: Picture (H, W, 3) uint8.

    Returns:
        Content of the file.
    """
    picture = _checked_picture(picture, "picture")
    height, width = picture.shape[:2]
    # Filter 1 (difference to the left neighbour) compresses smooth shading well.
    shifted = picture.copy()
    shifted[:, 1:] -= picture[:, :-1]
    rows = np.empty((height, 1 + 3 * width), np.uint8)
    rows[:, 0] = 1
    rows[:, 1:] = shifted.reshape(height, -1)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    image = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows.tobytes(), 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + image


def save_png(path: str | Path, picture: np.ndarray) -> Path:
    """Write one picture as PNG.

    Args:
        path: The file.
        picture: Picture (H, W, 3) uint8.

    Returns:
        The path.
    """
    with atomic_write(path) as part:
        part.write_bytes(png_bytes(picture))
    return Path(path)


def save_gif(path: str | Path, frames: Iterable[np.ndarray], fps: float = 20.0) -> Path:
    """Write frames as an endless GIF.

    GIF counts hundredths of a second, so 12.5 and 20 frames/s are exact and others are rounded.

    Args:
        path: The file.
        frames: Pictures (H, W, 3) uint8 of one shape.
        fps: Frames per second.

    Returns:
        The path.

    Raises:
        ImportError: Pillow is not installed.
        ValueError: No frames, or pictures that are not uint8.
    """
    if Image is None:
        raise ImportError("Writing a GIF needs Pillow: pip install pillow. PNG and HTML need nothing more.")
    pictures = [Image.fromarray(_checked_picture(f, f"frame {i}")) for i, f in enumerate(frames)]
    if not pictures:
        raise ValueError(f"frames must hold at least one picture to write {path}")
    # One palette for all frames: a palette of its own per frame makes the ground flicker.
    palette = pictures[len(pictures) // 2].quantize(255)
    pictures = [p.quantize(palette=palette, dither=Image.Dither.NONE) for p in pictures]
    with atomic_write(path) as part:
        pictures[0].save(
            part,
            format="GIF",
            save_all=True,
            append_images=pictures[1:],
            duration=max(round(100 / fps), 2) * 10,
            loop=0,
            optimize=False,
        )
    return Path(path)


def save_mp4(path: str | Path, frames: Iterable[np.ndarray], fps: float = 20.0, quality: int = 18) -> Path:
    """Write frames as H.264 MP4 that browsers play.

    Frames may come from :func:`iter_frames`, so a long clip is never in memory at once.

    Args:
        path: The file.
        frames: Pictures (H, W, 3) uint8 of one shape.
        fps: Frames per second.
        quality: Constant rate factor; lower is better.

    Returns:
        The path.

    Raises:
        ImportError: PyAV is not installed.
        ValueError: No frames, pictures of different sizes, or a frame rate that is not positive.
    """
    if av is None:
        raise ImportError("Writing MP4 needs PyAV: pip install av. PNG and HTML need nothing more.")
    if not fps > 0:
        raise ValueError(f"fps must be > 0, got {fps}")
    stream = None
    shape: tuple[int, ...] | None = None
    with (
        atomic_write(path) as part,
        av.open(str(part), "w", format="mp4", options={"movflags": "faststart"}) as container,
    ):
        for index, picture in enumerate(frames):
            picture = _checked_picture(picture, f"frame {index}")
            if stream is None:
                shape = picture.shape
                stream = container.add_stream("libx264", rate=Fraction(float(fps)).limit_denominator(1000))
                stream.height, stream.width = (-(-side // 2) * 2 for side in shape[:2])
                stream.pix_fmt = "yuv420p"
                # The same film must be the same bytes: how it is cut up among threads changes them, and with
                # macroblock trees x264 now and then codes equal pictures differently (seen in 1 of 50 films).
                stream.options = {"crf": str(quality), "preset": "veryfast", "threads": "1", "mbtree": "0"}
            if picture.shape != shape:
                raise ValueError(f"frame {index} is {picture.shape}, the first is {shape}; all must be equal.")
            # H.264 with halved colour wants even sides.
            even = np.pad(picture, ((0, stream.height - shape[0]), (0, stream.width - shape[1]), (0, 0)), "edge")
            for packet in stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")):
                container.mux(packet)
        if stream is None:
            raise ValueError(f"frames must hold at least one picture to write {path}")
        for packet in stream.encode():
            container.mux(packet)
    return Path(path)
