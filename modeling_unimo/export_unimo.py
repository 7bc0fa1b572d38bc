"""Motions as files, whose suffix says what they are: arrays, animation, scenes, pages, pictures and tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .arrays_unimo import Array
from .blender_unimo import glb_to_fbx
from .bvh_unimo import UNITS, bvh_text
from .files_unimo import atomic_write, write_text
from .gltf_unimo import glb_bytes
from .joint_names_unimo import joint_names
from .rendering_unimo import contact_sheet, iter_frames, save_gif, save_mp4, save_png
from .rigid_motion_unimo import fit_rigid_motion, skeleton_of, to_numpy
from .skeletons_unimo import Skeleton, check_features, check_joints
from .smpl_mesh_unimo import load_body_mesh, smpl_vertices
from .smpl_parameters_unimo import smpl_parameters
from .usd_unimo import save_usd
from .visualization_unimo import save_html

SMPL_SUFFIX = ".smpl.npz"
RIGID_SUFFIXES = (".bvh", ".glb", ".fbx", ".usd", ".usda")
"""Formats of skeletons that turn at their joints, which take `names`."""

SUFFIXES = (".npy", ".npz", SMPL_SUFFIX, *RIGID_SUFFIXES, ".csv", ".html", ".mp4", ".gif", ".png")


def motion_suffix(path: str | Path) -> str:
    """The ending of a file's name that says how its motion is written, in small letters; ".smpl.npz" is one.

    Args:
        path: Name of the file.

    Returns:
        One of `SUFFIXES`.

    Raises:
        ValueError: none of `SUFFIXES`.
    """
    path = Path(path)
    suffix = SMPL_SUFFIX if path.name.lower().endswith(SMPL_SUFFIX) else path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"cannot tell from {path.name!r} how to write a motion; use one of {', '.join(SUFFIXES)}")
    return suffix


def save_motion(
    path: str | Path,
    joints: Array,
    features: Array | None = None,
    fps: float = 20.0,
    codes: Sequence[int] | None = None,
    text: str | None = None,
    thought: str | None = None,
    output_fps: float | None = None,
    names: str | None = None,
    unit: str | None = None,
    body_model: str | Path | None = None,
    segments: Sequence[tuple[float, float, str]] = (),
) -> Path:
    """Write one motion; the suffix says how.

    ``.npy``: the features alone. ``.npz``: features, joints, fps, and codes, text and thought where given (no pickle;
    strings are 0-d unicode arrays). ``.smpl.npz``: SMPL-H parameters as AMASS stores them (see `smpl_parameters`),
    with a body model also ``vertices`` (T, V, 3) float32 and ``faces`` (F, 3), in the same axes.
    ``.bvh``, ``.glb``, ``.fbx``, ``.usd``, ``.usda``: a skeleton in T-pose with rotations solved from the joints (see
    `fit_rigid_motion`), in metres; all but BVH with a figure that it moves. ``.csv``: the joints, metres.
    ``.html``: a page that plays the motion. ``.mp4``, ``.gif``: a film. ``.png``: a sheet of its poses.

    Args:
        path: the file; its folder is created.
        joints: (T, 22, 3) metres, or (T, 21, 3) millimetres.
        features: (T, D) raw features of these joints. Without them `.npy` and `.npz` hold features computed from the
            joints, which retargets to the default skeleton and loses the last frame.
        fps: frames per second.
        codes: the motion's VQ codes.
        text: the caption.
        thought: the thought that led to the motion.
        output_fps: frames per second of the file, 20 to 120; default: `fps`. Rotations are resampled by slerp.
        names: how a skeleton's joints are called, one of `JOINT_NAMES`; default: "smpl".
        unit: of length of a BVH file, "m" or "cm"; default: "m".
        body_model: file of SMPL, SMPL-H or SMPL-X whose rest pose SMPL parameters are relative to, and whose surface
            is written beside them; default: the average skeleton, without a surface.
        segments: (start, end, text) in seconds of the parts it was written in, marked in `.html`.

    Returns:
        The path written.

    Raises:
        ValueError: an unknown suffix, joints or features that are no motion, a frame rate not above 0, or an option
            that is none of its values or does not apply to the format.
        ImportError: an extra is missing: "gltf" for `.glb` and `.fbx`, "usd", or "video" for `.mp4` and `.gif`.
        FileNotFoundError, BlenderError: `.fbx` without a working Blender, or no such body model.
    """
    path = Path(path)
    suffix = motion_suffix(path)
    _check_options(suffix, output_fps, names, unit, body_model)
    if not (np.isfinite(fps) and fps > 0):
        raise ValueError(f"fps must be > 0, got {fps}")
    joints = to_numpy(joints, np.float32)
    skeleton = skeleton_of(joints)
    if not len(joints):
        raise ValueError(f"{path.name}: the motion has no frames")
    if not np.isfinite(joints).all():
        check_joints(joints, skeleton, name=path.name)
    if suffix in (".npy", ".npz"):
        _save_arrays(path, suffix, joints, skeleton, features, fps, codes, text, thought)
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    if suffix == ".html":
        save_html(path, [{"joints": joints, "label": ""}], fps=fps, title=text, caption=thought, segments=segments)
    elif suffix == ".mp4":
        save_mp4(path, iter_frames(joints, fps=fps), fps=fps)
    elif suffix == ".gif":
        save_gif(path, iter_frames(joints, fps=fps), fps=fps)
    elif suffix == ".png":
        save_png(path, contact_sheet(joints, fps=fps))
    elif suffix == SMPL_SUFFIX:
        _save_smpl(path, joints, fps, output_fps, body_model)
    else:
        _save_skeleton(path, suffix, joints, skeleton, fps, text, thought, output_fps, names or "smpl", unit or "m")
    return path


def _check_options(
    suffix: str, output_fps: float | None, names: str | None, unit: str | None, body_model: str | Path | None
) -> None:
    turned = (*RIGID_SUFFIXES, SMPL_SUFFIX)
    for name, value, suffixes in (
        ("output_fps", output_fps, turned),
        ("names", names, RIGID_SUFFIXES),
        ("unit", unit, (".bvh",)),
        ("body_model", body_model, (SMPL_SUFFIX,)),
    ):
        if value is not None and suffix not in suffixes:
            raise ValueError(f"{name} applies to {', '.join(suffixes)}, not to {suffix}")
    if unit is not None and unit not in UNITS:
        raise ValueError(f"unit must be one of {', '.join(UNITS)}, got {unit!r}")


def _save_arrays(
    path: Path,
    suffix: str,
    joints: np.ndarray,
    skeleton: Skeleton,
    features: Array | None,
    fps: float,
    codes: Sequence[int] | None,
    text: str | None,
    thought: str | None,
) -> None:
    from .motion_representation import joints_to_features

    rows = to_numpy(joints_to_features(joints, skeleton) if features is None else features, np.float32)
    check_features(rows, skeleton, name=path.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    if suffix == ".npy":
        with atomic_write(path) as part:
            np.save(part, rows, allow_pickle=False)
        return
    arrays: dict[str, Any] = {"features": rows, "joints": joints, "fps": np.float32(fps)}
    if codes is not None:
        arrays["codes"] = np.asarray(codes, dtype=np.int64)
    arrays |= {key: np.array(value) for key, value in (("text", text), ("thought", thought)) if value is not None}
    with atomic_write(path) as part:
        np.savez_compressed(part, **arrays)


def _save_smpl(
    path: Path, joints: np.ndarray, fps: float, output_fps: float | None, body_model: str | Path | None
) -> None:
    if body_model is None:
        arrays: dict[str, Any] = smpl_parameters(joints, fps, output_fps)
    else:
        mesh = load_body_mesh(body_model)
        arrays = smpl_parameters(joints, fps, output_fps, mesh.body)
        arrays |= {"vertices": smpl_vertices(mesh, arrays["poses"], arrays["trans"]), "faces": mesh.faces}
    with atomic_write(path) as part:
        np.savez_compressed(part, **arrays)


def _save_skeleton(
    path: Path,
    suffix: str,
    joints: np.ndarray,
    skeleton: Skeleton,
    fps: float,
    text: str | None,
    thought: str | None,
    output_fps: float | None,
    names: str,
    unit: str,
) -> None:
    """Write a format of joints by name: rotations, or positions as a table."""
    called = joint_names(skeleton, names)
    if suffix == ".csv":
        write_text(path, csv_text(joints * skeleton.unit_scale, fps, called))
        return
    motion, rate = fit_rigid_motion(joints), fps
    if output_fps is not None:
        motion, rate = motion.resampled(fps, output_fps), output_fps
    if suffix == ".bvh":
        content = bvh_text(motion, rate, called, unit)
        write_text(path, content)
        return
    extras = {key: value for key, value in (("text", text), ("thought", thought)) if value is not None}
    with atomic_write(path) as part:
        if suffix == ".glb":
            part.write_bytes(glb_bytes(motion, rate, called, extras))
        elif suffix == ".fbx":
            glb_to_fbx(glb_bytes(motion, rate, called, extras), part, rate)
        else:
            save_usd(part, motion, rate, called, extras)


def csv_text(joints: np.ndarray, fps: float, names: Sequence[str]) -> str:
    """Joints (T, J, 3) as a table: a row a frame, its time in seconds, and columns NAME_x, NAME_y, NAME_z.

    Args:
        joints: (T, J, 3).
        fps: Frames per second.
        names: Names of the J joints.

    Returns:
        Content of the file.
    """
    header = ",".join(["time", *(f"{name}_{axis}" for name in names for axis in "xyz")])
    rows = (
        ",".join([f"{frame / fps:.6f}", *(f"{value:.6f}" for value in row)])
        for frame, row in enumerate(joints.reshape(len(joints), -1).tolist())
    )
    return "\n".join((header, *rows)) + "\n"
