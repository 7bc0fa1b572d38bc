"""The one check of every converted body: for each rule bodies that pass and that fail; and the axes before it."""

import motion_files as files
import numpy as np
import pytest

import bodies
from datasets_scripts import doctor
from datasets_scripts.schema import Clip
from datasets_scripts.sources import humanml3d
from datasets_scripts.sources.body_check import (
    MAX_SPEED,
    BodyError,
    bridge_jumps,
    check_body,
    check_features,
    check_numbers,
)
from datasets_scripts.sources.conversion import UnusableClip, convert, place_toes
from datasets_scripts.sources.orientation import AXES, Convention, gather, settle
from modeling_unimo.skeletons_unimo import HUMANML3D, KIT

NAMES = HUMANML3D.joint_names
WALK = files.joints(60)


def joint(name: str) -> int:
    return NAMES.index(name)


def with_bone(name: str, factor: float) -> np.ndarray:
    """The walk with the bones to the left and right `name` so many times as long."""
    body = WALK.copy()
    below = {f"left_{name}", f"right_{name}"} if f"left_{name}" in NAMES else {name}
    for index, parent in enumerate(HUMANML3D.parents):
        if NAMES[index] in below:
            moved = (factor - 1) * (WALK[:, index] - WALK[:, parent])
            branch = [k for k in range(22) if index in files._path(k)]
            body[:, branch] += moved[:, None]
    return body


def apart(names: tuple[str, str], factor: float) -> np.ndarray:
    """The walk with the limbs at two joints so many times as far apart."""
    body = WALK.copy()
    centre = WALK[:, [joint(name) for name in names]].mean(axis=1)
    for name in names:
        branch = [k for k in range(22) if joint(name) in files._path(k)]
        body[:, branch] += (factor - 1) * (WALK[:, joint(name)] - centre)[:, None]
    return body


def faster(speed: float, fps: float = 20.0) -> np.ndarray:
    """The standing body carried along at so many m/s."""
    body = bodies.standing(40)
    leg = np.linalg.norm(body[0, 1] - body[0, 4]) + np.linalg.norm(body[0, 4] - body[0, 7])
    body[:, :, 2] += (np.arange(40) * speed / fps * leg / 0.82)[:, None]
    return body


def wobbling(share: float) -> np.ndarray:
    """The walk with a forearm whose length sways by so much."""
    body = WALK.copy()
    sway = 1 + share * np.sqrt(2) * np.sin(np.arange(60))[:, None]
    body[:, joint("left_wrist")] = body[:, joint("left_elbow")] + sway * (
        body[:, joint("left_wrist")] - body[:, joint("left_elbow")]
    )
    return body


def turned(axis: str) -> np.ndarray:
    """The walk in a world where another axis is up."""
    matrix = Convention(axis).apply(np.eye(3))
    return WALK @ matrix.T  # the inverse of what turns it to Y up


def handstand(raised: float = 0.0) -> np.ndarray:
    """The standing body on its hands, or with its head down and its hands above the floor."""
    body = bodies.standing(40) * [1, -1, -1]
    for side in ("left", "right"):
        for place, part in enumerate(("elbow", "wrist"), start=1):
            body[:, joint(f"{side}_{part}")] = body[:, joint(f"{side}_shoulder")] - [0, (0.3 - raised) * place, 0]
    body[:, :, 1] -= body[..., 1].min()
    return body


def lying() -> np.ndarray:
    return bodies.standing(40)[..., [0, 2, 1]] * [1, 1, -1]


def floating() -> np.ndarray:
    body = bodies.standing(40)
    body[5:, :, 1] += np.minimum(np.arange(35) * 0.1, 1.0)[:, None]
    return body


PASSES = {
    "a walk": WALK,
    "a standing body": bodies.standing(40),
    "long arms": with_bone("elbow", 2.0),
    "short shins": with_bone("ankle", 0.6),
    "no feet": with_bone("foot", 0.01),
    "broad shoulders": apart(("left_shoulder", "right_shoulder"), 1.8),
    "fast as nobody runs": faster(MAX_SPEED - 0.5),
    "a forearm that sways a little": wobbling(0.03),
    "upside down on the hands": handstand(),
    "lying": lying(),
    "far above its lowest point": floating(),
}
NOTES = {
    "upside down on the hands": "upside down on the hands",
    "lying": "not upright in most frames",
    "far above its lowest point": "far above its lowest point",
}
FAILS = {
    "a shin as long as a leg": (with_bone("ankle", 4.0), "bone to the left (knee|ankle) has"),
    "hardly a thigh": (with_bone("knee", 0.1), "bone to the left knee has"),
    "an arm without length": (with_bone("elbow", 0.05), "bone to the left elbow has"),
    "a forearm as long as a leg": (with_bone("wrist", 5.0), "bone to the left wrist has"),
    "feet as long as shins": (with_bone("foot", 6.0), "bone to the left foot has"),
    "a head on a stick": (with_bone("head", 10.0), "the head is"),
    "no trunk": (with_bone("neck", -1.0), "from pelvis to neck"),
    "hips on one point": (apart(("left_hip", "right_hip"), 0.0), "between the hips"),
    "hips a leg apart": (apart(("left_hip", "right_hip"), 9.0), "between the hips"),
    "hips exchanged": (apart(("left_hip", "right_hip"), -1.0), "hips and shoulders are opposite in 100% of frames"),
    "shoulders on one point": (apart(("left_shoulder", "right_shoulder"), 0.0), "between the shoulders"),
    "all joints on one point": (WALK * 0, "hip, knee and ankle are one point"),
    "one point, moving": (np.repeat(WALK[:, :1], 22, axis=1), "hip, knee and ankle are one point"),
    "faster than anybody": (faster(MAX_SPEED + 0.5), "moves at 15.[56] m/s in frame"),
    "a jump to another place": (np.concatenate([WALK[:30], WALK[30:] + [50, 0, 0]]), "moves at .* in frame 29"),
    "a forearm of any length": (wobbling(0.6), "varies in length"),
    "head down, hands in the air": (handstand(0.6), "the head is below the pelvis .* another axis points up"),
    "random numbers": (np.random.default_rng(0).normal(size=WALK.shape), "leg lengths|varies in length|moves at"),
    "no frames": (WALK[:0], "no frames"),
}


@pytest.mark.parametrize("case", PASSES)
@pytest.mark.parametrize("unit", [1.0, 0.01, 39.37])
def test_bodies_that_people_have_pass_in_any_unit(case: str, unit: float) -> None:
    notes = check_body(PASSES[case] / unit, 20.0)
    expected = NOTES.get(case, "")
    assert bool(notes) == bool(expected) and all(expected in note for note in notes), notes


@pytest.mark.parametrize("case", FAILS)
@pytest.mark.parametrize("unit", [1.0, 0.01])
def test_bodies_that_nobody_has_are_refused(case: str, unit: float) -> None:
    body, message = FAILS[case]
    with pytest.raises(BodyError, match=message):
        check_body(body / unit, 20.0)


def test_unequal_and_swaying_bones_are_told() -> None:
    body = WALK.copy()
    arm = [k for k in range(22) if joint("left_elbow") in files._path(k)]
    body[:, arm] += 1.5 * (WALK[:, joint("left_elbow")] - WALK[:, joint("left_shoulder")])[:, None]
    assert check_body(body, 20.0) == ["left and right elbow differ in bone length"]
    assert check_body(wobbling(0.15), 20.0) == ["bone lengths vary"]


@pytest.mark.parametrize(("fps", "passes"), [(20.0, True), (10.0, True), (60.0, False)])
def test_speed_counts_the_frame_rate(fps: float, passes: bool) -> None:
    body = faster(6.0)
    if passes:
        check_body(body, fps)
    else:
        with pytest.raises(BodyError, match="18.* m/s"):
            check_body(body, fps)


@pytest.mark.parametrize(("unit", "passes"), [(1.0, True), (0.5, True), (0.01, False), (2.54, False), (1000.0, False)])
def test_where_the_unit_is_known_legs_have_a_length(unit: float, passes: bool) -> None:
    if passes:
        check_body(WALK, 20.0, unit=unit)
    else:
        with pytest.raises(BodyError, match="legs of .* m; people have 0.3 to 1.5: the unit is wrong"):
            check_body(WALK, 20.0, unit=unit)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf, 1.1e7])
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_numbers_beyond_any_unit_are_refused(number: float, kind: type) -> None:
    body = WALK.astype(kind)
    check_numbers(body)
    with np.errstate(over="ignore"):
        body[7, 3, 1] = number
    with pytest.raises(BodyError, match="first in frame 7 \\(1 of 3960 numbers\\)"):
        check_numbers(body)


@pytest.mark.filterwarnings("error")
def test_damaged_numbers_are_refused_without_a_warning() -> None:
    body = WALK.astype(np.float32)
    body.view(np.uint32)[3, 2, 1] = 0x7FA00001  # a NaN that signals where it is converted
    with pytest.raises(BodyError, match="NaN or infinite values, first in frame 3"):
        check_numbers(body)


@pytest.mark.parametrize("group", ["root_yaw", "root_linear", "rotations", "velocities", "contacts"])
def test_columns_that_repeat_the_body_are_checked_too(group: str) -> None:
    features = files.features(40)
    check_features(features, 20.0, HUMANML3D)
    features[11, HUMANML3D.slices[group]] = 9.0
    with pytest.raises(BodyError, match=f"the columns of {group} hold 9"):
        check_features(features, 20.0, HUMANML3D)


def test_bodies_of_kit_ml_are_checked() -> None:
    features = files.kit_features(40)
    assert humanml3d.check_clip(Clip("a", features, [])) == []
    features[:, KIT.slices["positions"]] *= 3.0
    with pytest.raises(BodyError, match="legs of"):
        humanml3d.check_clip(Clip("a", features, []))


# ------------------------------------------------------------------------------------------- repairs before the check
def test_short_tracking_errors_are_bridged_and_others_are_left() -> None:
    broken = WALK.copy()
    broken[30:32] += [3, 0, 0]
    mended, note = bridge_jumps(broken, 20.0)
    assert "3 frames" in note
    np.testing.assert_allclose(mended, WALK, atol=0.05)
    gone = np.concatenate([WALK[:30], WALK[30:] + [50, 0, 0]])
    assert bridge_jumps(gone, 20.0)[1] == "" and bridge_jumps(WALK, 20.0)[1] == ""


def test_feet_without_length_get_toes_in_front() -> None:
    mended, note = place_toes(with_bone("foot", 0.0))
    assert "toes placed" in note and place_toes(WALK)[1] == ""
    for side in ("left", "right"):
        toe = mended[:, joint(f"{side}_foot")] - mended[:, joint(f"{side}_ankle")]
        assert (toe[:, 2] > 0.05).all() and (np.abs(toe[:, 0]) < 0.05).all()


# ------------------------------------------------------------------------------------------------------ axes and sides
@pytest.mark.parametrize("up", AXES)
@pytest.mark.parametrize("mirrored", [False, True])
def test_axes_and_sides_are_found(up: str, mirrored: bool) -> None:
    bent = bodies.lower_hips(bodies.travel(bodies.standing(60), np.arange(60) * 0.05), np.full(60, 0.1))
    matrix = Convention(up, mirrored).apply(np.eye(3))
    written = bent @ np.linalg.inv(matrix)
    found = gather([written], 20.0)[0].decide()
    assert found == Convention(up, mirrored)
    np.testing.assert_allclose(found.apply(written), bent, atol=1e-9)


def test_a_kneeling_body_is_not_mirrored() -> None:
    body = bodies.standing(40)
    for side in ("left", "right"):
        hip, knee, ankle, foot = bodies.LEGS[side]
        body[:, knee] = body[:, hip] + [0, -0.38, 0.1]
        body[:, ankle] = body[:, knee] + [0, -0.05, -0.38]
        body[:, foot] = body[:, ankle] + [0, -0.04, -0.12]  # the toes point back
    body[..., 1] -= body[..., 1].min()
    assert not gather([body], 20.0)[0].decide().mirrored


def test_one_clip_that_disagrees_is_told_and_does_not_turn_the_source() -> None:
    clips = {name: WALK for name in "abcd"} | {"lies": lying(), "mirrored": WALK * [-1, 1, 1]}
    evidence = dict(zip(clips, gather([clip[:40] for clip in clips.values()], 20.0), strict=True))
    conventions, notes = settle(evidence, "auto", "6 clips")
    assert conventions["lies"] == Convention() and conventions["a"] == Convention()
    told = {note.id: note.reason for note in notes}
    assert told["6 clips"] == "Y up" and "another axis" in told["lies"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (WALK, ""),
        (np.repeat(WALK[:1], 5, axis=0), "too short"),
        (np.zeros((60, 22, 3)), "no body of a person"),
        (WALK[:5], "too short"),
        (np.where(np.arange(60)[:, None, None] == 3, np.nan, WALK), "NaN or infinite values"),
        (with_bone("wrist", 5.0), "no body of a person"),
    ],
)
def test_conversion_refuses_with_a_reason_that_many_share(body: np.ndarray, reason: str) -> None:
    if not reason:
        assert convert(body, 20.0, Convention(), 8)[1] == []
        return
    with pytest.raises(UnusableClip) as caught:
        convert(body, 20.0, Convention(), 8)
    assert caught.value.reason.startswith(reason)


# ------------------------------------------------------------------------------------------- doctor and build agree
@pytest.mark.parametrize("dim", [263, 251])
def test_doctor_and_build_say_the_same_of_the_same_body(tmp_path, dim: int) -> None:
    folder = files.humanml3d_folder(tmp_path / "official", dim, clips=3)
    for name, factor in (("000000", 0.0), ("000001", 5.0)):
        path = folder / "new_joint_vecs" / f"{name}.npy"
        features = np.load(path)
        features[:, 4 : 4 + (dim - 11) // 4] *= factor
        np.save(path, features)
    refused = {
        item.id: item.detail
        for item in humanml3d.iter_clips(folder)
        if not isinstance(item, Clip) and item.reason == "no body of a person"
    }
    (finding,) = [f for f in doctor.examine(folder).findings if f.what == "motions that are no body of a person"]
    assert set(refused) == {"000000", "000001"} and finding.verdict == "WRONG"
    for name, detail in refused.items():
        assert f"{name} ({detail})" in finding.found
