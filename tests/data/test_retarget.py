"""Retargeting: bones point where the body's do, feet stand still, and the character's file stays what it was."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from bvh_reader import read_bvh
from character_rigs import animated_nodes, bvh_rig, character, glb_bytes, glb_document, read_glb
from motion_files import NAMES, joints
from scipy.spatial.transform import Rotation

from modeling_unimo.export_unimo import save_motion
from modeling_unimo.joint_names_unimo import JOINT_NAMES
from unimo.retarget import main, retarget_file

BONES = [
    (f"{side}_{one}", f"{side}_{other}")
    for side in ("left", "right")
    for one, other in (
        ("hip", "knee"),
        ("knee", "ankle"),
        ("ankle", "foot"),
        ("shoulder", "elbow"),
        ("elbow", "wrist"),
    )
] + [("neck", "head"), ("left_collar", "left_shoulder")]
Z_UP = Rotation.from_euler("x", 90, degrees=True)


def moving(frames: int = 60, seed: int = 0) -> np.ndarray:
    """A body that walks with swinging limbs, bends and waves."""
    from scipy.spatial.transform import Rotation as R

    random = np.random.default_rng(seed)
    clip = joints(frames)
    wave = np.sin(np.arange(frames) / 20 * 2 * np.pi * 0.5)
    bend = R.from_rotvec(np.outer(wave * 0.4, random.normal(size=3) * [1, 0.3, 0.3]))
    upper = [NAMES.index(name) for name in NAMES if not any(part in name for part in ("hip", "knee", "ankle", "foot"))]
    for joint in upper[1:]:
        clip[:, joint] = clip[:, 0] + bend.apply(clip[:, joint] - clip[:, 0])
    return clip


def angles(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Largest angle in degrees of each bone between two sets of joints (T, 22, 3)."""
    found = []
    for one, other in BONES:
        a, b = (m[:, NAMES.index(other)] - m[:, NAMES.index(one)] for m in (ours, theirs))
        sine, cosine = np.linalg.norm(np.cross(a, b), axis=-1), (a * b).sum(-1)
        found.append(np.degrees(np.arctan2(sine, cosine)).max())
    return np.array(found)


def on_rig(names: list[str], positions: np.ndarray, scheme: str = "mixamo") -> np.ndarray:
    return positions[:, [names.index(name) for name in JOINT_NAMES[scheme]]]


RIGS = {
    "T-pose": character(),
    "A-pose": character(arms=45),
    "arms down": character(arms=5),
    "long legs": character(arms=60, legs=1.4, trunk=0.8),
    "short legs": character(legs=0.6, trunk=1.3),
    "twist joints": character(arms=50, twists=True),
}


@pytest.mark.parametrize("rig", RIGS)
@pytest.mark.parametrize(("unit", "seed"), [(1.0, None), (0.01, 1), (1.0, 2)])
def test_bones_of_a_glb_point_where_the_bodys_do(tmp_path: Path, rig: str, unit: float, seed: int | None) -> None:
    (tmp_path / "rig.glb").write_bytes(glb_bytes(*glb_document(RIGS[rig], unit, seed)))
    clip = moving()
    report = retarget_file(clip, tmp_path / "rig.glb", tmp_path / "out.glb", foot_lock=False)
    read = on_rig(*animated_nodes(tmp_path / "out.glb", "motion"))
    assert angles(read, clip).max() < 0.1 and report.bone_degrees[0] < 0.1
    held = retarget_file(clip, tmp_path / "rig.glb", tmp_path / "held.glb")
    assert held.slide_after < 0.01 and held.bone_degrees[0] < 2
    # Bones keep the rig's own lengths, and the root goes as far as its legs carry it.
    body = RIGS[rig]
    index = [body.names.index(name) for name in JOINT_NAMES["mixamo"]]
    for one, other in BONES:
        a, b = NAMES.index(one), NAMES.index(other)
        expected = np.linalg.norm(body.joints[index[a]] - body.joints[index[b]])
        assert np.abs(np.linalg.norm(read[:, a] - read[:, b], axis=-1) - expected).max() < 1e-4
    legs = [np.linalg.norm(m[1] - m[4]) + np.linalg.norm(m[4] - m[7]) for m in (body.joints[index], clip[0])]
    ways = [np.linalg.norm(m[-1, 0] - m[0, 0]) for m in (read, clip)]
    assert ways[0] / ways[1] == pytest.approx(legs[0] / legs[1], rel=1e-3)


@pytest.mark.parametrize("rig", RIGS)
@pytest.mark.parametrize(("scale", "turn", "order"), [(1, None, "ZXY"), (100, Z_UP, "XYZ"), (39.37, None, "YZX")])
def test_bones_of_a_bvh_point_where_the_bodys_do(tmp_path: Path, rig: str, scale: float, turn, order: str) -> None:
    (tmp_path / "rig.bvh").write_text(bvh_rig(RIGS[rig], scale, turn, order), encoding="utf-8")
    clip = moving()
    retarget_file(clip, tmp_path / "rig.bvh", tmp_path / "out.bvh", foot_lock=False)
    names, positions, _, _ = read_bvh(tmp_path / "out.bvh")
    if turn is not None:
        positions = turn.inv().apply(positions.reshape(-1, 3)).reshape(positions.shape)
    assert angles(on_rig(names, positions), clip).max() < 0.1
    head = (tmp_path / "rig.bvh").read_text(encoding="utf-8").partition("MOTION")[0]
    assert (tmp_path / "out.bvh").read_text(encoding="utf-8").startswith(head)


def test_a_sliding_foot_is_held_and_the_report_says_so(tmp_path: Path) -> None:
    """A body that glides along without a step: its standing feet slide, on the rig they stand."""
    clip = np.repeat(joints(1), 60, 0)
    # 0.2 m/s for half a second at a time, then a rest.
    clip[:, :, 2] += np.cumsum(np.where(np.arange(60) % 20 < 10, 0.01, 0.0))[:, None]
    text = bvh_rig(character(arms=45, legs=1.1)).replace("\n", "\r")  # of an old Mac, as good as others
    text = re.sub("Frame Time: [0-9.]+", "Frame Time: 0", text)  # which the motion's replaces
    (tmp_path / "rig.bvh").write_text(text, encoding="utf-8", newline="")
    report = retarget_file(clip, tmp_path / "rig.bvh", tmp_path / "out.bvh")
    assert report.slide_before > 0.2 and report.slide_after < 0.01 and report.contacts >= 2
    assert "before" in str(report) and f"({report.furthest_bone})" in str(report) and report.body_moved > 0.05
    names, positions, _, _ = read_bvh(tmp_path / "out.bvh")
    toes = on_rig(names, positions)[:, [10, 11]]
    assert np.abs(np.diff(toes[:, :, [0, 2]], axis=0)).max() < 1e-3


def swaying(frames: int = 80) -> np.ndarray:
    """A body that turns to and fro, and leans, over feet that stand apart."""
    clip = np.repeat(joints(1), frames, 0)
    wave = np.sin(np.arange(frames) / 20 * 2 * np.pi * 0.5)
    turn = Rotation.from_rotvec(np.outer(0.5 * wave, [0.0, 1.0, 0.0]))
    hips = np.stack([turn.apply(clip[:, joint] - clip[:, 0]) for joint in (1, 2)], 1)
    ankles, feet = clip[:, [7, 8]].copy(), clip[:, [10, 11]].copy()
    for joint in range(22):
        clip[:, joint] = turn.apply(clip[:, joint] - clip[:, 0]) + clip[:, 0]
    clip[..., 1] -= 0.06  # legs that are bent a little
    clip[:, [10, 11]] = feet
    for number, (knee, ankle) in enumerate(((4, 7), (5, 8))):
        hip = hips[:, number] + clip[:, 0]
        middle, bend = (hip + ankles[:, number]) / 2, np.array([0.0, 0.0, 1.0])
        out = np.sqrt(0.4**2 - np.square(np.linalg.norm(hip - ankles[:, number], axis=-1) / 2))
        clip[:, knee], clip[:, ankle] = middle + out[:, None] * bend, ankles[:, number]
    return clip


@pytest.mark.parametrize("legs", [0.7, 1.8])
def test_the_body_goes_along_so_that_legs_keep_their_directions(tmp_path: Path, legs: float) -> None:
    """Hips are wide beside short legs and narrow beside long ones: over standing feet they turn another way."""
    (tmp_path / "rig.bvh").write_text(bvh_rig(character(legs=legs)), encoding="utf-8")
    loose = retarget_file(swaying(), tmp_path / "rig.bvh", tmp_path / "loose.bvh", foot_lock=False)
    held = retarget_file(swaying(), tmp_path / "rig.bvh", tmp_path / "held.bvh")
    assert loose.slide_after > 0.01 > held.slide_after
    assert held.bone_degrees[0] < 2 and held.sink_after <= 0.0051
    names, positions, _, _ = read_bvh(tmp_path / "held.bvh")
    pelvis = on_rig(names, positions)[:, 0]
    assert np.abs(np.diff(pelvis, 2, axis=0)).max() < 0.01  # 4 m/s^2 at 20 fps


def test_feet_neither_float_nor_sink(tmp_path: Path) -> None:
    """A rig that rests on the ground stands on it when the body does, whatever its size."""
    clip = np.repeat(joints(1), 30, 0)
    clip[..., 1] -= clip[..., 1].min()
    for legs in (0.7, 1.0, 1.5):
        body = character(legs=legs)
        (tmp_path / "rig.glb").write_bytes(glb_bytes(*glb_document(body)))
        retarget_file(clip, tmp_path / "rig.glb", tmp_path / "out.glb")
        read = on_rig(*animated_nodes(tmp_path / "out.glb", "motion"))
        assert read[..., 1].min() == pytest.approx(body.joints[:, 1].min(), abs=5e-3)


def test_everything_else_in_a_glb_stays_as_it_was(tmp_path: Path) -> None:
    document, data = glb_document(RIGS["A-pose"], 0.01, 3)
    (tmp_path / "rig.glb").write_bytes(glb_bytes(document, data))
    retarget_file(moving(), tmp_path / "rig.glb", tmp_path / "out.glb")
    after, content = read_glb(tmp_path / "out.glb")
    assert content[: len(data)] == data
    assert after["animations"][:-1] == document["animations"] and after["animations"][-1]["name"] == "motion"
    for key in ("accessors", "bufferViews"):
        assert after[key][: len(document[key])] == document[key]
    kept = set(document) - {"animations", "accessors", "bufferViews", "buffers"}
    assert set(after) == set(document) and all(after[key] == document[key] for key in kept)
    # Again: the first motion stays beside the second.
    retarget_file(moving(seed=1), tmp_path / "out.glb", tmp_path / "twice.glb")
    assert [item["name"] for item in read_glb(tmp_path / "twice.glb")[0]["animations"]] == ["idle", "motion", "motion"]


def test_compressed_meshes_pass_through(tmp_path: Path) -> None:
    document, data = glb_document(RIGS["T-pose"])
    draco = {"KHR_draco_mesh_compression": {"bufferView": 0, "attributes": {"POSITION": 0}}}
    document["meshes"][0]["primitives"][0]["extensions"] = draco
    document["extensionsRequired"] = ["KHR_draco_mesh_compression"]
    (tmp_path / "rig.glb").write_bytes(glb_bytes(document, data))
    retarget_file(moving(), tmp_path / "rig.glb", tmp_path / "out.glb")
    assert read_glb(tmp_path / "out.glb")[0]["meshes"] == document["meshes"]


def test_a_node_with_a_matrix_becomes_one_that_can_be_animated(tmp_path: Path) -> None:
    document, data = glb_document(RIGS["A-pose"], seed=4)
    for node in document["nodes"][:5]:
        matrix = np.eye(4)
        matrix[:3, :3] = Rotation.from_quat(node.pop("rotation")).as_matrix()
        matrix[:3, 3] = node.pop("translation")
        node["matrix"] = matrix.T.ravel().tolist()
    (tmp_path / "rig.glb").write_bytes(glb_bytes(document, data))
    retarget_file(moving(), tmp_path / "rig.glb", tmp_path / "out.glb", foot_lock=False)
    assert angles(on_rig(*animated_nodes(tmp_path / "out.glb", "motion")), moving()).max() < 0.1


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    save_motion(tmp_path / "clip.npz", moving())
    body = character(names="smpl")
    body.names = [f"bone{number}" for number in range(len(body.names))]
    (tmp_path / "rig.bvh").write_text(bvh_rig(body), encoding="utf-8")
    order = character(names="smpl").names
    (tmp_path / "map.json").write_text(json.dumps(dict(zip(order, body.names, strict=True))), encoding="utf-8")
    words = [str(tmp_path / "clip.npz"), "--rig", str(tmp_path / "rig.bvh"), "--output", str(tmp_path / "new/out.bvh")]
    main([*words, "--joint_map", str(tmp_path / "map.json")])
    printed = capsys.readouterr().out
    assert "slide" in printed and "60 frames at 20 fps" in printed
    assert (tmp_path / "new/out.bvh").is_file()


# ---------------------------------------------------------------------------------------------------------- bad input
def changed(change) -> bytes:
    document, data = glb_document(RIGS["T-pose"])
    change(document)
    return glb_bytes(document, data)


def _two_skeletons(document: dict) -> None:
    nodes = document["nodes"]
    count = len(document["skins"][0]["joints"])
    for node in nodes[:count]:
        copy = json.loads(json.dumps(node))
        copy["children"] = [child + len(nodes) for child in node.get("children", [])]
        nodes.append(copy)
    document["skins"].append({"joints": list(range(len(nodes) - count, len(nodes)))})


def _without_left_arm(document: dict) -> None:
    nodes, skin = document["nodes"], document["skins"][0]
    gone = [
        number for number, node in enumerate(nodes) if node["name"].endswith(("LeftArm", "LeftForeArm", "LeftHand"))
    ]
    for node in nodes:
        node["children"] = [child for child in node.get("children", []) if child not in gone]
    skin["joints"] = [joint for joint in skin["joints"] if joint not in gone]


def _zero_bone(document: dict) -> None:
    node = next(node for node in document["nodes"] if node["name"].endswith("LeftLeg"))
    node["translation"] = [0.0, 0.0, 0.0]


# Without position channels; their three values of each frame go, too.
FIXED = bvh_rig(RIGS["T-pose"]).replace("CHANNELS 6 Xposition Yposition Zposition", "CHANNELS 3")
FIXED = re.sub(r"(?m)^\S+ \S+ \S+( 0)+$", lambda match: match[0].split(" ", 3)[3], FIXED)
GOOD = glb_bytes(*glb_document(RIGS["T-pose"]))
BAD_RIGS = {
    "skinless.glb": (changed(lambda d: d.pop("skins")), "has no skin"),
    "two.glb": (changed(_two_skeletons), r"holds 2 skeletons \(mixamorig:Hips and mixamorig:Hips\)"),
    "armless.glb": (changed(_without_left_arm), "no joint found for .*left_.*--joint_map"),
    "scaled.glb": (changed(lambda d: d["nodes"][3].update(scale=[1, 2, 1])), r"has the scale \(1, 2, 1\)"),
    "zero.glb": (changed(_zero_bone), "zero.glb: .*has no length"),
    "cut.glb": (GOOD[:-100], "the file is cut"),
    "empty.glb": (b"", "is not a GLB file"),
    "text.glb": (b"HIERARCHY and more than twenty bytes", "is not a GLB file: it begins with b'HIER'"),
    "old.glb": (GOOD[:4] + b"\1" + GOOD[5:], "glTF version 1"),
    "json.glb": (GOOD[:20] + b"!" + GOOD[21:], "its JSON cannot be read"),
    "external.glb": (changed(lambda d: d["buffers"][0].update(uri="a.bin")), "its buffers lie in other files"),
    "script.bvh": (b"import os\n", "is not a BVH file"),
    "frames.bvh": (
        bvh_rig(RIGS["T-pose"]).replace("Frames: 2", "Frames: two").encode(),
        "Frames must be a whole number",
    ),
    "fixed.bvh": (FIXED.encode(), "neither mixamorig:Hips nor a joint above it has position channels"),
    "rig.fbx": (b"Kaydara", "rigs are read from .glb, .bvh"),
}


@pytest.mark.parametrize("name", BAD_RIGS)
def test_bad_rigs_are_named_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    content, message = BAD_RIGS[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"(?s){message}"):
        retarget_file(moving(10), tmp_path / name, tmp_path / "out" / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_bad_motions_and_outputs(tmp_path: Path) -> None:
    (tmp_path / "rig.glb").write_bytes(GOOD)
    cases = [
        (moving(), "rig.glb", "out.bvh", "a rig from .glb is written as .glb"),
        (moving()[:1], "rig.glb", "out.glb", "at least 2 frames"),
        (np.full((9, 22, 3), np.nan), "rig.glb", "out.glb", "NaN"),
        (np.zeros((9, 21, 3)), "rig.glb", "out.glb", "22"),
    ]
    for clip, rig, output, message in cases:
        with pytest.raises(ValueError, match=message):
            retarget_file(clip, tmp_path / rig, tmp_path / output)
    with pytest.raises(FileNotFoundError, match="none.glb: no such rig"):
        retarget_file(moving(), tmp_path / "none.glb", tmp_path / "out.glb")
    assert [path.name for path in tmp_path.iterdir()] == ["rig.glb"]


@pytest.mark.slow
def test_files_as_they_are_found(tmp_path: Path, shared_dir: Path) -> None:
    """Every usable file of other people: bones within 2 degrees, feet within a centimetre."""
    folder = shared_dir / "data" / "bvh_wild"
    if not folder.is_dir():
        pytest.skip("no BVH files beside the reference material")
    followed = 0
    for path in sorted(folder.glob("*.bvh")):
        try:
            loose = retarget_file(moving(), path, tmp_path / "out.bvh", foot_lock=False)
        except ValueError as error:
            assert str(error).startswith(str(path))
            continue
        held = retarget_file(moving(), path, tmp_path / "out.bvh")
        assert loose.bone_degrees[0] < 0.1 and held.bone_degrees[0] < 2 and held.slide_after < 0.01, path.name
        followed += 1
    assert followed >= 15
