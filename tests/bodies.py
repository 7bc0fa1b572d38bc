"""Small planted motions for tests: a standing body at HumanML3D's bone lengths and the ways to move it.

All facing +Z with the left side at +X, at 20 fps, (T, 22, 3) in metres.
"""

import numpy as np

from modeling_unimo.motion_representation import HUMANML3D

FPS = 20.0
ARMS = {"left": (16, 18, 20), "right": (17, 19, 21)}
LEGS = {"left": (1, 4, 7, 10), "right": (2, 5, 8, 11)}
UPPER_BODY = (3, 6, 9, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21)


def standing(frames: int = 60) -> np.ndarray:
    """A body that stands still, arms hanging, feet on the ground."""
    joints = np.zeros((HUMANML3D.num_joints, 3))
    for joint, parent in enumerate(HUMANML3D.parents):
        if parent >= 0:
            joints[joint] = joints[parent] + HUMANML3D.default_offsets[joint]
    joints[:, 1] -= joints[:, 1].min()
    return np.repeat(joints[None], frames, axis=0)


def bump(frames: int, start: float, stop: float, ramp: float = 0.4) -> np.ndarray:
    """(T,) from 0 to 1 and back: up within `ramp` seconds from `start`, down again by `stop`."""
    t = np.arange(frames) / FPS
    rise = np.clip((t - start) / ramp, 0.0, 1.0)
    fall = np.clip((stop - t) / ramp, 0.0, 1.0)
    return _ease(np.minimum(rise, fall))


def ramp(frames: int, start: float, stop: float) -> np.ndarray:
    """(T,) from 0 before `start` seconds to 1 after `stop`."""
    return _ease(np.clip((np.arange(frames) / FPS - start) / (stop - start), 0.0, 1.0))


def swing_arm(joints: np.ndarray, side: str, degrees: np.ndarray, sideways: np.ndarray | float = 0.0) -> np.ndarray:
    """Swing the straight arm forward and up by `degrees` (T,): 90 is level, 180 straight up; then outwards."""
    moved = joints.copy()
    shoulder, *rest = ARMS[side]
    angle = np.radians(np.broadcast_to(degrees, len(joints)))
    aside = np.radians(np.broadcast_to(sideways, len(joints))) * (1.0 if side == "left" else -1.0)
    for joint in rest:
        length = np.linalg.norm(joints[:, joint] - joints[:, shoulder], axis=-1)
        down, front = -np.cos(angle) * length, np.sin(angle) * length
        # Turning about the body's front axis moves the hand outwards without changing its reach.
        moved[:, joint, 0] = joints[:, shoulder, 0] - np.sin(aside) * down
        moved[:, joint, 1] = joints[:, shoulder, 1] + np.cos(aside) * down
        moved[:, joint, 2] = joints[:, shoulder, 2] + front
    return moved


def travel(joints: np.ndarray, forward: np.ndarray, left: np.ndarray | float = 0.0) -> np.ndarray:
    """Move the whole body by `forward`, `left` (T,) metres, its legs stepping every 0.6 m."""
    left = np.broadcast_to(left, len(joints))
    moved = joints.copy()
    path = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(forward), np.diff(left)))])
    stride = 0.3 * np.sin(path / 0.6 * np.pi)
    length = max(float(np.hypot(forward[-1] - forward[0], left[-1] - left[0])), 1e-9)
    ahead, aside = (forward[-1] - forward[0]) / length, (left[-1] - left[0]) / length
    for side, sign in (("left", 1.0), ("right", -1.0)):
        for joint, share in zip(LEGS[side], (0.0, 0.5, 1.0, 1.0), strict=True):
            moved[:, joint, 2] += sign * share * stride * ahead
            moved[:, joint, 0] += sign * share * stride * aside
    moved[:, :, 2] += forward[:, None]
    moved[:, :, 0] += left[:, None]
    return moved


def turn(joints: np.ndarray, degrees: np.ndarray | float) -> np.ndarray:
    """Turn each frame about the vertical through the pelvis by `degrees` to the left."""
    angle = np.radians(np.broadcast_to(degrees, len(joints)))[:, None]
    centre = joints[:, :1]
    x, y, z = np.moveaxis(joints - centre, -1, 0)
    return np.stack([x * np.cos(angle) + z * np.sin(angle), y, -x * np.sin(angle) + z * np.cos(angle)], -1) + centre


def rotate_scene(
    joints: np.ndarray, degrees: float, shift: tuple[float, float, float] = (0.0, 0.0, 0.0)
) -> np.ndarray:
    """The same motion seen in a world turned about its origin and moved."""
    angle = np.radians(degrees)
    x, y, z = np.moveaxis(joints, -1, 0)
    turned = np.stack([x * np.cos(angle) + z * np.sin(angle), y, -x * np.sin(angle) + z * np.cos(angle)], -1)
    return turned + np.asarray(shift)


def lower_hips(joints: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Sink everything over the ankles by `share` (T,) of the leg, knees going forward."""
    moved = joints.copy()
    leg = np.linalg.norm(joints[0, 1] - joints[0, 4]) + np.linalg.norm(joints[0, 4] - joints[0, 7])
    drop = leg * share
    over = [j for j in range(22) if j not in (7, 8, 10, 11)]
    moved[:, over, 1] -= drop[:, None]
    for knee in (4, 5):
        moved[:, knee, 1] += 0.5 * drop
        moved[:, knee, 2] += np.sqrt(np.maximum(leg * drop / 2.0, 0.0))
    return moved


def pitch_trunk(joints: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    """Bend everything over the hips forward about the pelvis."""
    moved = joints.copy()
    angle = np.radians(degrees)[:, None]
    upper = list(UPPER_BODY)
    x, y, z = np.moveaxis(joints[:, upper] - joints[:, :1], -1, 0)
    bent = np.stack([x, y * np.cos(angle) - z * np.sin(angle), y * np.sin(angle) + z * np.cos(angle)], -1)
    moved[:, upper] = bent + joints[:, :1]
    return moved


def swing_leg(joints: np.ndarray, side: str, degrees: np.ndarray) -> np.ndarray:
    """Swing the straight leg forward by `degrees` (T,)."""
    moved = joints.copy()
    hip, *rest = LEGS[side]
    angle = np.radians(degrees)[:, None]
    x, y, z = np.moveaxis(joints[:, rest] - joints[:, hip : hip + 1], -1, 0)
    # A positive angle takes what hangs down (-Y) to the front (+Z).
    swung = np.stack([x, y * np.cos(angle) + z * np.sin(angle), -y * np.sin(angle) + z * np.cos(angle)], -1)
    moved[:, rest] = swung + joints[:, hip : hip + 1]
    return moved


def _ease(share: np.ndarray) -> np.ndarray:
    return share * share * (3.0 - 2.0 * share)
