"""Skeleton formats: what is written is read back within 1 mm and 0.1 degree, by readers of their own."""

import json
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from bvh_reader import read_bvh
from hypothesis import given, settings
from hypothesis import strategies as st
from motions import rigid_body
from test_export_unimo import matched

from modeling_unimo.blender_unimo import BlenderError, blender_words, run_blender
from modeling_unimo.export_unimo import RIGID_SUFFIXES, save_motion
from modeling_unimo.figure_unimo import skinned_figure
from modeling_unimo.joint_names_unimo import JOINT_NAMES
from modeling_unimo.rigid_motion_unimo import fit_rigid_motion, slerp
from modeling_unimo.rotations_unimo import quaternion_multiply, quaternion_rotate
from modeling_unimo.skeletons_unimo import HUMANML3D, KIT
from modeling_unimo.smpl_parameters_unimo import rotation_vectors
from modeling_unimo.smpl_unimo import joints_from_smpl

TYPES = {5126: np.float32, 5123: np.uint16, 5121: np.uint8}
WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class Glb:
    """A GLB file taken apart by the specification, without the library that wrote it."""

    def __init__(self, path: Path):
        data = path.read_bytes()
        assert data[:4] == b"glTF" and struct.unpack("<II", data[4:12]) == (2, len(data))
        length = struct.unpack("<I", data[12:16])[0]
        self.json = json.loads(data[20 : 20 + length])
        self.binary = data[28 + length :]

    def array(self, index: int) -> np.ndarray:
        accessor = self.json["accessors"][index]
        view = self.json["bufferViews"][accessor["bufferView"]]
        width = WIDTHS[accessor["type"]]
        start = view.get("byteOffset", 0)
        flat = np.frombuffer(self.binary, TYPES[accessor["componentType"]], accessor["count"] * width, start)
        return flat.reshape(-1, width)

    def pose(self) -> tuple[np.ndarray, list[str], np.ndarray, np.ndarray]:
        """Times (T,), names, and the skin's joints in the world: rotations (T, J, 4) and positions (T, J, 3)."""
        animation = self.json["animations"][0]
        times = self.array(animation["samplers"][0]["input"])[:, 0]
        tracks = {
            (channel["target"]["node"], channel["target"]["path"]): self.array(
                animation["samplers"][channel["sampler"]]["output"]
            ).astype(np.float64)
            for channel in animation["channels"]
        }
        nodes, order = self.json["nodes"], self.json["skins"][0]["joints"]
        parents = {child: node for node, item in enumerate(nodes) for child in item.get("children", [])}
        rotations, positions = np.zeros((len(times), len(order), 4)), np.zeros((len(times), len(order), 3))
        for place, node in sorted(enumerate(order), key=lambda item: self._depth(item[1], parents)):
            local = np.tile((0.0, 0, 0, 1), (len(times), 1))
            local = tracks.get((node, "rotation"), local)[:, [3, 0, 1, 2]]
            offset = np.tile(nodes[node].get("translation", (0.0, 0, 0)), (len(times), 1))
            offset = tracks.get((node, "translation"), offset)
            if node in parents:
                above = order.index(parents[node])
                offset = positions[:, above] + quaternion_rotate(rotations[:, above], offset)
                local = quaternion_multiply(rotations[:, above], local)
            rotations[:, place], positions[:, place] = local, offset
        return times, [nodes[node]["name"] for node in order], rotations, positions

    def _depth(self, node: int, parents: dict[int, int]) -> int:
        return 1 + self._depth(parents[node], parents) if node in parents else 0


def degrees(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    cosine = np.abs((one * other).sum(-1)).clip(max=1.0)
    return np.degrees(2 * np.arccos(cosine))


# ---------------------------------------------------------------------------------------------------------------- GLB
@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 1000),
    frames=st.integers(1, 40),
    sway=st.floats(0.0, 1.2),
    names=st.sampled_from(list(JOINT_NAMES)),
)
def test_glb_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, seed: int, frames: int, sway: float, names: str
) -> None:
    pytest.importorskip("pygltflib")
    joints = rigid_body(seed, max(frames, 2), sway)[:frames]
    path = save_motion(tmp_path_factory.mktemp("glb") / "clip.glb", joints, fps=25, names=names)
    times, found, rotations, positions = Glb(path).pose()
    assert tuple(found) == JOINT_NAMES[names]
    np.testing.assert_allclose(times, np.arange(frames) / 25, atol=1e-6)
    assert np.linalg.norm(positions - joints, axis=-1).max() < 1e-3
    assert degrees(rotations, fit_rigid_motion(joints).world()[0]).max() < 0.1


def test_glb_holds_the_words_and_a_figure_of_three_colours(tmp_path: Path) -> None:
    pytest.importorskip("pygltflib")
    joints = rigid_body(1, 20, 0.3)
    glb = Glb(save_motion(tmp_path / "clip.glb", joints, text="a <b> person 👋", thought="an arm", fps=20))
    assert glb.json["scenes"][0]["extras"] == {"text": "a <b> person 👋", "thought": "an arm", "fps": 20}
    primitives = glb.json["meshes"][0]["primitives"]
    assert len(primitives) == 3 and len(glb.json["materials"]) == 3
    attributes = {name: glb.array(index) for name, index in primitives[0]["attributes"].items()}
    for primitive in primitives:
        assert glb.array(primitive["indices"]).max() < len(attributes["POSITION"])
    np.testing.assert_allclose(attributes["WEIGHTS_0"].sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(attributes["NORMAL"], axis=1), 1, atol=1e-6)
    # Each joint's bind matrix takes its rest place to the origin: the mesh rests where the skeleton does.
    bind = glb.array(glb.json["skins"][0]["inverseBindMatrices"]).reshape(-1, 4, 4).swapaxes(1, 2)
    rest = skinned_figure(fit_rigid_motion(joints)).rest_joints
    np.testing.assert_allclose(np.einsum("jab,jb->ja", bind, np.c_[rest, np.ones(22)])[:, :3], 0, atol=1e-5)


@pytest.mark.parametrize("skeleton", [HUMANML3D, KIT], ids=lambda skeleton: skeleton.name)
def test_the_figure_is_closed_and_faces_outwards(skeleton) -> None:
    joints = rigid_body(2, 10, 0.2)
    if skeleton is KIT:
        from motions import moving_body

        joints = moving_body(5, 10, skeleton=KIT, offsets=KIT.raw_offsets * 200.0, sway=0.1)
    figure = skinned_figure(fit_rigid_motion(joints))
    triangles = np.concatenate(figure.triangles)
    edges = np.concatenate([triangles[:, pair] for pair in ([0, 1], [1, 2], [2, 0])])
    assert {tuple(edge) for edge in edges} == {tuple(edge) for edge in edges[:, ::-1]}
    corners = figure.points[triangles]
    outwards = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert ((outwards * figure.normals[triangles].sum(1)).sum(-1) > 0).all()
    assert -1e-9 < figure.points[:, 1].min() < 0.01 and figure.joints.max() < skeleton.num_joints


@pytest.mark.slow
def test_fbx_is_read_by_blender_where_the_glb_is(tmp_path: Path) -> None:
    pytest.importorskip("pygltflib")
    try:
        words = blender_words()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    joints = rigid_body(3, 12, 0.4)
    save_motion(tmp_path / "clip.fbx", joints, fps=30)
    script = tmp_path / "read.py"
    script.write_text(
        "import bpy, json, sys\n"
        "bpy.ops.wm.read_factory_settings(use_empty=True)\n"
        "bpy.context.scene.render.fps = 30\n"
        "bpy.ops.import_scene.fbx(filepath=sys.argv[-1])\n"
        "arm = next(o for o in bpy.data.objects if o.type == 'ARMATURE')\n"
        "first, last = map(round, arm.animation_data.action.frame_range)\n"
        "poses = []\n"
        "for frame in range(first, last + 1):\n"
        "    bpy.context.scene.frame_set(frame)\n"
        "    poses.append({b.name: list(arm.matrix_world @ b.head) for b in arm.pose.bones})\n"
        "print('POSES', json.dumps(poses))\n",
        encoding="utf-8",
    )
    done = run_blender([*words, "--python", str(script), "--", str(tmp_path / "clip.fbx")], 120)
    line = next(line for line in done.stdout.decode().splitlines() if line.startswith("POSES"))
    poses = json.loads(line.removeprefix("POSES"))
    read = np.array([[pose[name] for name in HUMANML3D.joint_names] for pose in poses])
    read = np.stack((read[..., 0], read[..., 2], -read[..., 1]), -1)  # Blender's Z up
    assert np.linalg.norm(read - joints, axis=-1).max() < 1e-3


def test_fbx_without_blender_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pygltflib")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="apt-get install blender"):
        save_motion(tmp_path / "clip.fbx", rigid_body(0, 5, 0.3))
    assert not list(tmp_path.iterdir())


def test_fbx_of_a_blender_that_fails_shows_what_it_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pygltflib")
    blender = tmp_path / "blender"
    blender.write_text("#!/bin/sh\necho no module named numpy\nexit 3\n", encoding="utf-8")
    blender.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(BlenderError, match="status 3 and has not written FBX. It printed:\nno module named numpy"):
        save_motion(tmp_path / "clip.fbx", rigid_body(0, 5, 0.3))
    assert [path.name for path in tmp_path.iterdir()] == ["blender"]


# ---------------------------------------------------------------------------------------------------------------- USD
@pytest.mark.parametrize("suffix", [".usd", ".usda"])
def test_usd_is_read_back(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("pxr")
    from pxr import Usd, UsdGeom, UsdSkel

    joints = rigid_body(4, 15, 0.5)
    path = save_motion(tmp_path / f"clip{suffix}", joints, fps=30, names="mixamo", text="a person")
    stage = Usd.Stage.Open(str(path))
    assert UsdGeom.GetStageUpAxis(stage) == "Y" and UsdGeom.GetStageMetersPerUnit(stage) == 1
    assert stage.GetTimeCodesPerSecond() == 30 and stage.GetEndTimeCode() == 14
    assert stage.GetDefaultPrim().GetCustomData()["unimo"]["text"] == "a person"
    cache, skeleton = UsdSkel.Cache(), UsdSkel.Skeleton(stage.GetPrimAtPath("/motion/skeleton"))
    cache.Populate(UsdSkel.Root(stage.GetDefaultPrim()), Usd.PrimDefaultPredicate)
    query = cache.GetSkelQuery(skeleton)
    names = [joint.rpartition("/")[2] for joint in query.GetJointOrder()]
    assert names == [name.replace(":", "_") for name in JOINT_NAMES["mixamo"]]
    for frame in range(15):
        places = [matrix.ExtractTranslation() for matrix in query.ComputeJointSkelTransforms(frame)]
        assert np.linalg.norm(np.array(places) - joints[frame], axis=-1).max() < 1e-3
    skinning = cache.GetSkinningQuery(stage.GetPrimAtPath("/motion/body"))
    assert skinning.IsRigidlyDeformed() is False and skinning.GetNumInfluencesPerComponent() == 4


def test_usd_complies(tmp_path: Path) -> None:
    UsdValidation = pytest.importorskip("pxr.UsdValidation", reason="older usd-core packages have no validators")
    from pxr import Usd

    path = save_motion(tmp_path / "clip.usda", rigid_body(5, 5, 0.5))
    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    assert validators
    errors = UsdValidation.ValidationContext(validators).Validate(Usd.Stage.Open(str(path)))
    assert [error.GetErrorAsString() for error in errors] == []


# ---------------------------------------------------------------------------------------------------------- SMPL, CSV
@pytest.mark.parametrize("seed", range(3))
def test_smpl_parameters_are_read_back(tmp_path: Path, seed: int) -> None:
    """A body of the average skeleton comes back in place, one of other proportions near its limbs."""
    random = np.random.default_rng(seed)
    poses = random.normal(0, 0.3, (20, 66))
    trans = np.cumsum(random.normal(0, 0.02, (20, 3)), 0)
    z_up = joints_from_smpl(poses, trans)
    joints = np.stack((z_up[..., 0], z_up[..., 2], -z_up[..., 1]), -1)
    with np.load(save_motion(tmp_path / "clip.smpl.npz", joints, fps=30), allow_pickle=False) as archive:
        stored = dict(archive)
    assert stored["poses"].shape == (20, 156) and not stored["poses"][:, 66:].any()
    assert stored["mocap_framerate"] == 30 and not stored["betas"].any() and str(stored["gender"]) == "neutral"
    read = joints_from_smpl(stored["poses"], stored["trans"], stored["betas"])
    assert np.linalg.norm(read - z_up, axis=-1).max() < 1e-3

    other = rigid_body(seed, 20, 0.3)
    with np.load(save_motion(tmp_path / "other.smpl.npz", other), allow_pickle=False) as archive:
        read = joints_from_smpl(archive["poses"], archive["trans"])
    read = np.stack((read[..., 0], read[..., 2], -read[..., 1]), -1)
    np.testing.assert_allclose(read[:, 0], other[:, 0], atol=1e-6)
    for parent, joint in ((1, 4), (4, 7), (2, 5), (5, 8), (16, 18), (18, 20), (17, 19), (19, 21)):
        ours, theirs = (m[:, joint] - m[:, parent] for m in (read, other))
        cosine = (ours * theirs).sum(-1) / np.linalg.norm(ours, axis=-1) / np.linalg.norm(theirs, axis=-1)
        # The limb is aimed at where its end is, from where the average body's joint lies.
        assert np.degrees(np.arccos(cosine.clip(-1, 1))).max() < 30


def test_rotation_vectors_turn_at_most_half_a_turn() -> None:
    angle = np.array([0.0, 1e-9, 1.0, 3.0, 4.0])
    quaternions = np.stack((np.cos(angle / 2), np.sin(angle / 2), 0 * angle, 0 * angle), -1)
    expected = np.where(angle > np.pi, angle - 2 * np.pi, angle)
    np.testing.assert_allclose(rotation_vectors(quaternions)[:, 0], expected, atol=1e-12)


def test_csv_is_a_table_of_positions(tmp_path: Path) -> None:
    joints = rigid_body(6, 9, 0.3)
    path = save_motion(tmp_path / "clip.csv", joints, fps=20)
    header = path.read_text(encoding="utf-8").splitlines()[0].split(",")
    table = np.loadtxt(path, delimiter=",", skiprows=1)
    assert header[:4] == ["time", "pelvis_x", "pelvis_y", "pelvis_z"] and header[-1] == "right_wrist_z"
    np.testing.assert_allclose(table[:, 0], np.arange(9) / 20)
    np.testing.assert_allclose(table[:, 1:].reshape(9, 22, 3), joints, atol=1e-6)


# ------------------------------------------------------------------------------------------------------------- options
@pytest.mark.parametrize("names", JOINT_NAMES)
@pytest.mark.parametrize(("unit", "scale"), [("m", 1), ("cm", 100)])
def test_bvh_names_and_units(tmp_path: Path, names: str, unit: str, scale: float) -> None:
    from datasets_scripts.sources.bvh import read_bvh as read_any
    from datasets_scripts.sources.bvh import to_joints

    joints = rigid_body(7, 40, 0.2)
    path = save_motion(tmp_path / "clip.bvh", joints, names=names, unit=unit)
    found, positions, _, _ = read_bvh(path)
    assert set(JOINT_NAMES[names]) <= set(found)
    assert (
        np.abs(positions[:, [found.index(name) for name in JOINT_NAMES[names]]] - joints * scale).max() < 1e-3 * scale
    )
    read = to_joints(read_any(path), up="y").joints
    assert np.linalg.norm(read / scale - joints, axis=-1).max() < 1e-3


@pytest.mark.parametrize("output_fps", [20, 30, 59.94, 120])
def test_bvh_at_another_rate_passes_through_the_same_poses(tmp_path: Path, output_fps: float) -> None:
    joints = rigid_body(8, 41, 0.4)
    path = save_motion(tmp_path / "clip.bvh", joints, fps=20, output_fps=output_fps)
    names, positions, values, frame_time = read_bvh(path)
    assert frame_time == pytest.approx(1 / output_fps, abs=1e-8) and len(values) == int(2 * output_fps + 1e-6) + 1
    if output_fps in (20, 120):
        step = int(output_fps / 20)
        assert np.linalg.norm(matched(names, positions)[::step] - joints, axis=-1).max() < 1e-3


def test_slerp_goes_the_short_way_at_even_speed() -> None:
    angle = np.radians([0.0, 30.0, 60.0, 90.0])
    turns = np.stack((np.cos(angle / 2), 0 * angle, np.sin(angle / 2), 0 * angle), -1)
    for end in (turns[3], -turns[3]):
        between = slerp(np.tile(turns[0], (4, 1)), np.tile(end, (4, 1)), np.array([0, 1 / 3, 2 / 3, 1]))
        assert degrees(between, turns).max() < 1e-5
    assert degrees(slerp(turns, turns, np.full(4, 0.3)), turns).max() < 1e-5


def test_options_where_they_do_not_apply(tmp_path: Path) -> None:
    joints = rigid_body(0, 10, 0.3)
    kit = np.random.default_rng(0).normal(size=(10, 21, 3)) * 1000
    cases = [
        ("x.csv", joints, {"output_fps": 30}, "output_fps applies to .bvh, .glb.*not to .csv"),
        ("x.npz", joints, {"names": "vrm"}, "names applies to .*not to .npz"),
        ("x.glb", joints, {"unit": "cm"}, "unit applies to .bvh, not to .glb"),
        ("x.bvh", joints, {"unit": "inch"}, "unit must be one of m, cm, got 'inch'"),
        ("x.bvh", joints, {"names": "daz"}, "names must be one of smpl, mixamo, unreal, vrm, got 'daz'"),
        ("x.bvh", joints, {"output_fps": 10}, r"output_fps must be in \[20, 120\], got 10"),
        ("x.bvh", joints, {"output_fps": float("nan")}, "output_fps must be in"),
        ("x.bvh", kit, {"names": "vrm"}, "names='vrm' is defined for 22 joints"),
        ("x.smpl.npz", kit, {}, "SMPL parameters need HumanML3D's 22 joints, got 21"),
        ("x.glb", joints[:0], {}, "x.glb: the motion has no frames"),
    ]
    for name, motion, options, message in cases:
        with pytest.raises(ValueError, match=message):
            save_motion(tmp_path / name, motion, **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("suffix", "module", "extra"),
    [(".glb", "pygltflib", "gltf"), (".fbx", "pygltflib", "gltf"), (".usd", "pxr", "usd")],
)
def test_a_missing_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, module: str, extra: str
) -> None:
    assert suffix in RIGID_SUFFIXES
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"pip install 'unimo\[{extra}\]'"):
        save_motion(tmp_path / f"clip{suffix}", rigid_body(0, 5, 0.3))
    assert not list(tmp_path.iterdir())


def test_pictures(tmp_path: Path) -> None:
    joints = rigid_body(9, 6, 0.3)
    assert save_motion(tmp_path / "clip.png", joints).read_bytes().startswith(b"\x89PNG")
    pytest.importorskip("PIL")
    assert save_motion(tmp_path / "clip.gif", joints).read_bytes().startswith(b"GIF89a")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.gif", "clip.png"]
