"""One motion from a file of any kind that this project reads, as joints in metres."""

from __future__ import annotations

import csv
import io
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from datasets_scripts.schema import FPS
from datasets_scripts.sources.body_check import BodyError, bridge_jumps, check_body, check_features, check_numbers
from datasets_scripts.sources.bvh import file_joints, read_joint_map
from datasets_scripts.sources.bvh_format import read_bvh
from datasets_scripts.sources.bvh_skeleton import place_joints
from datasets_scripts.sources.clips import check_fps, read_rate, resample
from datasets_scripts.sources.conversion import hold_pose, is_still, place_toes
from datasets_scripts.sources.orientation import check_up, gather, metres_per_unit
from datasets_scripts.sources.reading import check_regular, for_convert_motion, read_text
from datasets_scripts.sources.rigs import map_joints
from datasets_scripts.sources.smpl import is_smpl_file, others, read_smpl
from datasets_scripts.sources.smpl import to_joints as smpl_joints
from modeling_unimo.array_files_unimo import UNREADABLE, member_names, read_member
from modeling_unimo.inputs_unimo import read_motion_array
from modeling_unimo.skeletons_unimo import HUMANML3D, KIT, Skeleton, check_joints, skeleton_for
from modeling_unimo.skeletons_unimo import check_features as check_feature_shape
from unimo.scenes import USD_SUFFIXES, read_fbx_skeleton, read_usd_skeleton

SKELETON_SUFFIXES = (".bvh", ".glb", ".fbx", *USD_SUFFIXES)
READ_SUFFIXES = (".npy", ".npz", *SKELETON_SUFFIXES, ".csv", ".pt", ".pth", ".pkl")
LARGEST = 512 << 20
"""Bytes of the largest file that is read as one motion."""

_FIRST_COLUMN = "time"
_OPTIONS = {  # that have an effect, by what a file holds
    "a rig": {"joint_map", "up", "fps"},
    "SMPL parameters": {"up", "fps", "body_model"},
    "joint positions": {"up", "fps"},
    "a table of joints": {"fps"},
    "features": {"fps"},
    "joints of KIT-ML": {"fps"},
}


@dataclass
class MotionFile:
    """What a motion file holds.

    Attributes:
        joints: (T, 22, 3) metres or (T, 21, 3) millimetres, Y up.
        fps: frames per second.
        kind: what the file holds, "a rig" or another of the kinds that take options.
        features: (T, D) raw features, where the file holds them.
        words: its codes, text and thought, by these names, where it holds them.
        notes: what was assumed.
    """

    joints: np.ndarray
    fps: float
    kind: str
    features: np.ndarray | None = None
    words: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def features_for_model(self, feature_dim: int, fps: float) -> np.ndarray:
        """Raw features (T, feature_dim) as a model reads them: the file's own, or made of its joints.

        Args:
            feature_dim: width of the model's features.
            fps: its frames per second.

        Returns:
            The features.

        Raises:
            ValueError: the motion is of another skeleton, too short, or no body of a person.
        """
        from modeling_unimo.motion_representation import joints_to_features

        skeleton = skeleton_for(feature_dim)
        if self.joints.shape[1] != skeleton.num_joints:
            raise ValueError(f"a motion of {self.joints.shape[1]} joints; the model reads {skeleton.num_joints}")
        if self.features is not None and self.fps == fps:
            return self.features
        joints = resample(self.joints, self.fps, fps)
        if len(joints) < 5:
            if not is_still(joints):
                raise ValueError(f"{len(joints)} frames at {fps:g} fps; at least 5 are needed")
            joints = hold_pose(joints, 5)
        check_joints(joints, skeleton)
        try:
            check_body(joints, fps, skeleton)
        except BodyError as error:
            raise ValueError(f"no body of a person: {error}") from error
        features = joints_to_features(joints, skeleton, target_offsets=skeleton.default_offsets)
        return np.asarray(features, dtype=np.float32)

    def unusual(self) -> list[str]:
        """What is unusual or impossible about the body, as `check_body` has it.

        Returns:
            Notes.
        """
        skeleton = HUMANML3D if self.joints.shape[1] == HUMANML3D.num_joints else KIT
        try:
            if self.features is not None:
                check_features(self.features, self.fps, skeleton)
            return check_body(resample(self.joints, self.fps, FPS), FPS, skeleton, unit=skeleton.unit_scale)
        except BodyError as error:
            return [f"no body of a person: {error}"]


def read_motion_file(
    path: str | Path,
    joint_map: Mapping[str, str] | None = None,
    up: str = "auto",
    fps: float | None = None,
    body_model: str | Path | None = None,
) -> MotionFile:
    """Reads one motion; the suffix says how.

    Args:
        path: `.npy` or `.npz` of features or joints, SMPL parameters (`.npz`, `.pt`, `.pkl`), `.bvh`, `.glb`,
            `.fbx`, `.usd`, `.usda` and `.usdc` of any rig, or `.csv` as `save_motion` writes it.
        joint_map: of rigs: {HumanML3D joint: joint in the file}, where names do not tell.
        up: of rigs, joints and SMPL parameters: the axis that points up, or "auto".
        fps: frames per second in place of the file's own; of `.npy`, which holds none, default the skeleton's.
        body_model: of SMPL parameters: file of a body model; default the average skeleton.

    Returns:
        The motion, with notes on what was assumed and what is unusual or impossible about the body.

    Raises:
        FileNotFoundError: no such file, or `.fbx` without Blender.
        ImportError: USD without usd-core.
        BlenderError: Blender cannot read an `.fbx`.
        ValueError: another suffix, a file that is no motion, or an option that has no effect on it; the message names
            the file.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if not path.exists():
        raise FileNotFoundError(f"no motion file at {path}")
    if suffix not in READ_SUFFIXES:
        raise ValueError(f"{path}: unknown suffix; motions are read from {', '.join(READ_SUFFIXES)}")
    check_up(up)
    if fps is not None:
        check_fps(fps)
    try:
        size = check_regular(path)
        if size > LARGEST:
            raise ValueError(f"{size >> 20} MB; at most {LARGEST >> 20} MB are read as one motion")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    if suffix == ".bvh":
        motion = _read_bvh(path, joint_map, up, fps)
    elif suffix == ".glb":
        motion = _read_glb(path, joint_map, up, fps)
    elif suffix in SKELETON_SUFFIXES:
        motion = _read_scene(path, joint_map, up, fps)
    elif suffix == ".csv":
        motion = _read_csv(path, fps)
    elif is_smpl_file(path):
        motion = _read_smpl(path, body_model, up, fps)
    else:
        motion = _read_arrays(path, up, fps)
    given = {"joint_map": joint_map, "up": None if up == "auto" else up, "fps": fps, "body_model": body_model}
    idle = [name for name, value in given.items() if value is not None and name not in _OPTIONS[motion.kind]]
    if idle:
        raise ValueError(f"{path}: {' and '.join(idle)} can have no effect: the file holds {motion.kind}")
    motion.notes += [note for note in motion.unusual() if note not in motion.notes]
    return motion


def read_motion_argument(
    path: Path, joint_map: Path | None = None, *options: Any, has_options: bool = True
) -> MotionFile:
    """As `read_motion_file`, for commands: the joint map is a JSON file, and what was assumed is printed.

    Args:
        path: the file.
        joint_map: JSON file {HumanML3D joint: joint in the file}.
        *options: up, fps and body_model of `read_motion_file`.
        has_options: whether the command has these options for this file.

    Returns:
        The motion.

    Raises:
        FileNotFoundError, ImportError, BlenderError, ValueError: as `read_motion_file` and `read_joint_map`.
    """
    words = str if has_options else for_convert_motion
    try:
        motion = read_motion_file(path, read_joint_map(joint_map) if joint_map else None, *options)
    except ValueError as error:
        raise ValueError(words(str(error))) from error
    for note in motion.notes:
        print(f"{path.name}: {words(note)}", file=sys.stderr)
    return motion


def _read_smpl(path: Path, body_model: str | Path | None, up: str, fps: float | None) -> MotionFile:
    bodies = read_smpl(path)
    try:
        joints, notes = smpl_joints(bodies[0], body_model, up, fps)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return MotionFile(joints, HUMANML3D.fps, "SMPL parameters", notes=notes + others(bodies))


def _read_arrays(path: Path, up: str, fps: float | None) -> MotionFile:
    from modeling_unimo.motion_representation import features_to_joints

    stored, skeleton = read_motion_array(path)
    arrays: dict[str, np.ndarray] = {}
    if path.suffix.lower() == ".npz":
        for key in sorted({"joints", "fps", "codes", "text", "thought"}.intersection(member_names(path))):
            try:
                arrays[key] = read_member(path, key)
            except UNREADABLE as error:
                raise ValueError(f"{path}: {key} cannot be read: {error}") from error
    try:
        rate = read_rate(arrays["fps"]) if fps is None and "fps" in arrays else fps
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if stored.ndim == 3:
        check_joints(stored, skeleton, str(path))
        return _read_positions(path, stored, skeleton, up, rate)
    check_feature_shape(stored, skeleton, str(path))
    try:
        check_numbers(stored)
    except BodyError as error:
        raise ValueError(f"{path}: {error}") from error
    features = stored.astype(np.float32, copy=False)
    joints = arrays["joints"] if "joints" in arrays else features_to_joints(features, skeleton)
    check_joints(joints, skeleton, str(path))
    words: dict[str, Any] = {key: str(arrays[key]) for key in ("text", "thought") if key in arrays}
    if "codes" in arrays:
        words["codes"] = arrays["codes"].tolist()
    features_of_all = features if len(features) == len(joints) else None
    return MotionFile(joints, rate or skeleton.fps, "features", features_of_all, words)


def _read_positions(path: Path, joints: np.ndarray, skeleton: Skeleton, up: str, fps: float | None) -> MotionFile:
    """Joints of unknown axes and unit; those of KIT-ML are taken as they are."""
    rate = skeleton.fps if fps is None else fps
    notes = [f"no frame rate in the file: taken as {rate:g} fps"] if fps is None else []
    if skeleton is KIT:
        return MotionFile(joints, rate, "joints of KIT-ML", notes=notes)
    try:
        joints, changed = upright_metres(joints if joints.dtype == np.float32 else joints.astype(np.float64), rate, up)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return MotionFile(joints, rate, "joint positions", notes=notes + changed)


def _read_bvh(path: Path, joint_map: Mapping[str, str] | None, up: str, fps: float | None) -> MotionFile:
    bvh = read_bvh(path, fps)
    try:
        joints, reading = file_joints(bvh, joint_map)
        joints, notes = upright_metres(joints, bvh.fps, up)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return MotionFile(joints, bvh.fps, "a rig", notes=reading + notes)


def _read_glb(path: Path, joint_map: Mapping[str, str] | None, up: str, fps: float | None) -> MotionFile:
    from unimo.rig_glb import read_glb_motion

    try:
        joints, rate, notes = read_glb_motion(path, joint_map, up)
        return MotionFile(joints, check_fps(fps or rate), "a rig", notes=notes)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _read_scene(path: Path, joint_map: Mapping[str, str] | None, up: str, fps: float | None) -> MotionFile:
    try:
        skeleton = read_fbx_skeleton(path) if path.suffix.lower() == ".fbx" else read_usd_skeleton(path)
        rate = check_fps(fps or _round_rate(skeleton.fps))
        check_numbers(skeleton.positions)
        found, reading = map_joints(skeleton, skeleton.positions, joint_map)
        joints = place_joints(skeleton, skeleton.positions, found)
        joints, notes = upright_metres(joints, rate, skeleton.up if up == "auto" else up, "metres")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return MotionFile(joints, rate, "a rig", notes=[note for note in (reading, *notes) if note])


def upright_metres(
    joints: np.ndarray, fps: float, up: str = "auto", unit: str | None = None
) -> tuple[np.ndarray, list[str]]:
    """Joints (T, 22, 3) of a file's axes and unit as Y up, left on the left, metres, with notes on what was changed.

    Args:
        joints: the joints.
        fps: frames per second.
        up: the axis that points up, or "auto": by how the body stands.
        unit: "metres" where the file says so; None: by the length of the legs.

    Returns:
        The joints, and the notes.

    Raises:
        ValueError: NaN, absurd numbers or legs without length.
    """
    check_numbers(joints)
    evidence = gather([joints], fps)[0]
    convention = evidence.decide(up)
    scale = 1.0 if unit else metres_per_unit(evidence.legs[0] if evidence.legs else 0.0)
    joints, placed = place_toes(convention.apply(joints * scale))
    joints, bridged = bridge_jumps(joints, fps)
    notes = [f"{convention}, {unit or evidence.unit()}: {len(joints)} frames at {fps:g} fps", placed, bridged]
    return joints, [note for note in notes if note]


def _read_csv(path: Path, fps: float | None) -> MotionFile:
    try:
        rows = list(csv.reader(io.StringIO(read_text(path).content)))
        joints, rate = _table(rows)
        return MotionFile(joints, check_fps(fps or rate), "a table of joints")
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path}: {error}") from error


def _table(rows: list[list[str]]) -> tuple[np.ndarray, float]:
    """Joints and frame rate of a table with a header."""
    from modeling_unimo.joint_names_unimo import JOINT_NAMES

    header = rows[0] if rows else []
    known = {names: HUMANML3D for names in JOINT_NAMES.values()} | {KIT.joint_names: KIT}
    columns = {tuple([_FIRST_COLUMN, *(f"{n}_{a}" for n in names for a in "xyz")]): s for names, s in known.items()}
    skeleton = columns.get(tuple(header))
    if skeleton is None:
        raise ValueError(
            f"its first line must be {_FIRST_COLUMN},pelvis_x,pelvis_y,pelvis_z,left_hip_x,... for the joints "
            f"{', '.join(HUMANML3D.joint_names)}; it begins with {','.join(header)[:60]!r}"
        )
    body = [row for row in rows[1:] if row]
    for number, row in enumerate(body, start=2):
        if len(row) != len(header):
            raise ValueError(f"row {number} has {len(row)} values, the header {len(header)}")
    values = np.array(body, dtype=np.float64) if body else np.empty((0, len(header)))
    joints = values[:, 1:].reshape(len(values), skeleton.num_joints, 3) / skeleton.unit_scale
    check_joints(joints, skeleton)
    step = float(np.diff(values[:, 0]).mean())
    if not step > 0 or np.abs(np.diff(values[:, 0]) - step).max() > 0.1 * step:
        raise ValueError("the times in its first column must rise by even steps, in seconds")
    return joints, _round_rate(1 / step)


def _round_rate(rate: float) -> float:
    """A rate without the rounding of the times it was taken from."""
    return float(round(rate)) if math.isclose(rate, round(rate), rel_tol=1e-4) else rate
