"""Export: a written BVH moves like the joints, arrays survive the round trip, bad files are named."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from bvh_reader import read_bvh
from motions import moving_body, rigid_body

from modeling_unimo import export_unimo
from modeling_unimo.export_unimo import save_motion
from modeling_unimo.inputs_unimo import load_motion
from modeling_unimo.motion_representation import (
    HUMANML3D,
    KIT,
    canonical_joints,
    features_to_joints,
    joints_to_features,
)
from modeling_unimo.rigid_motion_unimo import fit_rigid_motion


def matched(names: list[str], positions: np.ndarray) -> np.ndarray:
    return positions[:, [names.index(name) for name in HUMANML3D.joint_names]]


# --------------------------------------------------------------------------------------------------------------- BVH
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("sway", [0.2, 0.5, 1.5])
def test_bvh_moves_like_the_joints(tmp_path: Path, seed: int, sway: float) -> None:
    joints = rigid_body(seed, 80, sway)
    names, positions, values, frame_time = read_bvh(save_motion(tmp_path / "clip.bvh", joints, fps=20))
    assert np.abs(matched(names, positions) - joints).max() < 1e-4
    assert frame_time == 0.05 and len(values) == 80
    assert fit_rigid_motion(joints).error.max() < 1e-5


def test_bvh_of_a_processed_clip(golden, shared_dir: Path, tmp_path: Path) -> None:
    clips = [golden("reference_012314")["joints_from_ric"], golden("process_file_t2m")["real/global_positions"]]
    with np.load(shared_dir / "data" / "mocap" / "mocap_joints.npz", allow_pickle=False) as archive:
        joints, offsets = archive["joints"], archive["offsets"]
    clips += [canonical_joints(joints[offsets[i] : offsets[i + 1]]) for i in range(0, len(offsets) - 1, 400)]
    for joints in clips:
        names, positions, _, _ = read_bvh(save_motion(tmp_path / "clip.bvh", joints))
        assert np.linalg.norm(matched(names, positions) - joints, axis=-1).max() < 1e-3


def test_bvh_rest_pose_is_an_upright_t_pose() -> None:
    motion = fit_rigid_motion(rigid_body(1, 60, 0.4))
    rest = np.zeros((22, 3))
    for joint in HUMANML3D.order:
        rest[joint] = rest[HUMANML3D.parents[joint]] + motion.offsets[joint]
    at = dict(zip(HUMANML3D.joint_names, rest, strict=True))
    assert at["head"][1] > at["neck"][1] > at["spine3"][1] > at["pelvis"][1] > at["left_knee"][1] > at["left_ankle"][1]
    for side, sign in (("left", 1), ("right", -1)):
        reach = [sign * at[f"{side}_{part}"][0] for part in ("collar", "shoulder", "elbow", "wrist")]
        assert reach == sorted(reach) and reach[0] > 0
        np.testing.assert_allclose(at[f"{side}_wrist"][1:], at[f"{side}_shoulder"][1:], atol=1e-9)
        assert at[f"{side}_foot"][2] > at[f"{side}_ankle"][2]


def test_bvh_angles_do_not_jump_where_a_knee_bends_past_a_right_angle(tmp_path: Path) -> None:
    bend = np.radians(np.linspace(0, 140, 60))
    joints = np.repeat(moving_body(2, 1, sway=0), 60, 0)
    knee, ankle = joints[:, 4], np.stack((0 * bend, -np.cos(bend), -np.sin(bend)), -1) * 0.43
    joints[:, 10] += knee + ankle - joints[:, 7]
    joints[:, 7] = knee + ankle
    names, positions, values, _ = read_bvh(save_motion(tmp_path / "knee.bvh", joints))
    assert np.abs(matched(names, positions) - joints).max() < 1e-4
    assert np.abs(np.diff(values, axis=0)).max() < 10  # 140 degrees over 60 frames, and the foot's counter-turn


def test_bvh_of_stretching_bones_aims_at_every_joint() -> None:
    """A network's joints are no rigid body. What is left must not add up along the limbs."""
    joints = rigid_body(3, 60, 0.4)
    noisy = joints + np.random.default_rng(0).normal(scale=0.003, size=joints.shape)
    error = fit_rigid_motion(noisy).error
    assert error[:, 0].max() == 0
    assert error.mean() < 0.006 and error[:, [15, 20, 21, 10, 11]].mean() < 0.009


@pytest.mark.parametrize("frames", [1, 2])
def test_bvh_of_a_pose(tmp_path: Path, frames: int) -> None:
    joints = rigid_body(4, 2, 0.3)[:frames]
    names, positions, values, _ = read_bvh(save_motion(tmp_path / "pose.bvh", joints))
    assert len(values) == frames and np.abs(matched(names, positions) - joints).max() < 1e-4


def test_bvh_of_kit_is_in_metres(tmp_path: Path) -> None:
    offsets = KIT.raw_offsets * 200.0
    joints = moving_body(5, 30, skeleton=KIT, offsets=offsets, sway=0.1)
    names, positions, _, frame_time = read_bvh(save_motion(tmp_path / "kit.bvh", joints, fps=12.5))
    assert frame_time == 0.08
    assert np.abs(positions[:, names.index("pelvis")] - joints[:, 0] / 1000).max() < 1e-5


def test_bvh_is_read_by_our_reader(tmp_path: Path) -> None:
    bvh = pytest.importorskip("datasets_scripts.sources.bvh")
    joints = canonical_joints(rigid_body(6, 60, 0.3))
    features = bvh.bvh_to_features(save_motion(tmp_path / "clip.bvh", joints))
    expected = features_to_joints(joints_to_features(joints))
    assert np.abs(features_to_joints(features) - expected).max() < 5e-3


# ------------------------------------------------------------------------------------------------------------- arrays
def test_npz_keeps_everything_without_pickle(tmp_path: Path) -> None:
    joints = rigid_body(7, 41, 0.3).astype(np.float32)
    features = joints_to_features(joints)
    path = tmp_path / "new" / "folder" / "motion.npz"
    saved = save_motion(
        path, joints[:-1], features, codes=[3, 511, 0], text="a person waves 👋", thought="an arm\nrises", fps=20
    )
    assert saved == path
    with np.load(path, allow_pickle=False) as archive:
        assert np.array_equal(archive["features"], features) and np.array_equal(archive["joints"], joints[:-1])
        assert archive["codes"].tolist() == [3, 511, 0] and archive["fps"] == 20
        assert str(archive["text"]) == "a person waves 👋" and str(archive["thought"]) == "an arm\nrises"
    assert np.array_equal(load_motion(path), features)
    assert [file.name for file in path.parent.iterdir()] == ["motion.npz"]


def test_npy_and_tensors(tmp_path: Path) -> None:
    joints = torch.from_numpy(rigid_body(8, 41, 0.3)).float().requires_grad_()
    loaded = load_motion(save_motion(tmp_path / "motion.npy", joints))
    expected = joints_to_features(joints.detach()).numpy()
    assert loaded.dtype == np.float32 and np.array_equal(loaded, expected)
    np.save(tmp_path / "joints.npy", joints.detach().numpy())
    assert np.array_equal(load_motion(tmp_path / "joints.npy"), expected)
    np.save(tmp_path / "double.npy", expected.astype(np.float64))
    assert np.array_equal(load_motion(tmp_path / "double.npy"), expected)


def test_page_holds_the_motion_and_its_words(tmp_path: Path) -> None:
    page = save_motion(tmp_path / "clip.html", rigid_body(9, 30, 0.3), text="a <b> person").read_text(encoding="utf-8")
    assert "a &lt;b&gt; person" in page and "<b> person" not in page
    assert not re.search(r"""(src|href)=["']?https?:""", page)


@pytest.mark.slow
def test_video(tmp_path: Path) -> None:
    pytest.importorskip("av")
    assert save_motion(tmp_path / "clip.mp4", rigid_body(10, 10, 0.3)).stat().st_size > 1000


# ---------------------------------------------------------------------------------------------------------- bad input
def test_bad_motions_are_not_written(tmp_path: Path) -> None:
    joints = rigid_body(0, 10, 0.3)
    broken = joints.copy()
    broken[3, 4, 1] = np.nan
    cases = [
        ("x.obj", joints, {}, "'x.obj'.*use one of .npy, .npz, .smpl.npz, .bvh, .glb"),
        ("x", joints, {}, "cannot tell"),
        ("x.bvh", joints[:, :20], {}, r"\(T, 22, 3\) or \(T, 21, 3\).*\(10, 20, 3\)"),
        ("x.bvh", joints[None], {}, "of one motion"),
        ("x.bvh", broken, {}, "x.bvh: joints hold NaN.*frame 3, joint left_knee, axis y"),
        ("x.html", broken, {}, "x.html: joints hold NaN"),
        ("x.npy", joints, {"features": np.zeros((9, 251))}, r"x.npy: .*263"),
        ("x.npz", joints, {"features": np.full((9, 263), np.inf)}, "x.npz: features hold NaN"),
        ("x.bvh", joints, {"fps": 0}, "fps must be > 0, got 0"),
        ("x.bvh", joints, {"fps": float("nan")}, "fps must be > 0, got nan"),
    ]
    for name, motion, more, message in cases:
        with pytest.raises(ValueError, match=message):
            save_motion(tmp_path / name, motion, **more)
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    joints = rigid_body(0, 10, 0.3)
    path = save_motion(tmp_path / "clip.npz", joints)
    before = path.read_bytes()

    def disk_full(file: Path, **arrays: np.ndarray) -> None:
        file.write_bytes(before[:100])
        raise OSError("no space left on device")

    monkeypatch.setattr(export_unimo.np, "savez_compressed", disk_full)
    with pytest.raises(OSError, match="no space"):
        save_motion(path, joints * 2)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_bad_files_are_named(tmp_path: Path) -> None:
    features = joints_to_features(rigid_body(0, 20, 0.3)).astype(np.float32)

    def written(name: str, write) -> Path:
        write(tmp_path / name)
        return tmp_path / name

    whole = written("whole.npy", lambda path: np.save(path, features)).read_bytes()
    archive = written("whole.npz", lambda path: np.savez_compressed(path, features=features)).read_bytes()
    nan, huge = (np.where(np.arange(263) == 5, bad, features.astype(np.float64)) for bad in (np.nan, 1e300))
    cases = {
        "cut.npy": (lambda path: path.write_bytes(whole[: len(whole) // 2]), "cut.npy: cannot be read"),
        "cut.npz": (lambda path: path.write_bytes(archive[: len(archive) // 2]), "cut.npz: cannot be read"),
        "empty.npy": (lambda path: path.write_bytes(b""), "empty.npy: cannot be read"),
        "text.npz": (lambda path: path.write_text("hello"), "text.npz: cannot be read"),
        "pickled.npy": (
            lambda path: np.save(path, np.array([{}], dtype=object)),
            "pickled.npy.*pickled array",
        ),
        "pickled.npz": (lambda path: np.savez(path, features=np.array([{}], dtype=object)), "pickled.npz.*refused"),
        "other.npz": (lambda path: np.savez(path, poses=features), "other.npz.*'poses'.*none of motion, features"),
        "width.npy": (lambda path: np.save(path, features[:, :100]), "width.npy: no skeleton.*width 100"),
        "joints.npy": (
            lambda path: np.save(path, np.zeros((9, 24, 3))),
            r"joints.npy: expected features.*joints.*\(9, 24, 3\)",
        ),
        "flat.npy": (lambda path: np.save(path, features[0]), r"flat.npy: expected features \(T, D\)"),
        "nan.npy": (lambda path: np.save(path, nan), "nan.npy: features hold NaN.*dimension 5"),
        "huge.npy": (lambda path: np.save(path, huge), "huge.npy: features hold NaN or infinite.*dimension 5"),
        "words.npy": (lambda path: np.save(path, np.array(["a"])), "words.npy.*array of real numbers"),
        "motion.bvh": (lambda path: path.write_text("HIERARCHY"), "motion.bvh"),
        "motion.txt": (lambda path: path.write_text("0"), "unknown suffix; expected .npy, .npz or .bvh"),
    }
    for name, (write, message) in cases.items():
        with pytest.raises(ValueError, match=message), warnings.catch_warnings():
            warnings.simplefilter("error")
            load_motion(written(name, write))
    with pytest.raises(FileNotFoundError, match="nothing.npy"):
        load_motion(tmp_path / "nothing.npy")
    with pytest.raises(FileNotFoundError, match="no motion file"):
        load_motion(tmp_path)
