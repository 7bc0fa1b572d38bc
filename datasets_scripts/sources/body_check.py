"""Whether what a source made of a file is the body of a person: the one place where every converted clip is checked.

A clip that no body can have made is refused; what is unusual but possible (somebody lies, floats, has a very long arm)
is reported and kept. Lengths are measured in legs (hip to ankle, 0.83 m on HumanML3D's skeleton), so that the unit of
the file does not matter.
"""

from __future__ import annotations

import numpy as np

from modeling_unimo.skeletons_unimo import HUMANML3D, Skeleton

MAX_SPEED = 15.0  # m/s; the fastest people run at 12, and mocap of strikes and throws stays below 15 at 20 fps
_MAX_COORDINATE = 1e7  # in any unit; beyond it float32 cannot hold a step
_LEG = 0.82  # metres, of the uniform skeleton: scales speeds and heights
# Bones relative to the leg: people between infant and giant, and stylised characters, stay well inside.
# (NASA-STD-3000, anthropometry: trunk 0.6, upper arm 0.35, forearm 0.3, foot 0.3 of the leg.)
_BONES = {"knee": (0.25, 0.9), "ankle": (0.25, 0.9), "elbow": (0.1, 0.9), "wrist": (0.1, 0.9), "foot": (0.0, 0.7)}
_TRUNK = (0.25, 1.6)  # pelvis to neck
_WIDTH = (0.02, 1.0)  # between the hips, and between the shoulders
_UNEQUAL = 2.0  # left against right
_STRETCH, _WOBBLE = (
    0.3,
    0.05,
)  # standard deviation of a bone's length: refused above the first, reported above the second
_LEGS = (0.3, 1.5)  # metres, where the unit is known: from small children to the tallest people
_JUMP = 0.25  # seconds that a tracking error may last
_FLOATING = 0.6  # legs above the lowest point of the clip


class BodyError(ValueError):
    """A clip that no person can have made."""


class UpsideDownError(BodyError):
    """A clip in which another axis must be up."""


def check_numbers(joints: np.ndarray) -> None:
    """Refuses values that cannot be resampled or turned into features.

    Args:
        joints: (T, J, 3).

    Raises:
        BodyError: not finite, or beyond any unit of length.
    """
    # As numbers of Python: small types would not hold the bound.
    if joints.size and not (float(joints.min()) >= -_MAX_COORDINATE and float(joints.max()) <= _MAX_COORDINATE):
        with np.errstate(invalid="ignore"):  # damaged files hold NaN of kinds that warn where they are converted
            wrong = ~(np.abs(joints.astype(np.float64)) <= _MAX_COORDINATE)
        value = joints[wrong][0]
        what = "coordinates beyond 1e7" if np.isfinite(value) else "NaN or infinite values"
        frame = int(np.argwhere(wrong)[0][0])
        raise BodyError(f"{what}, first in frame {frame} ({int(wrong.sum())} of {joints.size} numbers)")


def check_features(features: np.ndarray, fps: float, skeleton: Skeleton) -> None:
    """Checks the columns of features that say again what their positions say, and which `check_body` does not see.

    Args:
        features: (T, D), raw.
        fps: frames per second.
        skeleton: the skeleton of the features.

    Raises:
        BodyError: numbers that no body gives.
    """
    check_numbers(features)
    fastest = MAX_SPEED / fps / skeleton.unit_scale
    # A turn is an arcsine, a rotation two columns of a matrix, a contact 0 or 1; what a model wrote may miss a little.
    bounds = {"root_yaw": np.pi, "root_linear": fastest, "rotations": 2.0, "velocities": 2 * fastest, "contacts": 2.0}
    for group, most in bounds.items():
        largest = float(np.abs(features[:, skeleton.slices[group]]).max(initial=0.0))
        if largest > most:
            raise BodyError(f"the columns of {group} hold {largest:.3g}; a body gives at most {most:.3g}")


def check_body(joints: np.ndarray, fps: float, skeleton: Skeleton = HUMANML3D, unit: float | None = None) -> list[str]:
    """Checks a converted clip and says what is unusual about it.

    Args:
        joints: (T, J, 3), Y up, left on the left, in any unit.
        fps: frames per second.
        skeleton: the skeleton of the joints.
        unit: their unit in metres, where it is known.

    Returns:
        What is unusual but possible, as short sentences.

    Raises:
        BodyError: bones or speeds that no person has, or numbers that are none.
    """
    check_numbers(joints)
    if not len(joints):
        raise BodyError("no frames")
    names = {name: index for index, name in enumerate(skeleton.joint_names)}
    parents = np.array(skeleton.parents)
    bones = _norm(joints[:, 1:] - joints[:, parents[1:]])
    middle = np.median(bones, axis=0)
    length = {name: float(middle[index - 1]) for name, index in names.items() if index}
    leg = sum(length[f"{side}_{part}"] for side in ("left", "right") for part in ("knee", "ankle")) / 2
    if not leg > 0:
        raise BodyError("hip, knee and ankle are one point in most frames")
    if unit is not None and not _LEGS[0] <= leg * unit <= _LEGS[1]:
        raise BodyError(f"legs of {leg * unit:.3g} m; people have {_LEGS[0]:g} to {_LEGS[1]:g}: the unit is wrong")
    notes = _check_bones(length, leg)
    notes += _check_constancy(bones / leg, middle / leg, [skeleton.joint_names[i] for i in range(1, len(parents))])

    def at(name: str) -> np.ndarray:
        return joints[:, names[name]]

    for low, high, (least, most), what in (
        ("pelvis", "neck", _TRUNK, "from pelvis to neck"),
        ("left_hip", "right_hip", _WIDTH, "between the hips"),
        ("left_shoulder", "right_shoulder", _WIDTH, "between the shoulders"),
    ):
        share = float(np.median(_norm(at(high) - at(low)))) / leg
        if not least <= share <= most:
            raise BodyError(f"{share:.2g} leg lengths {what}; a person has {least:g} to {most:g}")
    hips, shoulders = (at(f"left_{part}") - at(f"right_{part}") for part in ("hip", "shoulder"))
    crossed = float(((hips * shoulders).sum(-1) < 0).mean())
    if crossed > 0.5:
        raise BodyError(f"left and right of hips and shoulders are opposite in {crossed:.0%} of frames")
    speeds = _speeds(joints, skeleton) * fps
    if speeds.size and speeds.max() > MAX_SPEED:
        frame, joint = np.unravel_index(int(np.argmax(speeds)), speeds.shape)
        raise BodyError(
            f"the {skeleton.joint_names[joint]} moves at {speeds[frame, joint]:.3g} m/s in frame {frame}; people stay "
            f"below {MAX_SPEED:g}: the frame rate, the unit of the positions or the tracking is wrong"
        )
    ankles, hands = ((at(f"left_{part}") + at(f"right_{part}")) / 2 for part in ("ankle", "wrist"))
    return notes + _check_stance(joints, at("head"), at("pelvis"), ankles, hands[:, 1], leg)


def _check_bones(length: dict[str, float], leg: float) -> list[str]:
    notes = []
    for part, (least, most) in _BONES.items():
        pair = [length[f"{side}_{part}"] for side in ("left", "right")]
        for side, value in zip(("left", "right"), pair, strict=True):
            if not least <= value / leg <= most:
                raise BodyError(
                    f"the bone to the {side} {part} has {value / leg:.2g} leg lengths; people have {least:g} "
                    f"to {most:g}"
                )
        if max(pair) > _UNEQUAL * min(pair) and part != "foot":
            notes.append(f"left and right {part} differ in bone length")
    if not 0 < length["head"] / leg < 1.0:
        raise BodyError(f"the head is {length['head'] / leg:.2g} leg lengths from the neck")
    return notes


def _check_constancy(bones: np.ndarray, middle: np.ndarray, names: list[str]) -> list[str]:
    """Bones keep their length: refused where one stretches wildly, reported where positions are only estimates."""
    # Short bones change by much of their length with every error of a marker, so they are measured as if longer.
    spread = bones.std(axis=0) / np.maximum(middle, 0.2)
    worst = int(np.argmax(spread))
    if spread[worst] > _STRETCH:
        raise BodyError(f"the bone to the {names[worst]} varies in length by {spread[worst]:.0%} (standard deviation)")
    return ["bone lengths vary"] if spread[worst] > _WOBBLE else []


def bridge_jumps(joints: np.ndarray, fps: float) -> tuple[np.ndarray, str]:
    """Replaces tracking errors of a few frames, after which the body goes on where it was, by straight lines.

    Exporters make such frames where an angle passes 180 degrees. A body that stays where it jumped to is left alone,
    for `check_body` to refuse.

    Args:
        joints: (T, 22, 3) in any unit.
        fps: frames per second.

    Returns:
        The joints, and a note ("" where nothing was changed).
    """
    jumps = np.flatnonzero(_speeds(joints, HUMANML3D).max(axis=1, initial=0) * fps > MAX_SPEED)
    if not len(jumps):
        return joints, ""
    runs = np.split(jumps, np.flatnonzero(np.diff(jumps) > 2) + 1)
    spans = [(run[0], run[-1] + 1) for run in runs if 1 <= run[-1] - run[0] <= _JUMP * fps]
    if not spans or sum(last - first for first, last in spans) > 0.05 * len(joints):
        return joints, ""
    joints = joints.copy()
    for first, last in spans:
        share = np.linspace(0, 1, last - first + 1)[1:-1, None, None]
        joints[first + 1 : last] = (1 - share) * joints[first] + share * joints[last]
    return joints, f"tracking error bridged (a jump of {spans[0][1] - spans[0][0]} frames)"


def _speeds(joints: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Metres (of a body with HumanML3D's legs) that each joint moves from frame to frame, (T-1, J)."""
    names = skeleton.joint_names
    ends = [[names.index(f"{side}_{part}") for side in ("left", "right")] for part in ("hip", "knee", "ankle")]
    hip, knee, ankle = (joints[:, pair] for pair in ends)
    leg = float(np.median(_norm(hip - knee) + _norm(knee - ankle)))
    return _norm(joints[1:] - joints[:-1]) * (_LEG / max(leg, 1e-12))


def _check_stance(
    joints: np.ndarray, head: np.ndarray, pelvis: np.ndarray, ankles: np.ndarray, hands: np.ndarray, leg: float
) -> list[str]:
    notes = []
    lowest = joints[..., 1].min(axis=1)
    upright = (head[:, 1] > pelvis[:, 1]) & (pelvis[:, 1] > ankles[:, 1])
    inverted = (head[:, 1] < pelvis[:, 1]) & (pelvis[:, 1] < ankles[:, 1])
    if inverted.mean() > 0.5:
        if np.median(hands - lowest) > 0.3 * leg:
            raise UpsideDownError(
                f"the head is below the pelvis and the pelvis below the feet in {inverted.mean():.0%} of frames, and "
                "the hands are not on the floor: another axis points up"
            )
        notes.append("upside down on the hands in most frames")
    elif upright.mean() <= 0.5:
        notes.append("not upright in most frames (lying or crawling, or another axis is up)")
    if np.median(lowest) - lowest.min() > _FLOATING * leg:
        notes.append("far above its lowest point in most frames (stairs, or no floor)")
    return notes


def _norm(vector: np.ndarray) -> np.ndarray:
    return np.sqrt(np.einsum("...c,...c->...", vector, vector))
