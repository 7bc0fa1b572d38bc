"""The source `smpl`: files as AMASS and video-to-motion systems write them, turned upright, at 20 fps."""

import json

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from benchmarks import amass_files as files
from datasets_scripts import build
from datasets_scripts.schema import load_motion_dataset
from datasets_scripts.sources import smpl
from modeling_unimo import joints_from_smpl
from modeling_unimo.skeletons_unimo import HUMANML3D
from unimo.motion_files import read_motion_file

FRAMES = 91


def body(frames: int = FRAMES) -> dict[str, np.ndarray]:
    """SMPL parameters (72 columns), Z up, 30 fps."""
    arrays = files.recording(frames, fps=30.0)
    return {"poses": arrays["poses"][:, :72], "trans": arrays["trans"], "betas": arrays["betas"][:10]}


def matrices(poses: np.ndarray) -> np.ndarray:
    return Rotation.from_rotvec(poses.reshape(-1, 3)).as_matrix().reshape(len(poses), -1, 3, 3)


def tensors(arrays: dict) -> dict:
    return {key: torch.from_numpy(np.asarray(value)) for key, value in arrays.items()}


def forms() -> dict[str, dict]:
    """The same body as each system writes it."""
    b = body()
    split = {"global_orient": b["poses"][:, :3], "body_pose": b["poses"][:, 3:66], "transl": b["trans"]}
    split["betas"] = np.repeat(b["betas"][None], FRAMES, 0)
    wham = {"pose": b["poses"] * 0, "pose_world": b["poses"], "trans_world": b["trans"], "betas": b["betas"]}
    tram = {"pred_rotmat": matrices(b["poses"]), "pred_trans": b["trans"][:, None], "pred_shape": split["betas"]}
    in_camera = {**split, "transl": 9 * b["trans"]}
    return {
        "gvhmr.pt": {"smpl_params_incam": tensors(in_camera), "smpl_params_global": tensors(split)},
        "wham.pt": {0: tensors(wham)},
        "tram.pt": tensors(tram),
        "humans4d.npz": {
            **split,
            "global_orient": matrices(b["poses"][:, :3]),
            "body_pose": matrices(b["poses"][:, 3:]),
        },
        "amass.npz": {**b, "mocap_framerate": np.array(30.0), "gender": np.array("neutral")},
    }


def write(path, content: dict):
    return files.save(path, content) if path.suffix == ".npz" else torch.save(content, path)


@pytest.mark.parametrize("name", forms())
def test_every_form_gives_the_same_joints(tmp_path, name: str) -> None:
    write(tmp_path / name, forms()[name])
    model = files.save(tmp_path / "model" / "SMPL.npz", files.body_model(joints=24))
    assert smpl.is_smpl_file(tmp_path / name)
    (motion,) = smpl.read_smpl(tmp_path / name)
    joints, notes = smpl.to_joints(motion, model)
    b = body()
    expected = joints_from_smpl(b["poses"], b["trans"], b["betas"], model)[
        ::3
    ]  # every third frame at 30 is a second one at 20
    expected = expected[..., [0, 2, 1]] * (1, 1, -1)
    assert len(joints) == 61 and "Z up" in " ".join(notes)
    np.testing.assert_allclose(joints[::2], expected, atol=2e-5)
    assert any("30 fps" in note for note in notes) == (name != "amass.npz")


def test_features_say_what_was_assumed(tmp_path) -> None:
    write(tmp_path / "a.npz", body())
    motion = read_motion_file(tmp_path / "a.npz")
    features = motion.features_for_model(263, 20.0)
    assert features.shape == (60, 263) and np.isfinite(features).all()
    assert sum("average skeleton" in note for note in motion.notes) == 1


def test_a_folder_with_captions_becomes_a_dataset(tmp_path, capsys) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    write(folder / "one.npz", body())
    write(folder / "two.pt", {"a": tensors(body()), "b": tensors(body())})
    (folder / "bad.npz").write_bytes(b"nothing")
    records = [{"id": name, "captions": ["a person walks."]} for name in ("one", "two#a", "two#b")]
    (folder / "captions.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    command = ["--source", "smpl", "--data_dir", str(folder), "--output", str(tmp_path / "d"), "--annotator", "none"]
    assert build.main([*command, "--quiet"]) == 0
    rows = [row for split in load_motion_dataset(tmp_path / "d").values() for row in split]
    assert {row["id"] for row in rows} == {"one", "two#a", "two#b"} and rows[0]["source"] == "smpl"
    told = capsys.readouterr().out
    assert "bad" in told and "average skeleton" in told


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"poses": np.zeros((0, 72)), "trans": np.zeros((0, 3))}, "0 frames"),
        ({"poses": np.zeros((30, 72))}, "91 positions for 30 poses"),
        ({"poses": np.full((FRAMES, 72), np.nan)}, "NaN"),
        ({"poses": np.full((FRAMES, 72), 90.0)}, "degrees"),
        ({"trans": np.arange(3.0 * FRAMES).reshape(-1, 3) * 100}, "metres"),
        ({"mocap_framerate": np.array(0.0)}, "frames per second must be 5 to 1000, got 0"),
        ({"poses": np.zeros((FRAMES, 63))}, "63 pose columns"),
        ({"trans": np.array([{}], dtype=object)}, "pickled array"),
        ({"poses": None}, "no SMPL parameters"),
    ],
)
def test_what_is_no_motion_is_refused(tmp_path, change: dict, message: str) -> None:
    arrays = {key: value for key, value in {**body(), **change}.items() if value is not None}
    write(tmp_path / "a.npz", arrays)
    with pytest.raises(ValueError, match=message):
        smpl.to_joints(smpl.read_smpl(tmp_path / "a.npz")[0])


def test_a_pt_file_that_could_run_code_is_refused(tmp_path) -> None:
    torch.save({"poses": smpl.SmplMotion("", np.zeros((2, 66)))}, tmp_path / "a.pt")
    with pytest.raises(ValueError, match="more than tensors"):
        smpl.read_smpl(tmp_path / "a.pt")


def test_slerp_keeps_the_angle_between_frames() -> None:
    poses = np.zeros((2, 66))
    poses[1, 3 * HUMANML3D.joint_names.index("left_knee")] = 2.0
    turned, trans = smpl.sample(smpl.SmplMotion("", poses, np.array([[0.0, 0, 0], [1, 0, 0]])), np.array([0.25]))
    assert turned[0].max() == pytest.approx(0.5) and trans[0, 0] == pytest.approx(0.25)
