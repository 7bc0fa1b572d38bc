"""Made-up AMASS data for tests and benchmarks: body models, recordings, HumanML3D's index, captions and lists."""

import csv
import io
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from modeling_unimo.skeletons_unimo import HUMANML3D
from modeling_unimo.smpl_unimo import AVERAGE_BODY

LINE = "a person walks forward.#a/DET person/NOUN walk/VERB forward/ADV#0.0#0.0\n"


def body_model(joints: int = 52, vertices: int = 120, seed: int = 0, betas: int = 16) -> dict[str, np.ndarray]:
    """Arrays of a body model whose first 22 joints are a person's; each joint is the mean of its own two vertices.

    Args:
        joints: 24 for SMPL, 52 for SMPL-H, 55 for SMPL-X.
        vertices: At least twice the joints.
        seed: Of the shape.
        betas: Directions of shape.

    Returns:
        Arrays by the names of a model file: v_template (V, 3), shapedirs (V, 3, B), posedirs (V, 3, 9 (J-1)) of zeros,
        J_regressor (J, V) and kintree_table (2, J); metres.
    """
    rng = np.random.default_rng(seed)
    rest = np.concatenate([AVERAGE_BODY.rest_joints, rng.normal(0, 0.3, (max(joints - 22, 0), 3))])[:joints]
    template = rng.normal(0, 0.3, (vertices, 3))
    spread = rng.normal(0, 0.02, (joints, 3))
    template[:joints], template[joints : 2 * joints] = rest + spread, rest - spread
    regressor = np.zeros((joints, vertices))
    for joint in range(joints):
        regressor[joint, [joint, joints + joint]] = 0.5
    parents = np.array([-1, *HUMANML3D.parents[1:], *[20] * max(joints - 22, 0)])[:joints]
    return {
        "v_template": template,
        "shapedirs": rng.normal(0, 0.004, (vertices, 3, betas)),
        "posedirs": np.zeros((vertices, 3, 9 * (joints - 1)), dtype=np.float32),
        "J_regressor": regressor,
        "kintree_table": np.stack([parents, np.arange(joints)]).astype(np.int64),
    }


def recording(frames: int = 400, fps: float = 120.0, gender: object = "male", seed: int = 0) -> dict[str, np.ndarray]:
    """Arrays of an AMASS file: somebody who stands (Z up), walks along x and moves all limbs.

    Args:
        frames: T.
        fps: Frames a second.
        gender: As the file tells it.
        seed: Of the limbs' motion and the shape.

    Returns:
        Arrays by the names of an AMASS file: poses (T, 156) in radians, trans (T, 3) in metres, betas (16,), dmpls,
        gender and mocap_framerate.
    """
    rng = np.random.default_rng(seed)
    time = np.arange(frames)[:, None] / fps
    poses = 0.25 * np.sin(2 * np.pi * (0.5 * time + rng.random((1, 156)))) * rng.random((1, 156))
    poses[:, :3] = (np.pi / 2, 0, 0)
    trans = np.concatenate([0.8 * time, 0 * time, 0 * time + 0.9], axis=1)
    return {
        "poses": poses.astype(np.float32),
        "trans": trans.astype(np.float32),
        "betas": rng.normal(0, 1, 16),
        "dmpls": np.zeros((frames, 8), dtype=np.float32),
        "gender": np.array(gender),
        "mocap_framerate": np.array(fps),
    }


def save(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    """Writes an .npz with its folders.

    Args:
        path: File to write.
        arrays: By name.

    Returns:
        The path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(npz_bytes(arrays))
    return path


def make_root(
    root: Path, sources: dict[str, dict[str, np.ndarray]], rows: Iterable[tuple[str, int, int, str]] | None = None
) -> Path:
    """A ROOT with the sources by key unpacked, both body models, and an index of `rows`.

    Without rows, each source gives one clip of 50 frames, named 000000, 000001, ...

    Args:
        root: Folder to fill.
        sources: Arrays of `recording` by the file's path in AMASS without its suffix.
        rows: Lines of the index: a source's key, first frame and frame after the last at 20 fps, name of the clip.

    Returns:
        The root.
    """
    for key, arrays in sources.items():
        save(root / "amass_data" / f"{key}.npz", arrays)
    for seed, gender in enumerate(("female", "male")):
        save(root / "body_models" / "smplh" / gender / "model.npz", body_model(seed=seed))
    rows = list(rows or ((key, 0, 50, f"{place:06d}") for place, key in enumerate(sources)))
    with open(root / "index.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("source_path", "start_frame", "end_frame", "new_name"))
        table.writerows((f"./pose_data/{key}.npy", start, end, f"{name}.npy") for key, start, end, name in rows)
    names = [f"{mirror}{name}" for *_, name in rows for mirror in ("", "M")]
    (root / "texts").mkdir()
    for name in names:
        (root / "texts" / f"{name}.txt").write_text(LINE)
    for split, part in (("train", names[:-2] or names), ("val", names[-2:]), ("test", names[-2:])):
        (root / f"{split}.txt").write_text("\n".join(part) + "\n")
    return root


def archive(
    path: Path, members: Mapping[str, bytes | dict[str, np.ndarray]], links: dict[str, str] | None = None
) -> Path:
    """A .tar.bz2 of recordings or bytes by member name, and of symbolic links.

    Args:
        path: File to write.
        members: Content by member name: bytes, or arrays of `recording`.
        links: Targets of symbolic links by member name.

    Returns:
        The path.
    """
    with tarfile.open(path, "w:bz2") as tar:
        for name, content in members.items():
            data = content if isinstance(content, bytes) else npz_bytes(content)
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        for name, target in (links or {}).items():
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            tar.addfile(link)
    return path


def npz_bytes(arrays: dict[str, np.ndarray]) -> bytes:
    """An .npz in memory.

    Args:
        arrays: By name.

    Returns:
        The content of the file.
    """
    buffer = io.BytesIO()
    named: dict[str, Any] = arrays
    np.savez(buffer, **named)
    return buffer.getvalue()
