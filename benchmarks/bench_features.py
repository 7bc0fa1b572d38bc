"""Frames per second of joints -> features, against the published script's way of computing them.

The published way is timed on this machine by its own arithmetic: float32 quaternion steps over whole clips through
torch with numpy in between, one clip at a time, with a Python loop over the joints of each chain. It is a
reconstruction from the description of that code, because a ratio needs both numbers from one run; with the original
files about 9,700 frames/s were measured. Times are processor time of this one-thread process, so other load counts
little.

    python benchmarks/bench_features.py [--clips 32] [--frames 196] [--seconds 3]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d

from modeling_unimo.motion_representation import HUMANML3D, features_to_joints, forward_kinematics, joints_to_features

PUBLISHED_FRAMES_PER_SECOND = 9_700  # the original files, on the machine that the goal was set on


def clips(count: int, frames: int) -> np.ndarray:
    """(count, frames, 22, 3) float32 joints of bodies that sway, walk and turn."""
    random = np.random.default_rng(0)
    seconds = np.arange(frames)[:, None, None] / 20
    vector = 0.3 * np.sin(
        random.uniform(0.5, 3, (count, 1, 22, 3)) * seconds + random.uniform(0, 6, (count, 1, 22, 3))
    )
    angle = np.linalg.norm(vector, axis=-1, keepdims=True)
    rotations = np.concatenate((np.cos(angle), np.sinc(angle / np.pi) * vector), -1)
    root = np.cumsum(random.normal(0, 0.01, (count, frames, 3)), 1) + (0, 0.9, 0)
    return forward_kinematics(rotations, root).astype(np.float32)


# ---------------------------------------------------------------------------------- the published way, reconstructed
def _through_torch(function: Callable) -> Callable:
    def run(*arrays: np.ndarray) -> np.ndarray:
        return function(*(torch.from_numpy(np.ascontiguousarray(array)).float() for array in arrays)).numpy()

    return run


@_through_torch
def _multiply(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    terms = torch.bmm(q.reshape(-1, 4, 1), p.reshape(-1, 1, 4))
    w = terms[:, 0, 0] - terms[:, 1, 1] - terms[:, 2, 2] - terms[:, 3, 3]
    x = terms[:, 0, 1] + terms[:, 1, 0] - terms[:, 2, 3] + terms[:, 3, 2]
    y = terms[:, 0, 2] + terms[:, 1, 3] + terms[:, 2, 0] - terms[:, 3, 1]
    z = terms[:, 0, 3] - terms[:, 1, 2] + terms[:, 2, 1] + terms[:, 3, 0]
    return torch.stack((w, x, y, z), 1).view(q.shape)


@_through_torch
def _rotate(q: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    shape = v.shape
    q, v = q.reshape(-1, 4), v.reshape(-1, 3)
    uv = torch.cross(q[:, 1:], v, dim=1)
    return (v + 2 * (q[:, :1] * uv + torch.cross(q[:, 1:], uv, dim=1))).view(shape)


@_through_torch
def _between(u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    w = torch.sqrt((u**2).sum(-1, keepdim=True) * (v**2).sum(-1, keepdim=True)) + (u * v).sum(-1, keepdim=True)
    q = torch.cat((w, torch.cross(u, v, dim=-1)), -1)
    return q / q.norm(dim=-1, keepdim=True)


@_through_torch
def _conjugate(q: torch.Tensor) -> torch.Tensor:
    return q * torch.tensor((1.0, -1, -1, -1))


@_through_torch
def _six(q: torch.Tensor) -> torch.Tensor:
    w, x, y, z = q.unbind(-1)
    two = 2 / (q * q).sum(-1)
    rows = (1 - two * (y * y + z * z), two * (x * y - z * w), two * (x * z + y * w))
    rows += (two * (x * y + z * w), 1 - two * (x * x + z * z), two * (y * z - x * w))
    rows += (two * (x * z - y * w), two * (y * z + x * w), 1 - two * (x * x + y * y))
    matrix = torch.stack(rows, -1).reshape(*q.shape[:-1], 3, 3)
    return torch.cat((matrix[..., 0], matrix[..., 1]), -1)


def _inverse_kinematics(joints: np.ndarray, smooth: bool) -> np.ndarray:
    first, second, third, fourth = HUMANML3D.face
    across = joints[:, second] - joints[:, first] + joints[:, third] - joints[:, fourth]
    across = across / np.sqrt((across**2).sum(-1))[:, None]
    forward = np.cross(np.array([[0, 1, 0]]), across)
    if smooth:
        forward = gaussian_filter1d(forward, 20, axis=0, mode="nearest")
    forward = forward / np.sqrt((forward**2).sum(-1))[:, None]
    root = _between(forward, np.array([[0, 0, 1]]).repeat(len(forward), 0))
    if smooth:
        root[0] = (1, 0, 0, 0)
    rotations = np.zeros((*joints.shape[:2], 4))
    rotations[:, 0] = root
    for chain in HUMANML3D.chains:
        reached = root
        for parent, child in zip(chain, chain[1:], strict=False):
            u = HUMANML3D.raw_offsets[child][None].repeat(len(joints), 0)
            v = joints[:, child] - joints[:, parent]
            v = v / np.sqrt((v**2).sum(-1))[:, None]
            rotations[:, child] = _multiply(_conjugate(reached), _between(u, v))
            reached = _multiply(reached, rotations[:, child])
    return rotations


def published_way(joints: np.ndarray) -> np.ndarray:
    """Features (T-1, 263) of one clip."""
    offsets = HUMANML3D.default_offsets
    lengths = np.linalg.norm(joints[0] - joints[0, list(HUMANML3D.parents)], axis=-1)
    scale = sum(np.abs(offsets[j]).max() for j in HUMANML3D.leg) / sum(lengths[j] for j in HUMANML3D.leg)
    rotations = _inverse_kinematics(joints, smooth=False)
    p = np.zeros(joints.shape)
    p[:, 0] = joints[:, 0] * scale
    for chain in HUMANML3D.chains:
        reached = rotations[:, 0]
        for parent, child in zip(chain, chain[1:], strict=False):
            reached = _multiply(reached, rotations[:, child])
            p[:, child] = p[:, parent] + _rotate(reached, offsets[child][None].repeat(len(p), 0))
    p[..., 1] -= p[..., 1].min()
    p -= p[0, 0] * np.array((1, 0, 1))
    right_hip, left_hip, right_shoulder, left_shoulder = HUMANML3D.face
    across = p[0, right_hip] - p[0, left_hip] + p[0, right_shoulder] - p[0, left_shoulder]
    forward = np.cross(np.array([[0, 1, 0]]), across / np.linalg.norm(across))
    start = _between(forward / np.linalg.norm(forward), np.array([[0, 0, 1]]))
    p = _rotate(np.ones((*p.shape[:-1], 4)) * start, p)

    rotations = _inverse_kinematics(p, smooth=True)
    root = rotations[:, 0]
    linear = _rotate(root[1:], p[1:, 0] - p[:-1, 0])
    yaw = np.arcsin(_multiply(root[1:], _conjugate(root[:-1]))[:, 2:3])
    spread = np.repeat(root[:, None], p.shape[1], 1)
    local = p.copy()
    local[..., [0, 2]] -= p[:, :1, [0, 2]]
    local = _rotate(spread, local)
    velocity = _rotate(spread[:-1], p[1:] - p[:-1])
    feet = p[:, [*HUMANML3D.feet_left, *HUMANML3D.feet_right]]
    contact = ((feet[1:] - feet[:-1]) ** 2).sum(-1) < HUMANML3D.foot_threshold
    parts = (yaw, linear[:, [0, 2]], p[:-1, 0, 1:2], local[:-1, 1:], _six(rotations[:-1, 1:]), velocity, contact)
    return np.concatenate([part.reshape(len(p) - 1, -1) for part in parts], -1)


def frames_per_second(run: Callable[[], object], frames: int, seconds: float) -> float:
    """Median over repeats within the time, after one warm-up."""
    run()
    times: list[float] = []
    while sum(times) < seconds or len(times) < 3:
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return frames / float(np.median(times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=32)
    parser.add_argument("--frames", type=int, default=196)
    parser.add_argument("--seconds", type=float, default=3.0, help="time for each measurement")
    options = parser.parse_args()
    torch.set_num_threads(1)
    stack = clips(options.clips, options.frames)
    total = options.clips * options.frames

    ours, theirs = joints_to_features(stack[0], facing="published"), published_way(stack[0])
    difference = np.abs(ours - theirs).max()
    if difference > 1e-3:
        raise SystemExit(f"the two ways disagree by {difference:.2g}; the ratio would mean nothing")
    features = joints_to_features(stack)
    base = frames_per_second(lambda: [published_way(clip) for clip in stack[:4]], 4 * options.frames, options.seconds)
    rows = {
        "published way, clip by clip": base,
        "joints_to_features, published": frames_per_second(
            lambda: joints_to_features(stack, facing="published"), total, options.seconds
        ),
        "joints_to_features, corrected": frames_per_second(lambda: joints_to_features(stack), total, options.seconds),
        "joints_to_features, one clip": frames_per_second(
            lambda: joints_to_features(stack[0]), options.frames, options.seconds
        ),
        "features_to_joints": frames_per_second(lambda: features_to_joints(features), total, options.seconds),
    }
    print(f"{options.clips} clips of {options.frames} frames, one thread, the two ways agree to {difference:.1e}")
    for name, speed in rows.items():
        print(
            f"{name:32} {speed:10,.0f} frames/s  {speed / base:6.1f} x published way here"
            f"  {speed / PUBLISHED_FRAMES_PER_SECOND:6.1f} x {PUBLISHED_FRAMES_PER_SECOND:,}"
        )


if __name__ == "__main__":
    main()
