"""The BVH source: reading any file, finding the 22 joints under any names, and real files from three places."""

import json
import re

import motion_files as files
import numpy as np
import pytest

from datasets_scripts.schema import CLIP, NOTE, Clip, Skipped
from datasets_scripts.sources import bvh
from datasets_scripts.sources.bvh import BvhError, parse_bvh
from datasets_scripts.sources.clips import ClipRules
from modeling_unimo.motion_representation import HUMANML3D, features_to_joints, joints_to_features

NAMES = HUMANML3D.joint_names


def sided(left: str, right: str, parts: dict[str, str]) -> dict[str, str]:
    """Names of both sides from one pattern: `parts` {joint: name}, {} in the pattern is the name."""
    return {f"left_{k}": left.format(v) for k, v in parts.items()} | {
        f"right_{k}": right.format(v) for k, v in parts.items()
    }


LIMBS = {
    "hip": "UpLeg", "knee": "Leg", "ankle": "Foot", "foot": "ToeBase",
    "collar": "Shoulder", "shoulder": "Arm", "elbow": "ForeArm", "wrist": "Hand",
}  # fmt: skip
MIDDLE = {"pelvis": "Hips", "spine1": "Spine", "spine2": "Spine1", "spine3": "Spine2", "neck": "Neck", "head": "Head"}
SCHEMES = {
    "mixamo": {k: f"mixamorig:{v}" for k, v in (sided("Left{}", "Right{}", LIMBS) | MIDDLE).items()},
    "lafan1": sided("Left{}", "Right{}", LIMBS | {"foot": "Toe"}) | MIDDLE,
    "xsens": sided(
        "Left{}",
        "Right{}",
        {"hip": "Hip", "knee": "Knee", "ankle": "Ankle", "foot": "Toe", "collar": "Collar", "shoulder": "Shoulder"}
        | {"elbow": "Elbow", "wrist": "Wrist"},
    )
    | {"pelvis": "Hips", "spine1": "Chest", "spine2": "Chest2", "spine3": "Chest3", "neck": "Neck", "head": "Head"},
    "xsens mvn": sided(
        "Left{}",
        "Right{}",
        {"hip": "UpperLeg", "knee": "LowerLeg", "ankle": "Foot", "foot": "Toe", "collar": "Shoulder"}
        | {"shoulder": "UpperArm", "elbow": "ForeArm", "wrist": "Hand"},
    )
    | {"pelvis": "Pelvis", "spine1": "L5", "spine2": "L3", "spine3": "T8", "neck": "Neck", "head": "Head"},
    "bandai": sided(
        "{}_L",
        "{}_R",
        {"hip": "UpperLeg", "knee": "LowerLeg", "ankle": "Foot", "foot": "Toes", "collar": "Shoulder"}
        | {"shoulder": "UpperArm", "elbow": "LowerArm", "wrist": "Hand"},
    )
    | {"pelvis": "Hips", "spine1": "Spine", "spine2": "Spine2", "spine3": "Chest", "neck": "Neck", "head": "Head"},
    "smpl": sided(
        "m_avg_L_{}",
        "m_avg_R_{}",
        {"hip": "Hip", "knee": "Knee", "ankle": "Ankle", "foot": "Foot", "collar": "Collar", "shoulder": "Shoulder"}
        | {"elbow": "Elbow", "wrist": "Wrist"},
    )
    | {"pelvis": "m_avg_Pelvis", "spine1": "m_avg_Spine1", "spine2": "m_avg_Spine2", "spine3": "m_avg_Spine3"}
    | {"neck": "m_avg_Neck", "head": "m_avg_Head"},
    "biped": sided(
        "Bip01 L {}",
        "Bip01 R {}",
        {"hip": "Thigh", "knee": "Calf", "ankle": "Foot", "foot": "Toe0", "collar": "Clavicle"}
        | {"shoulder": "UpperArm", "elbow": "Forearm", "wrist": "Hand"},
    )
    | {"pelvis": "Bip01 Pelvis", "spine1": "Bip01 Spine", "spine2": "Bip01 Spine1", "spine3": "Bip01 Spine2"}
    | {"neck": "Bip01 Neck", "head": "Bip01 Head"},
    "unreal": sided(
        "{}_l",
        "{}_r",
        {"hip": "thigh", "knee": "calf", "ankle": "foot", "foot": "ball", "collar": "clavicle"}
        | {"shoulder": "upperarm", "elbow": "lowerarm", "wrist": "hand"},
    )
    | {"pelvis": "pelvis", "spine1": "spine_01", "spine2": "spine_02", "spine3": "spine_03"}
    | {"neck": "neck_01", "head": "head"},
    "poser": sided(
        "l{}",
        "r{}",
        {"hip": "Thigh", "knee": "Shin", "ankle": "Foot", "foot": "Toe", "collar": "Collar"}
        | {"shoulder": "Shldr", "elbow": "ForeArm", "wrist": "Hand"},
    )
    | {"pelvis": "hip", "spine1": "abdomen", "spine2": "waist", "spine3": "chest", "neck": "neck", "head": "head"},
    "asf": sided(
        "l{}",
        "r{}",
        {"hip": "femur", "knee": "tibia", "ankle": "foot", "foot": "toes", "collar": "clavicle"}
        | {"shoulder": "humerus", "elbow": "radius", "wrist": "wrist"},
    )
    | {"pelvis": "root", "spine1": "lowerback", "spine2": "upperback", "spine3": "thorax"}
    | {"neck": "lowerneck", "head": "head"},
    "blender": sided(
        "{}.L",
        "{}.R",
        {"hip": "thigh", "knee": "shin", "ankle": "foot", "foot": "toe", "collar": "shoulder"}
        | {"shoulder": "upper_arm", "elbow": "forearm", "wrist": "hand"},
    )
    | {"pelvis": "hips", "spine1": "spine", "spine2": "spine.001", "spine3": "chest", "neck": "neck", "head": "head"},
    "humanml3d": {},
}


def walk(**options) -> np.ndarray:
    return bvh.to_joints(parse_bvh(files.bvh_text(**options))).joints


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_naming_scheme_gives_the_same_joints(scheme: str) -> None:
    np.testing.assert_allclose(walk(names=SCHEMES[scheme]), files.joints(60), atol=2e-4)


@pytest.mark.parametrize("order", ["XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX"])
def test_channel_order_does_not_matter_for_one_axis(order: str) -> None:
    np.testing.assert_allclose(walk(order=order), files.joints(60), atol=2e-4)


def test_rotations_apply_in_the_order_listed() -> None:
    text = """HIERARCHY
    ROOT a { OFFSET 0 0 0 CHANNELS 6 Xposition Yposition Zposition {order}
      JOINT b { OFFSET 1 0 0 CHANNELS 3 Zrotation Xrotation Yrotation End Site { OFFSET 0 0 0 } } }
    MOTION
    Frames: 1
    Frame Time: 0.05
    0 0 0 90 90 0 0 0 0
    """
    # x is turned by the rotation listed last first: Z after X leaves x for X, so z-turn takes it to y.
    first = bvh.joint_positions(parse_bvh(text.replace("{order}", "Zrotation Xrotation Yrotation")))
    np.testing.assert_allclose(first[0, 1], [0, 1, 0], atol=1e-9)
    second = bvh.joint_positions(parse_bvh(text.replace("{order}", "Xrotation Zrotation Yrotation")))
    np.testing.assert_allclose(second[0, 1], [0, 0, 1], atol=1e-9)


@pytest.mark.parametrize("positions", ["all", "displacements"])
def test_position_channels_on_every_joint(positions: str) -> None:
    np.testing.assert_allclose(walk(positions=positions), files.joints(60), atol=2e-4)


def test_braces_and_lines_may_be_arranged_in_any_way() -> None:
    text = files.bvh_text(frames=20)
    head, motion = text.split("MOTION")
    np.testing.assert_allclose(
        bvh.to_joints(parse_bvh("\ufeff".strip("\ufeff") + " ".join(head.split()) + "\nMOTION" + motion)).joints,
        files.joints(20),
        atol=2e-4,
    )


@pytest.mark.parametrize("fps", [20, 24, 30, 59.94, 60, 100, 120])
def test_any_frame_time_becomes_20_fps(fps: float) -> None:
    frames = int(3 * fps)
    result = walk(frames=frames, fps=fps)
    expected = int((frames - 1) * 20 / fps + 1e-6) + 1
    assert len(result) == expected
    np.testing.assert_allclose(result, files.joints(expected), atol=2e-3)


def test_unit_is_found_from_the_legs() -> None:
    metres = joints_to_features(walk(), target_offsets=HUMANML3D.default_offsets)
    inches = joints_to_features(walk(scale=39.37), target_offsets=HUMANML3D.default_offsets)
    np.testing.assert_allclose(np.asarray(inches), np.asarray(metres), atol=2e-3)


def test_z_up_is_recognised_and_may_be_forced() -> None:
    text = files.bvh_text(axes=(0, 2, 1), signs=(1, -1, 1))
    found = bvh.to_joints(parse_bvh(text))
    assert found.notes == ["Z up"]
    np.testing.assert_allclose(found.joints, files.joints(60), atol=2e-4)
    np.testing.assert_allclose(bvh.to_joints(parse_bvh(text), up="z").joints, files.joints(60), atol=2e-4)
    with pytest.raises(ValueError, match="up must be one of"):
        bvh.to_joints(parse_bvh(text), up="up")


def test_left_handed_axes_are_recognised() -> None:
    found = bvh.to_joints(parse_bvh(files.bvh_text(signs=(-1, 1, 1))))
    assert found.notes == ["Y up, left-handed axes (mirrored)"]
    np.testing.assert_allclose(found.joints, files.joints(60), atol=2e-4)


def test_rest_pose_in_the_first_frame_is_left_out() -> None:
    lines = files.bvh_text(frames=40).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("Frame Time")) + 1
    columns = len(lines[start].split())
    posed = [
        " ".join(f"{float(v) + (90 if i % 9 == 8 else 0):.4f}" for i, v in enumerate(x.split())) for x in lines[start:]
    ]
    text = "\n".join([*lines[:start], " ".join(["0"] * columns), *posed]).replace("Frames: 40", "Frames: 41")
    found = bvh.to_joints(parse_bvh(text))
    assert len(found.joints) == 40 and "rest pose" in found.notes[0]


def test_spine_with_fewer_joints_is_filled_along_the_line() -> None:
    text = files.bvh_text()
    lines = []
    skipped = iter(text.splitlines())
    for line in skipped:  # spine3 loses its name and place: an anonymous joint on top of spine2
        lines.append(line.replace("spine3", "something"))
        if "something" in lines[-1]:
            lines.append(next(skipped))
            lines.append("OFFSET 0 0 0")
            next(skipped)
    found = bvh.to_joints(parse_bvh("\n".join(lines))).joints
    spine, neck = found[:, NAMES.index("spine3")], found[:, NAMES.index("neck")]
    assert (found[:, NAMES.index("spine2"), 1] < spine[:, 1]).all() and (spine[:, 1] < neck[:, 1]).all()


def test_collars_on_the_spine_are_moved_out() -> None:
    text = files.bvh_text()
    lines = text.splitlines()
    for i, line in enumerate(lines):
        if "collar" in line:
            lines[i + 2] = "OFFSET 0 0 0"
    found = bvh.to_joints(parse_bvh("\n".join(lines))).joints
    collar, spine = found[:, NAMES.index("left_collar")], found[:, NAMES.index("spine3")]
    assert (np.linalg.norm(collar - spine, axis=-1) > 0.03).all()


def test_joint_map_goes_before_the_names(tmp_path) -> None:
    names = {name: f"node{i}" for i, name in enumerate(NAMES)}
    text = files.bvh_text(names=names)
    (note,) = bvh.to_joints(parse_bvh(text)).notes
    assert note.startswith("joints matched by structure")
    path = tmp_path / "map.json"
    path.write_text(json.dumps(names))
    found = bvh.to_joints(parse_bvh(text), bvh.read_joint_map(path))
    np.testing.assert_allclose(found.joints, files.joints(60), atol=2e-4)
    assert found.notes == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"tail": "x"}', "unknown joints"),
        ("[1]", "must hold an object"),
        ("{", "cannot be read as JSON"),
        ('{"head": "a", "head": "b"}', "the key 'head' is given twice"),
    ],
)
def test_bad_joint_maps_are_refused(tmp_path, content: str, message: str) -> None:
    path = tmp_path / "map.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        bvh.read_joint_map(path)


def test_joint_map_must_name_joints_of_the_file() -> None:
    with pytest.raises(BvhError, match="the joint map names 'Tail'"):
        bvh.to_joints(parse_bvh(files.bvh_text()), {"head": "Tail"})


def _cut_hierarchy(text: str) -> str:
    return text[: text.index("JOINT right_knee")]


THREE = "CHANNELS 3 Zrotation Yrotation Xrotation"
BAD = {
    "cut in the hierarchy": (_cut_hierarchy, "does not end"),
    "cut after the hierarchy": (lambda t: t[: t.index("MOTION")], "MOTION"),
    "wrong channel count": (lambda t: t.replace("CHANNELS 3", "CHANNELS 4", 1), "channel"),
    "channels that do not fit": (lambda t: t.replace(THREE, "CHANNELS 0", 1), "CHANNELS"),
    "unknown channel": (lambda t: t.replace("Zrotation", "Wrotation", 1), "'Wrotation'"),
    "repeated channel": (lambda t: t.replace("Zrotation", "Xrotation", 1), "named twice"),
    "zero frame time": (lambda t: t.replace("Frame Time: 0.0500000", "Frame Time: 0"), "Frame Time is 0"),
    "frame time in milliseconds": (lambda t: t.replace("Frame Time: 0.0500000", "Frame Time: 50"), "Frame Time is 50"),
    "frame time no number": (lambda t: t.replace("Frame Time: 0.0500000", "Frame Time: 0,05"), "'0,05'"),
    "no frames": (lambda t: re.sub(r"Frames: 60\n(.*)\n(?s:.*)", r"Frames: 0\n\1\n", t), "no motion"),
    "a frame rate": (
        lambda t: t.replace("Frame Time: 0.0500000", "Frame Rate: 20"),
        "must be followed by .*, here by 'Frames: 60' and 'Frame Rate: 20'",
    ),
    "nothing behind MOTION": (lambda t: t[: t.index("Frames")], "here by nothing: the file is cut"),
    "frames no number": (lambda t: t.replace("Frames: 60", "Frames: many"), "'many'"),
    "NaN in a frame": (lambda t: t.rsplit(" ", 1)[0] + " nan\n", "NaN"),
    "words in a frame": (lambda t: t.rsplit(" ", 1)[0] + " oops\n", "is not a number"),
    "offset no number": (lambda t: t.replace("OFFSET 0.06", "OFFSET x0.06", 1), "OFFSET of"),
    "two roots": (lambda t: t.replace("MOTION", "ROOT b { OFFSET 0 0 0 }\nMOTION"), "a second ROOT"),
    "no BVH at all": (lambda t: "hello", "HIERARCHY"),
    "empty": (lambda t: "", "HIERARCHY"),
}  # fmt: skip


ODD = {
    "frames and none said": lambda t: t.replace("Frames: 60", "Frames: 0").encode(),
    "frame time in one word": lambda t: t.replace("Frame Time", "FrameTime").encode(),
    "UTF-16 without its mark": lambda t: t.encode("utf-16-le"),
    "UTF-16 without its mark, big end first": lambda t: t.encode("utf-16-be"),
    "lines of an old Mac": lambda t: t.replace("\n", "\r").encode(),
}


@pytest.mark.parametrize("case", ODD)
def test_odd_files_are_read_whole(tmp_path, case: str) -> None:
    (tmp_path / "odd.bvh").write_bytes(ODD[case](files.bvh_text()))
    np.testing.assert_allclose(bvh.to_joints(bvh.read_bvh(tmp_path / "odd.bvh")).joints, files.joints(60), atol=2e-4)


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_refused_with_the_reason(tmp_path, case: str) -> None:
    spoil, message = BAD[case]
    path = tmp_path / "bad.bvh"
    path.write_text(spoil(files.bvh_text()))
    with pytest.raises(BvhError, match=message):
        bvh.to_joints(bvh.read_bvh(path))


def test_folder_keeps_the_good_files_and_lists_the_others(tmp_path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "a.bvh").write_text(files.bvh_text())
    (tmp_path / "more" / "b.BVH").write_text(files.bvh_text(frames=90, fps=30))
    (tmp_path / "cut.bvh").write_text(files.bvh_text()[:900])
    (tmp_path / "still.bvh").write_text(files.bvh_text(frames=60, speed=0).replace("25.0", "0"))
    (tmp_path / "silent.bvh").write_text(files.bvh_text())
    (tmp_path / "tiny.bvh").write_text(files.bvh_text(frames=6))
    files.write_captions(
        tmp_path,
        [
            {"file": "a.bvh", "captions": ["a person walks."]},
            {"id": "more/b", "captions": ["someone walks.", {"text": "a step", "start": 0.5, "end": 2.0}]},
            {"file": "cut.bvh", "captions": ["a person walks."]},
            {"id": "still", "captions": ["a person stands."]},
            {"id": "tiny", "captions": ["a person twitches."]},
            {"id": "gone", "captions": ["a person leaves."]},
        ],
    )
    items = list(bvh.iter_clips(tmp_path))
    clips = {item.id: item for item in items if isinstance(item, Clip)}
    reasons = {item.id: item.reason for item in items if isinstance(item, Skipped)}
    assert {"a", "more/b"} <= clips.keys()
    assert reasons["cut"] == "unreadable BVH" and reasons["silent"] == "no caption"
    assert reasons["gone"] == "captions without a motion" and reasons["tiny"].startswith("too short")
    assert clips["more/b"].features.shape == (59, 263) and clips["more/b"].features.dtype == np.float32
    assert [(c.start, c.end) for c in clips["more/b"].captions] == [(0.0, 0.0), (0.5, 2.0)]
    assert clips["a"].captions[0].tokens[-1] == "walk/VERB"


@pytest.mark.slow
def test_workers_change_nothing(tmp_path) -> None:
    for index in range(6):
        (tmp_path / f"{index}.bvh").write_text(files.bvh_text(frames=30 + index))
    files.write_captions(tmp_path, [{"id": str(index), "caption": "a person walks."} for index in range(6)])
    alone, many = ([item for item in bvh.iter_clips(tmp_path, workers=n) if isinstance(item, Clip)] for n in (1, 2))
    assert [clip.id for clip in many] == [clip.id for clip in alone] and len(alone) == 6
    for one, other in zip(alone, many, strict=True):
        np.testing.assert_array_equal(one.features, other.features)


@pytest.mark.parametrize(
    ("frames", "seconds", "kept", "told"),
    [
        (60, "0.05", 59, "60 frames at 20 fps"),
        (5, "0.05", 8, "one pose, held for 8 frames"),
        (1, "0.05", 8, "one pose, held for 8 frames"),
        (1, "1", 8, "one pose, held for 8 frames"),  # one pose has no rate
        (1, "0", 8, "one pose, held for 8 frames"),
    ],
)
def test_a_file_in_which_nothing_moves_is_kept_and_told(tmp_path, frames, seconds, kept, told) -> None:
    (tmp_path / "still.bvh").write_text(still_bvh(frames, seconds))
    files.write_captions(tmp_path, [{"id": "still", "caption": "a person stands still."}])
    items = list(bvh.iter_clips(tmp_path))
    (clip,) = [item for item in items if isinstance(item, Clip)]
    (note,) = [item for item in items if isinstance(item, Skipped) and item.kind in (CLIP, NOTE)]
    assert (note.reason, note.detail) == ("nothing moves in the clip", told)
    assert clip.features.shape == (kept, 263) and np.ptp(clip.features, axis=0).max() == 0
    head, feet = features_to_joints(clip.features)[0, [15, 10], 1]
    assert head - feet > 1.2
    assert len(bvh.bvh_to_features(tmp_path / "still.bvh")) == max(frames - 1, 4)


@pytest.mark.parametrize(("frames", "fps"), [(2, 30), (6, 120), (5, 20)])
def test_a_short_motion_is_no_pose(tmp_path, frames: int, fps: float) -> None:
    (tmp_path / "short.bvh").write_text(files.bvh_text(frames=frames, fps=fps))
    files.write_captions(tmp_path, [{"id": "short", "caption": "a person walks."}])
    (skipped,) = [item for item in bvh.iter_clips(tmp_path) if getattr(item, "kind", CLIP) == CLIP]
    assert skipped.reason == "too short (fewer than 8 frames)"


def still_bvh(frames: int, seconds: str) -> str:
    head, rows = files.bvh_text(speed=0).split("Frame Time: 0.0500000\n")
    head = re.sub(r"Frames: \d+", f"Frames: {frames}", head)
    return head + f"Frame Time: {seconds}\n" + "\n".join(rows.splitlines()[:1] * frames) + "\n"


def test_a_file_shorter_than_a_frame_is_its_first_pose(tmp_path) -> None:
    (tmp_path / "short.bvh").write_text(files.bvh_text(frames=2, fps=30))
    assert bvh.bvh_to_features(tmp_path / "short.bvh").shape == (4, 263)
    (tmp_path / "short.bvh").write_text(files.bvh_text(frames=4))
    with pytest.raises(BvhError, match="4 frames at 20 fps; at least 5"):
        bvh.bvh_to_features(tmp_path / "short.bvh")


def test_long_clips_are_cropped_split_or_dropped(tmp_path) -> None:
    (tmp_path / "a.bvh").write_text(files.bvh_text(frames=460))
    files.write_captions(tmp_path, [{"id": "a", "captions": ["a person walks."]}])

    def lengths(mode: str) -> list[int]:
        rules = ClipRules(min_frames=20, max_frames=196, long_clips=mode)
        return [len(item.features) for item in bvh.iter_clips(tmp_path, rules=rules) if isinstance(item, Clip)]

    assert lengths("crop") == [196] and lengths("split") == [196, 196, 67] and lengths("drop") == []


def test_missing_folder_files_and_captions_are_errors(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match="no such folder"):
        list(bvh.iter_clips(tmp_path / "none"))
    with pytest.raises(FileNotFoundError, match="no .bvh file"):
        list(bvh.iter_clips(tmp_path))
    (tmp_path / "a.bvh").write_text(files.bvh_text())
    with pytest.raises(FileNotFoundError, match="no captions.jsonl; write one"):
        list(bvh.iter_clips(tmp_path))
    with pytest.raises(FileNotFoundError, match="no such BVH file"):
        bvh.bvh_to_features(tmp_path / "b.bvh")
    assert bvh.bvh_to_features(tmp_path / "a.bvh").shape == (59, 263)


def test_exported_motion_reads_back(tmp_path) -> None:
    from modeling_unimo.export_unimo import save_motion

    joints = features_to_joints(files.features(60)).astype(np.float32)
    save_motion(tmp_path / "x.bvh", joints)
    found = bvh.to_joints(bvh.read_bvh(tmp_path / "x.bvh"))
    assert found.notes == []
    scale = np.ptp(joints[0, :, 1]) / np.ptp(found.joints[0, :, 1])
    np.testing.assert_allclose(found.joints * scale, joints, atol=5e-3)


def test_real_files_convert_and_stand_right(shared_dir) -> None:
    items = list(bvh.iter_clips(shared_dir / "data" / "bvh"))
    clips = [item for item in items if isinstance(item, Clip)]
    assert len(clips) == 12, [item for item in items if isinstance(item, Skipped)]
    assert {clip.split for clip in clips} == {"train", "validation", "test"}
    for clip in clips:
        joints = np.asarray(features_to_joints(clip.features))
        assert abs(joints[..., 1].min()) < 0.05, clip.id
        assert 1.3 < np.ptp(joints[0, :, 1]) < 1.8, clip.id
        across = joints[0, 1] - joints[0, 2] + joints[0, 16] - joints[0, 17]
        assert across[0] / np.linalg.norm(across) > 0.9, clip.id  # left is at +X: the body faces +Z
        toes = (joints[:, 10] - joints[:, 7] + joints[:, 11] - joints[:, 8])[0]
        assert toes[2] > 0, clip.id
    walks = {clip.id: np.asarray(features_to_joints(clip.features))[:, 0] for clip in clips}
    assert walks["bandai_walk_normal_001"][-1, 2] > 5 and walks["xia_neutral_01_000"][-1, 2] > 2
    assert walks["bandai_walk-back_tired_001"][-1, 2] < -5


def test_a_spine_beside_the_pelvis_is_found() -> None:
    lines = files.bvh_text().splitlines()
    # The root becomes a point of its own; the pelvis, with the legs alone, and the spine hang on it.
    start = next(i for i, line in enumerate(lines) if "JOINT spine1" in line)
    body, legs = lines[start:], lines[1:start]
    legs[0] = "JOINT pelvis"
    legs[2], legs[3] = "OFFSET 0 0 0", "CHANNELS 3 Zrotation Yrotation Xrotation"
    root = ["ROOT Biped", "{", "OFFSET 0 0 0", lines[4]]
    first = next(i for i, line in enumerate(lines) if line.startswith("Frame Time")) + 1 - start
    frames = [" ".join([*line.split()[:6], "0 0 0", *line.split()[6:]]) for line in body[first:]]
    text = "\n".join(["HIERARCHY", *root, *legs, "}", *body[:first], *frames])
    np.testing.assert_allclose(bvh.to_joints(parse_bvh(text)).joints, files.joints(60), atol=2e-4)
