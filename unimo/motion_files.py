"""One motion from a file of any kind that this project reads, as joints in metres."""

from __future__ import annotations

import csv
import io
import math
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from datasets_scripts.sources.body_check import check_numbers
from datasets_scripts.sources.bvh import read_joint_map
from datasets_scripts.sources.bvh_format import read_bvh
from datasets_scripts.sources.bvh_skeleton import place_joints, read_joints
from datasets_scripts.sources.clips import check_fps, resample
from datasets_scripts.sources.conversion import place_toes
from datasets_scripts.sources.orientation import check_up, gather, metres_per_unit
from datasets_scripts.sources.reading import check_regular, read_text
from datasets_scripts.sources.rigs import map_joints
from datasets_scripts.sources.smpl import is_smpl_file, read_smpl
from datasets_scripts.sources.smpl import to_joints as smpl_joints
from modeling_unimo.generate import SKELETON_SUFFIXES
from modeling_unimo.inputs_unimo import load_motion
from modeling_unimo.skeletons_unimo import HUMANML3D, KIT, check_joints, skeleton_for
from unimo.scenes import USD_SUFFIXES, read_fbx_skeleton, read_usd_skeleton

READ_SUFFIXES = (".npy", ".npz", *SKELETON_SUFFIXES, ".csv", ".pt", ".pth", ".pkl")
LARGEST = 512 << 20
"""Bytes of the largest file that is read as one motion."""

_FIRST_COLUMN = "time"


@dataclass
class MotionFile:
    """What a motion file holds.

    Attributes:
        joints: (T, 22, 3) metres or (T, 21, 3) millimetres, Y up.
        fps: frames per second.
        features: (T, D) raw features, where the file holds them.
        words: its codes, text and thought, by these names, where it holds them.
        notes: what was assumed.
    """

    joints: np.ndarray
    fps: float
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
            ValueError: the motion is of another skeleton, or too short.
        """
        from modeling_unimo.motion_representation import joints_to_features

        skeleton = skeleton_for(feature_dim)
        if self.joints.shape[1] != skeleton.num_joints:
            raise ValueError(f"a motion of {self.joints.shape[1]} joints; the model reads {skeleton.num_joints}")
        if self.features is not None and self.fps == fps:
            return self.features
        joints = resample(self.joints, self.fps, fps)
        check_joints(joints, skeleton)
        features = joints_to_features(joints, skeleton, target_offsets=skeleton.default_offsets)
        return np.asarray(features, dtype=np.float32)


def read_motion_file(
    path: str | Path,
    joint_map: Mapping[str, str] | None = None,
    up: str = "auto",
    fps: float | None = None,
    body_model: str | Path | None = None,
) -> MotionFile:
    """Reads one motion; the suffix says how.

    Args:
        path: `.npy` or `.npz` as `load_motion` reads them, SMPL parameters (`.npz`, `.pt`, `.pkl`), `.bvh`, `.glb`,
            `.fbx`, `.usd`, `.usda` and `.usdc` of any rig, or `.csv` as `save_motion` writes it.
        joint_map: of rigs: {HumanML3D joint: joint in the file}, where names do not tell.
        up: of rigs and SMPL parameters: the axis that points up, or "auto".
        fps: frames per second in place of the file's own; of `.npy`, which holds none, default the skeleton's.
        body_model: of SMPL parameters: file of a body model; default the average skeleton.

    Returns:
        The motion.

    Raises:
        FileNotFoundError: no such file, or `.fbx` without Blender.
        ImportError: USD without usd-core.
        BlenderError: Blender cannot read an `.fbx`.
        ValueError: another suffix, or a file that is no motion; the message names it.
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
        return _read_bvh(path, joint_map, up, fps)
    if suffix == ".glb":
        return _read_glb(path, joint_map, up, fps)
    if suffix in (".fbx", *USD_SUFFIXES):
        return _read_scene(path, joint_map, up, fps)
    if suffix == ".csv":
        return _read_csv(path, fps)
    if is_smpl_file(path):
        body = read_smpl(path)[0]
        joints, notes = smpl_joints(body, body_model, up, fps)
        return MotionFile(joints, HUMANML3D.fps, notes=notes)
    return _read_arrays(path, fps)


def read_motion_argument(path: Path, joint_map: Path | None = None, *options: Any) -> MotionFile:
    """As `read_motion_file`, for commands: the joint map is a JSON file, and what was assumed is printed.

    Args:
        path: the file.
        joint_map: JSON file {HumanML3D joint: joint in the file}.
        *options: up, fps and body_model of `read_motion_file`.

    Returns:
        The motion.

    Raises:
        FileNotFoundError, ImportError, BlenderError, ValueError: as `read_motion_file` and `read_joint_map`.
    """
    motion = read_motion_file(path, read_joint_map(joint_map) if joint_map else None, *options)
    for note in motion.notes:
        print(f"{path.name}: {note}", file=sys.stderr)
    return motion


def _read_arrays(path: Path, fps: float | None) -> MotionFile:
    from modeling_unimo.motion_representation import features_to_joints

    features = load_motion(path)
    skeleton = skeleton_for(features.shape[1])
    arrays: dict[str, np.ndarray] = {}
    if path.suffix.lower() == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            arrays = {
                key: archive[key] for key in ("joints", "fps", "codes", "text", "thought") if key in archive.files
            }
    elif zipfile.is_zipfile(path):
        raise ValueError(f"{path}: an archive of arrays; end its name in .npz")
    else:
        stored = np.load(path, allow_pickle=False)
        if stored.ndim == 3:  # joints, from which load_motion made features
            return MotionFile(stored, fps or skeleton.fps)
    joints = arrays.get("joints")
    if joints is None:
        joints = features_to_joints(features, skeleton)
    check_joints(joints, skeleton, str(path))
    rate = fps or float(arrays.get("fps", skeleton.fps))
    words: dict[str, Any] = {key: str(arrays[key]) for key in ("text", "thought") if key in arrays}
    if "codes" in arrays:
        words["codes"] = arrays["codes"].tolist()
    return MotionFile(joints, check_fps(rate), features if len(features) == len(joints) else None, words)


def _read_bvh(path: Path, joint_map: Mapping[str, str] | None, up: str, fps: float | None) -> MotionFile:
    bvh = read_bvh(path, fps)
    try:
        joints, reading = read_joints(bvh, joint_map)
        joints, notes = upright_metres(joints, bvh.fps, up)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return MotionFile(joints, bvh.fps, notes=[note for note in (*bvh.notes, reading, *notes) if note])


def _read_glb(path: Path, joint_map: Mapping[str, str] | None, up: str, fps: float | None) -> MotionFile:
    from unimo.rig_glb import read_glb_motion

    try:
        joints, rate, notes = read_glb_motion(path, joint_map, up)
        return MotionFile(joints, check_fps(fps or rate), notes=notes)
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
    return MotionFile(joints, rate, notes=[note for note in (reading, *notes) if note])


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
    notes = [f"{convention}, {unit or evidence.unit()}: {len(joints)} frames at {fps:g} fps", placed]
    return joints, [note for note in notes if note]


def _read_csv(path: Path, fps: float | None) -> MotionFile:
    try:
        rows = list(csv.reader(io.StringIO(read_text(path).content)))
        joints, rate = _table(rows)
        return MotionFile(joints, check_fps(fps or rate))
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
