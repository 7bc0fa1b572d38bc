"""Which way is up and which side is left, decided once for a source from how the bodies in all its files move.

Motion files seldom say which axes they use. A folder of clips comes from one tool, so every clip gives evidence and
the source decides: one person who lies, kneels or walks on hands does not turn the axes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from datasets_scripts.schema import NOTE, SOURCE, Skipped
from modeling_unimo.skeletons_unimo import HUMANML3D, Skeleton

AXES = ("y", "z", "x", "-y", "-z", "-x")  # the likeliest first: a tie goes to the earlier one
UPS = ("auto", *AXES)
# Rows of the rotation that takes each of these axes to +Y; all are proper, so none exchanges left and right.
_TURNS = {
    "y": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "z": ((1, 0, 0), (0, 0, 1), (0, -1, 0)),
    "x": ((0, -1, 0), (1, 0, 0), (0, 0, 1)),
    "-y": ((1, 0, 0), (0, -1, 0), (0, 0, -1)),
    "-z": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
    "-x": ((0, 1, 0), (-1, 0, 0), (0, 0, 1)),
}
_DIRECTIONS = np.array([_TURNS[axis][1] for axis in AXES], dtype=np.float64)
# What tells left from right, with its weight: joints that bend one way count more than habits.
_CUES = {"toes": 1.0, "knees": 1.0, "elbows": 0.5, "travel": 0.5}
_SEEN = 0.05  # share of the frames in which a cue must be seen to count
_CLEAR = 0.8  # share of agreeing frames from which one clip may contradict its source
_UNITS = {"millimetres": 1000.0, "centimetres": 100.0, "inches": 39.37, "decimetres": 10.0, "metres": 1.0}
SAMPLES = 32  # frames of a clip that give evidence


def check_up(up: str) -> None:
    """Refuse an axis that does not exist.

    Args:
        up: One of `UPS`.

    Raises:
        ValueError: It is none of them.
    """
    if up not in UPS:
        raise ValueError(f"up must be one of {', '.join(UPS)}, got {up!r}")


@dataclass(frozen=True)
class Convention:
    """How the positions of a source are written: the axis that points up, and whether left and right are exchanged."""

    up: str = "y"
    mirrored: bool = False

    def apply(self, joints: np.ndarray) -> np.ndarray:
        """Joints (..., 3) with Y up and left on the left.

        Args:
            joints: (..., 3) in the convention's axes.

        Returns:
            (..., 3).
        """
        turn = np.array(_TURNS[self.up], dtype=joints.dtype)
        if self.mirrored:
            turn = turn * np.array([[-1], [1], [1]], dtype=joints.dtype)
        return joints @ turn.T if self != Convention() else joints

    def __str__(self) -> str:
        return f"{self.up.upper()} up{', left-handed axes (mirrored)' if self.mirrored else ''}"


@dataclass
class Evidence:
    """What bodies say about their axes; adds up over clips, each of which counts once whatever its length.

    Attributes:
        clips: number of clips.
        upright: (6,) share of frames, summed over clips, in which head, pelvis and feet stand along each of `AXES`.
        cues: {cue: (frames for, frames against)} "the sides are named as right-handed axes have them".
        legs: length of the leg of each clip, in the unit of its file.
    """

    clips: int = 0
    upright: np.ndarray = field(default_factory=lambda: np.zeros(len(AXES)))
    cues: dict[str, np.ndarray] = field(default_factory=lambda: {cue: np.zeros(2) for cue in _CUES})
    legs: list[float] = field(default_factory=list)

    def add(self, other: Evidence) -> None:
        """Takes in the evidence of more clips.

        Args:
            other: The evidence.
        """
        self.clips += other.clips
        self.upright = self.upright + other.upright
        self.cues = {cue: self.cues[cue] + other.cues[cue] for cue in _CUES}
        self.legs += other.legs

    def decide(self, up: str = "auto") -> Convention:
        """The convention that fits most of the clips; `up` gives the axis where it is known.

        Args:
            up: The axis that points up, or "auto".

        Returns:
            The convention.
        """
        axis = AXES[int(np.argmax(self.upright.round(6)))] if up == "auto" else up
        return Convention(axis, self._side() < -0.25)

    def contradicts(self, convention: Convention) -> str:
        """How one clip clearly differs from the convention of its source ("" where it may be the same).

        Args:
            convention: The convention of the source.

        Returns:
            The difference in words.
        """
        own = self.decide()
        if own.up != convention.up and self.upright.max() > 0.9 * self.clips:
            return f"upright along {own.up.upper()}"
        firm = [share for cue in ("toes", "knees") if (share := self._share(cue)) is not None]
        if own.mirrored != convention.mirrored and len(firm) == 2 and (min(firm) > _CLEAR or max(firm) < -_CLEAR):
            return "left and right exchanged"
        return ""

    def _share(self, cue: str) -> float | None:
        """From -1 (all frames against) to 1 (all for); None where the cue is hardly ever seen."""
        agree, against = self.cues[cue]
        return (agree - against) / (agree + against) if agree + against > _SEEN * self.clips else None

    def _side(self) -> float:
        shares = {cue: share for cue in _CUES if (share := self._share(cue)) is not None}
        weight = sum(_CUES[cue] for cue in shares)
        return sum(_CUES[cue] * share for cue, share in shares.items()) / weight if weight else 0.0

    def describe(self, convention: Convention) -> str:
        """The decision with what speaks for it, for the build's summary.

        Args:
            convention: The decision.

        Returns:
            One line.
        """
        standing = self.upright[AXES.index(convention.up)] / max(self.clips, 1)
        sign = -1 if convention.mirrored else 1
        cues = [f"{cue} {50 * (1 + sign * share):.0f}%" for cue in _CUES if (share := self._share(cue)) is not None]
        sides = f"left and right by {', '.join(cues)}" if cues else "nothing tells left from right"
        return f"body upright along it in {standing:.0%} of frames; {sides}; {self.unit()}"

    def unit(self) -> str:
        """The unit of length that the legs suggest (they measure 0.6 to 1.2 m in grown people).

        Returns:
            Name of the unit.
        """
        if not self.legs:
            return "no leg to tell the unit from"
        leg = float(np.median(self.legs))
        name = next((name for name, per in _UNITS.items() if 0.6 <= leg / per <= 1.2), "of its own")
        return f"unit {name} (leg {leg:.4g})"


def metres_per_unit(leg: float) -> float:
    """How many metres the unit of a leg's length has; of a unit that is none, so many that the leg is HumanML3D's.

    Args:
        leg: Length of a leg in the unit.

    Returns:
        Metres.

    Raises:
        ValueError: the leg has no length.
    """
    if not leg > 0:
        raise ValueError("the legs have no length, which tells no unit")
    own = float(np.linalg.norm(np.asarray(HUMANML3D.default_offsets)[list(HUMANML3D.leg)], axis=-1).sum()) / leg
    return next((1.0 / per for per in _UNITS.values() if 0.6 <= leg / per <= 1.2), own)


def settle(evidence: Mapping[str, Evidence], up: str, what: str) -> tuple[dict[str, Convention], list[Skipped]]:
    """Decides for all clips of a source at once, and lists the decision and the clips that disagree.

    Where no axis fits most of the clips, they come from several tools, and each decides for itself. A clip of another
    axis is kept as its source has it (somebody lies there), one with left and right exchanged is mirrored: no body is
    built like that.

    Args:
        evidence: of each clip.
        up: axis that points up, or "auto".
        what: what the clips are, for the summary.

    Returns:
        Convention by name of the clip, and the notes.
    """
    source = Evidence()
    for clip in evidence.values():
        source.add(clip)
    votes = source.upright.round(6)
    if up == "auto" and votes.max() <= 0.5 * votes.sum():
        conventions = {name: clip.decide() for name, clip in evidence.items()}
        detail = ", ".join(f"{axis.upper()} {vote:.1f}" for axis, vote in zip(AXES, votes, strict=True) if vote)
        notes = (
            [Skipped(what, "no axis is up in most clips, each is read by itself", detail, SOURCE)] if detail else []
        )
        notes += [Skipped(name, str(found), "", NOTE) for name, found in conventions.items() if found != Convention()]
        return conventions, notes
    convention = source.decide(up)
    conventions = dict.fromkeys(evidence, convention)
    notes = [Skipped(what, str(convention), source.describe(convention), SOURCE)]
    for name, clip in evidence.items():
        difference = clip.contradicts(convention)
        if difference.startswith("left"):
            conventions[name] = Convention(convention.up, not convention.mirrored)
            notes.append(Skipped(name, "left and right exchanged against the other clips (mirrored)", "", NOTE))
        elif difference and up == "auto":
            detail = f"{difference}; the source has {convention}; if its axes differ, build it in a folder of its own"
            notes.append(Skipped(name, "upright along another axis than the other clips", detail, NOTE))
    return conventions, notes


def sample_frames(count: int) -> np.ndarray:
    """Indices of the frames of a clip that give evidence, evenly spread; each but the last has a next frame.

    Args:
        count: Frames of the clip.

    Returns:
        Indices of the frames.
    """
    return np.linspace(0, max(count - 2, 0), SAMPLES).astype(int)


def gather(clips: Sequence[np.ndarray], fps: float, skeleton: Skeleton = HUMANML3D) -> list[Evidence]:
    """The evidence of each of some clips of joints (T, J, 3), in any axes and unit.

    Args:
        clips: joints of each; memory maps are read where they are sampled alone.
        fps: frames per second of all of them.
        skeleton: the skeleton of the joints.

    Returns:
        One evidence a clip.
    """
    names = skeleton.joint_names
    root = names.index("pelvis")
    places = [sample_frames(len(clip)) for clip in clips]
    joints = np.stack([clip[at] for clip, at in zip(clips, places, strict=True)]).astype(np.float64)
    after = [clip[np.minimum(at + 1, len(clip) - 1), root] for clip, at in zip(clips, places, strict=True)]
    velocity = (np.stack(after) - joints[:, :, root]) * fps

    def at(*parts: str) -> np.ndarray:
        """(N, K, 3) of a joint, or (N, K, 2, 3) of a joint of the left and the right side."""
        return joints[:, :, [names.index(part) for part in parts]]

    pelvis, head = at("pelvis")[:, :, 0], at("head")[:, :, 0]
    hip, knee, ankle, foot = (at(f"left_{part}", f"right_{part}") for part in ("hip", "knee", "ankle", "foot"))
    shoulder, elbow, wrist = (at(f"left_{part}", f"right_{part}") for part in ("shoulder", "elbow", "wrist"))
    stance = pelvis - ankle.mean(axis=2)
    lines = _unit(np.stack([head - pelvis + stance, head - pelvis, stance])) @ _DIRECTIONS.T
    upright = (lines > np.array([0.7, 0.5, 0.5])[:, None, None, None]).all(axis=0).mean(axis=1)
    legs = np.median(_norm(hip - knee) + _norm(knee - ankle), axis=(1, 2))
    least = legs[:, None, None]
    # "Forward" is across (left minus right) x along the limb, upwards: a kneeling shin has its toes in front, too.
    hips, shoulders = hip[:, :, :1] - hip[:, :, 1:], shoulder[:, :, :1] - shoulder[:, :, 1:]
    signs = {
        "toes": _along(foot - ankle, _cross(hips, knee - ankle), 0.02 * least),
        "knees": _along(_bend(hip, knee, ankle), _cross(hips, hip - ankle), 0.04 * least),
        "elbows": -_along(_bend(shoulder, elbow, wrist), _cross(shoulders, shoulder - wrist), 0.04 * least),
        "travel": _along(velocity[:, :, None], _cross(hips + shoulders, (head - pelvis)[:, :, None]), 0.4 * least),
    }
    counts = {
        cue: np.stack([(sign > 0.3).mean(axis=(1, 2)), (sign < -0.3).mean(axis=(1, 2))], axis=-1)
        for cue, sign in signs.items()
    }
    return [
        Evidence(1, upright[i], {cue: counts[cue][i] for cue in _CUES}, [float(legs[i])] if legs[i] > 0 else [])
        for i in range(len(clips))
    ]


def _bend(start: np.ndarray, middle: np.ndarray, end: np.ndarray) -> np.ndarray:
    """From the straight line start-end to the joint between: where a knee or elbow points."""
    line = _unit(end - start)
    offset = middle - start
    return offset - (offset * line).sum(-1, keepdims=True) * line


def _along(vector: np.ndarray, direction: np.ndarray, least: float) -> np.ndarray:
    """Cosine between both, 0 where the vector is shorter than `least` or the direction is none."""
    lengths = _norm(vector)
    cosine = (vector * direction).sum(-1) / np.maximum(lengths * _norm(direction), 1e-12)
    return np.where(lengths > least, cosine, 0.0)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`np.cross` of 3-vectors, in a third of its time on short clips."""
    return a[..., [1, 2, 0]] * b[..., [2, 0, 1]] - a[..., [2, 0, 1]] * b[..., [1, 2, 0]]


def _norm(vector: np.ndarray) -> np.ndarray:
    return np.sqrt((vector * vector).sum(-1))


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.maximum(_norm(vector), 1e-12)[..., None]
