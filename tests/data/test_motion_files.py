"""Motion files of every kind read as joints in metres, and `unimo convert-motion` from one to another."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from character_rigs import character, glb_bytes, glb_document
from motion_files import bvh_text, joints

from benchmarks.amass_files import recording
from datasets_scripts.locks import locked_output
from datasets_scripts.sources.clips import resample
from modeling_unimo.export_unimo import save_motion
from modeling_unimo.generate import parse_arguments, read_motion
from modeling_unimo.inputs_unimo import load_motion
from modeling_unimo.joint_names_unimo import JOINT_NAMES
from modeling_unimo.motion_representation import features_to_joints, joints_to_features
from modeling_unimo.skeletons_unimo import HUMANML3D, KIT
from unimo.convert_motion import main
from unimo.motion_files import read_motion_argument, read_motion_file


@pytest.mark.parametrize(
    "suffix",
    [".npz", ".bvh", ".glb", ".usd", ".usda", ".csv", ".smpl.npz", pytest.param(".fbx", marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("fps", [20, 30])
def test_what_is_written_is_read_back(tmp_path: Path, suffix: str, fps: float) -> None:
    if suffix == ".smpl.npz" and fps != 20:
        pytest.skip("SMPL parameters become joints at 20 fps")
    if suffix in (".glb", ".fbx"):
        pytest.importorskip("pygltflib")
    if suffix in (".usd", ".usda"):
        pytest.importorskip("pxr")
    if suffix == ".fbx" and shutil.which("blender") is None:
        pytest.skip("FBX files need Blender")
    clip = joints(60, fps)
    motion = read_motion_file(save_motion(tmp_path / f"clip{suffix}", clip, fps=fps))
    assert motion.fps == pytest.approx(fps, rel=1e-6) and motion.joints.shape == clip.shape
    if suffix == ".smpl.npz":  # the average body's proportions: its root and how its thighs point
        assert np.abs(motion.joints[:, 0] - clip[:, 0]).max() < 1e-3
        return
    assert np.linalg.norm(motion.joints - clip, axis=-1).max() < 1e-3
    assert bone_degrees(motion.joints, clip) < 0.1


def bone_degrees(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Largest angle between the bones of two motions (T, 22, 3)."""
    parents = list(HUMANML3D.parents)
    one, other = ((clip - clip[:, parents])[:, 1:] for clip in (ours, theirs))
    sine = np.linalg.norm(np.cross(one, other), axis=-1)
    return float(np.degrees(np.arctan2(sine, (one * other).sum(-1))).max())


@pytest.mark.parametrize("seed", range(4))
def test_any_rigid_motion_is_read_back_from_usd(tmp_path: Path, seed: int) -> None:
    """Bodies of any proportions in any pose, under any scheme of names, at any rate."""
    pytest.importorskip("pxr")
    from motions import rigid_body

    names, fps = list(JOINT_NAMES)[seed], (20, 24, 29.97, 60)[seed]
    clip = rigid_body(seed, 25, 0.3)
    clip[..., 1] += 2.0
    motion = read_motion_file(save_motion(tmp_path / "clip.usd", clip, fps=fps, names=names), up="y")
    assert motion.fps == pytest.approx(fps)
    assert np.linalg.norm(motion.joints - clip, axis=-1).max() < 1e-3 and bone_degrees(motion.joints, clip) < 0.1


@pytest.mark.parametrize("suffix", [".usda", ".glb", ".csv"])
def test_describe_reads_what_convert_motion_reads(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip({".usda": "pxr", ".glb": "pygltflib", ".csv": "csv"}[suffix])
    clip = joints(60, 30)
    path = save_motion(tmp_path / f"clip{suffix}", clip, fps=30)
    features = read_motion(parse_arguments(["--describe", str(path)]), HUMANML3D.feature_dim, HUMANML3D.fps)
    expected = joints_to_features(resample(clip, 30, 20), target_offsets=HUMANML3D.default_offsets)
    assert features.dtype == np.float32 and np.abs(features - expected).max() < 1e-2


def test_usd_in_centimetres_and_z_up_under_a_moved_parent(tmp_path: Path) -> None:
    pytest.importorskip("pxr")
    from pxr import Gf, Usd, UsdGeom

    clip = joints(40, 30)
    path = save_motion(tmp_path / "clip.usda", clip, fps=30)
    stage = Usd.Stage.Open(str(path))
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.z)
    UsdGeom.SetStageMetersPerUnit(stage, 0.01)
    root = UsdGeom.Xformable(stage.GetDefaultPrim())
    root.AddTranslateOp().Set(Gf.Vec3d(300, 0, 0))
    root.AddRotateXOp().Set(90.0)
    root.AddScaleOp().Set(Gf.Vec3f(100, 100, 100))
    stage.GetRootLayer().Save()
    motion = read_motion_file(path)
    assert np.linalg.norm(motion.joints - clip - [3.0, 0, 0], axis=-1).max() < 1e-3
    assert any("Z up, metres" in note for note in motion.notes)


def test_features_and_words_are_kept(tmp_path: Path) -> None:
    features = joints_to_features(joints(41)).astype(np.float32)
    clip = features_to_joints(features)
    save_motion(tmp_path / "a.npz", clip, features, codes=[1, 2], text="a person 👋", thought="slowly")
    main([str(tmp_path / "a.npz"), str(tmp_path / "new" / "b.npz")])
    motion = read_motion_file(tmp_path / "new" / "b.npz")
    assert np.array_equal(motion.features, features) and np.array_equal(motion.joints, clip)
    assert motion.words == {"codes": [1, 2], "text": "a person 👋", "thought": "slowly"}
    np.save(tmp_path / "c.npy", features)
    assert np.allclose(read_motion_file(tmp_path / "c.npy").joints, clip, atol=1e-5)
    np.save(tmp_path / "d.npy", clip)
    assert np.array_equal(read_motion_file(tmp_path / "d.npy", fps=30).joints, clip)


def test_kit_stays_in_millimetres(tmp_path: Path) -> None:
    from motions import moving_body

    clip = moving_body(5, 30, skeleton=KIT, offsets=KIT.raw_offsets * 200.0, sway=0.1)
    motion = read_motion_file(save_motion(tmp_path / "kit.csv", clip, fps=12.5))
    assert motion.fps == pytest.approx(12.5) and np.abs(motion.joints - clip).max() < 1e-2


@pytest.mark.parametrize(
    ("scale", "axes", "signs"),
    [(100, (0, 1, 2), (1, 1, 1)), (1000, (0, 2, 1), (1, -1, 1)), (3.7, (0, 1, 2), (1, 1, 1))],
)
def test_bvh_of_other_units_and_axes_becomes_metres(tmp_path: Path, scale: float, axes, signs) -> None:
    (tmp_path / "clip.bvh").write_text(bvh_text(frames=60, scale=scale, axes=axes, signs=signs), encoding="utf-8")
    read = read_motion_file(tmp_path / "clip.bvh").joints
    expected = joints(60)
    leg = [np.linalg.norm(m[0, 1] - m[0, 4]) + np.linalg.norm(m[0, 4] - m[0, 7]) for m in (read, expected)]
    if scale == 3.7:  # no unit: HumanML3D's leg
        assert leg[0] == pytest.approx(0.8158, abs=1e-3)
    else:
        assert leg[0] == pytest.approx(leg[1], rel=1e-4)
        assert np.abs(read[:, :, 1] - expected[:, :, 1]).max() < 1e-3


def test_convert_with_names_unit_and_rate(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    save_motion(tmp_path / "a.npz", joints(61))
    main([str(tmp_path / "a.npz"), str(tmp_path / "b.bvh"), "--names", "mixamo", "--unit", "cm", "--output_fps", "60"])
    assert "wrote" in capsys.readouterr().out
    text = (tmp_path / "b.bvh").read_text(encoding="utf-8")
    assert "ROOT mixamorig:Hips" in text and "Frames: 181" in text
    back = read_motion_file(tmp_path / "b.bvh")
    assert back.fps == pytest.approx(60, rel=1e-6)
    assert np.linalg.norm(back.joints[::3] - joints(61), axis=-1).max() < 1e-3


def test_usd_without_one_moving_skeleton_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("pxr")
    from pxr import Sdf, Usd

    good = save_motion(tmp_path / "good.usda", joints(20))

    def changed(name: str, change) -> Path:
        layer = Sdf.Layer.CreateAnonymous(".usda")
        layer.TransferContent(Sdf.Layer.FindOrOpen(str(good)))
        stage = Usd.Stage.Open(layer)
        change(stage)
        layer.Export(str(tmp_path / name))
        return tmp_path / name

    def twice(stage) -> None:
        Sdf.CopySpec(stage.GetRootLayer(), "/motion", stage.GetRootLayer(), "/other")
        binding = stage.GetPrimAtPath("/other/skeleton").GetRelationship("skel:animationSource")
        binding.SetTargets(["/other/skeleton/animation"])

    cases = [
        (changed("none.usda", lambda stage: stage.RemovePrim("/motion/skeleton")), "holds no skeleton of 12 or more"),
        (
            changed("still.usda", lambda stage: stage.RemovePrim("/motion/skeleton/animation")),
            r"no animation in it moves the skeleton \(/motion/skeleton\)",
        ),
        (changed("two.usda", twice), r"holds 2 moving skeletons \(/motion/skeleton, /other/skeleton\)"),
    ]
    (tmp_path / "cut.usda").write_bytes(good.read_bytes()[:5000])
    cases.append((tmp_path / "cut.usda", "usd-core cannot read it"))
    for path, message in cases:
        with pytest.raises(ValueError, match=f"{path.name}: .*{message}"):
            read_motion_file(path)


def _without_frames(text: str) -> str:
    return text.replace("Frames: 5", "Frames: 0")[: text.index("Frame Time") + len("Frame Time: 0.0500000")] + "\n"


def test_bad_input_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    def written(name: str, content: bytes | str) -> Path:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path / name

    good = save_motion(tmp_path / "good.csv", joints(20)).read_text(encoding="utf-8").splitlines()
    short = "\n".join([*good[:3], good[3].rpartition(",")[0]])
    still, data = glb_document(character())
    del still["animations"]
    cases = [
        (tmp_path / "none.bvh", "no motion file at"),
        (tmp_path, "unknown suffix"),
        (written("a.obj", "v 0 0 0"), "unknown suffix; motions are read from .npy"),
        (written("script.bvh", "#!/bin/sh\nrm -rf /\n"), "script.bvh: is not a BVH file"),
        (written("zero.bvh", _without_frames(bvh_text(frames=5))), "zero.bvh: Frames is 0"),
        (written("a.glb", "glTF and much more than that"), "a.glb: glTF version"),
        (written("still.glb", glb_bytes(still, data)), "still.glb: no animation in it moves the skeleton"),
        (written("a.usd", "#!/bin/sh"), "a.usd: is not a USD file"),
        (written("text.fbx", "; FBX 7.7.0 project file"), "text.fbx: is not a binary FBX file"),
        (written("a.csv", "x,y\n1,2\n"), "a.csv: its first line must be time,pelvis_x"),
        (written("b.csv", ""), "b.csv: its first line must be"),
        (written("c.csv", good[0] + "\n"), "c.csv: a clip needs at least 2 frames"),
        (written("d.csv", short), "d.csv: row 4 has 66 values, the header 67"),
        (written("e.csv", "\n".join(good[:4]).replace("0.05", "nan", 1)), "e.csv: "),
        (written("f.csv", "\n".join([good[0], good[1], good[1]])), "f.csv: the times in its first column must rise"),
        (written("zip.npy", save_motion(tmp_path / "z.npz", joints(20)).read_bytes()), "zip.npy"),
    ]
    for path, message in cases:
        with pytest.raises(SystemExit, match=f"(?s)error: .*{message}"):
            main([str(path), str(tmp_path / "out" / "x.npz")])
    with pytest.raises(SystemExit, match="use one of .npy, .npz"):
        main([str(tmp_path / "good.csv"), str(tmp_path / "out" / "x.obj")])
    assert not (tmp_path / "out").exists()


TURNS = {
    "Z up": ([[1, 0, 0], [0, 0, -1], [0, 1, 0]], 1),
    "Y down": ([[1, 0, 0], [0, -1, 0], [0, 0, -1]], 1),
    "left-handed": ([[-1, 0, 0], [0, 1, 0], [0, 0, 1]], 1),
    "whole millimetres": (np.eye(3), 1000),
}


@pytest.mark.parametrize("case", TURNS)
def test_joints_of_any_axes_and_unit_become_metres(tmp_path: Path, case: str, capsys: pytest.CaptureFixture) -> None:
    turn, scale = TURNS[case]
    clip = joints(60)
    turned = clip @ np.array(turn).T * scale
    np.save(tmp_path / "a.npy", turned if scale == 1 else turned.round().astype(np.int32))
    motion = read_motion_file(tmp_path / "a.npy")
    assert np.abs(motion.joints - clip).max() < 1e-3
    assert motion.notes[0] == "no frame rate in the file: taken as 20 fps" and "up" in motion.notes[1]
    np.savez(tmp_path / "b.npz", joints=turned, fps=20)
    assert np.abs(read_motion_file(tmp_path / "b.npz").joints - clip).max() < 1e-3
    described = read_motion(parse_arguments(["--describe", str(tmp_path / "b.npz")]), 263, 20.0)
    assert np.abs(described - joints_to_features(clip, target_offsets=HUMANML3D.default_offsets)).max() < 1e-2
    assert "b.npz: " in capsys.readouterr().err


def test_what_is_no_body_is_told_by_every_command_and_not_described(tmp_path: Path) -> None:
    clip = joints(60)
    np.save(tmp_path / "order.npy", clip[:, ::-1])
    features = joints_to_features(clip).astype(np.float32)
    np.save(tmp_path / "normalised.npy", (features - features.mean(0)) / (features.std(0) + 0.001))
    save_motion(tmp_path / "centimetres.csv", clip * 100)
    for name in ("order.npy", "normalised.npy", "centimetres.csv"):
        motion = read_motion_file(tmp_path / name)
        assert any(note.startswith("no body of a person: ") for note in motion.notes), name
    with pytest.raises(ValueError, match="order.npy: no body of a person"):
        read_motion(parse_arguments(["--describe", str(tmp_path / "order.npy")]), 263, 20.0)


def test_people_and_rate_of_smpl_parameters_are_told_and_taken(tmp_path: Path) -> None:
    import torch

    arrays = {key: torch.from_numpy(recording(60, fps=30.0)[key]) for key in ("poses", "trans")}
    arrays["fps"] = torch.tensor(30.0)
    torch.save({"one": arrays, "two": arrays}, tmp_path / "people.pt")
    torch.save(arrays, tmp_path / "one.pt")
    assert any("2 people in the file" in note for note in read_motion_file(tmp_path / "people.pt").notes)
    assert len(read_motion_file(tmp_path / "one.pt").joints) == 40
    assert len(read_motion_file(tmp_path / "one.pt", fps=60).joints) == 20


IDLE = [
    ("a.npy", ["--joint_map", "map.json"], "joint_map can have no effect: the file holds joint positions"),
    ("a.npy", ["--body_model", "none.npz"], "body_model can have no effect: the file holds joint positions"),
    ("f.npy", ["--up", "z"], "up can have no effect: the file holds features"),
    ("a.csv", ["--up", "z"], "up can have no effect: the file holds a table of joints"),
    ("a.bvh", ["--body_model", "none.npz"], "body_model can have no effect: the file holds a rig"),
    ("text.npz", [], "fps must be one number, got <U4 of shape .*; give the rate with --fps"),
    ("zero.npz", [], "frames per second must be 5 to 1000, got 0; give the rate with --fps"),
]


@pytest.mark.parametrize(("name", "options", "message"), IDLE)
def test_options_and_rates_without_effect_are_refused(tmp_path: Path, name: str, options: list, message: str) -> None:
    clip = joints(20)
    np.save(tmp_path / "a.npy", clip)
    save_motion(tmp_path / "f.npy", clip)
    save_motion(tmp_path / "a.csv", clip)
    save_motion(tmp_path / "a.bvh", clip)
    np.savez(tmp_path / "text.npz", joints=clip, fps="fast")
    np.savez(tmp_path / "zero.npz", joints=clip, fps=0)
    (tmp_path / "map.json").write_text("{}", encoding="utf-8")
    options = [str(tmp_path / word) if word.endswith(".json") else word for word in options]
    with pytest.raises(SystemExit, match=f"{name}: {message}"):
        main([str(tmp_path / name), str(tmp_path / "out.csv"), *options])
    assert not (tmp_path / "out.csv").exists()
    if not options:
        main([str(tmp_path / name), str(tmp_path / "out.csv"), "--fps", "30"])


def test_archives_that_are_damaged_or_named_as_arrays_are_refused(tmp_path: Path) -> None:
    save_motion(tmp_path / "whole.npz", joints(20))
    (tmp_path / "array.npy").write_bytes((tmp_path / "whole.npz").read_bytes())
    with pytest.raises(ValueError, match="array.npy cannot be read: it is an archive of arrays; end"):
        read_motion_file(tmp_path / "array.npy")
    for key in ("fps", "text"):
        with zipfile.ZipFile(tmp_path / "whole.npz") as whole, zipfile.ZipFile(tmp_path / "odd.npz", "w") as odd:
            odd.writestr("features.npy", whole.read("features.npy"))
            odd.writestr(f"{key}.npy", b"garbage")
        with pytest.raises(ValueError, match=f"odd.npz: {key} cannot be read"):
            read_motion_file(tmp_path / "odd.npz")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("number", "kind"), [(3e38, np.float32), (1e300, np.float64)])
def test_features_beyond_any_body_are_refused_before_they_become_joints(
    tmp_path: Path, number: float, kind: type
) -> None:
    features = np.zeros((30, 263), kind)
    features[4:, 0] = number
    np.save(tmp_path / "far.npy", features)
    with pytest.raises(ValueError, match=r"far.npy: coordinates beyond 1e7, first in frame 4"):
        read_motion_file(tmp_path / "far.npy")


def test_advice_names_a_command_that_takes_it(tmp_path: Path) -> None:
    path = tmp_path / "rate.bvh"
    path.write_text(bvh_text(frames=20).replace("Frame Time: 0.0500000", "Frame Time: 50"), encoding="utf-8")
    for read in (load_motion, lambda path: read_motion_argument(path, has_options=False)):
        with pytest.raises(ValueError, match="give the rate with --fps of `unimo convert-motion`"):
            read(path)
    main([str(path), str(tmp_path / "out.bvh"), "--fps", "20"])
    assert load_motion(tmp_path / "out.bvh").shape == (19, 263)


def test_a_file_that_another_process_writes_is_refused(tmp_path: Path) -> None:
    save_motion(tmp_path / "a.npz", joints(20))
    with (
        locked_output(tmp_path / "b.bvh"),
        pytest.raises(SystemExit, match=f"error: another process works in {tmp_path / 'b.bvh'}"),
    ):
        main([str(tmp_path / "a.npz"), str(tmp_path / "b.bvh")])
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]
