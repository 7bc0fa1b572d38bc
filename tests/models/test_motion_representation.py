"""Motion representation: against the published numbers, against its own promises, and against bad input."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from motions import moving_body, turn, yaw_quaternion
from published_features import features as published_features

from modeling_unimo import motion_representation as mr
from modeling_unimo.motion_representation import HUMANML3D, KIT

FIXTURE = Path(__file__).parents[1] / "fixtures" / "published_motion.npz"
ROTATIONS = HUMANML3D.slices["rotations"]


@pytest.fixture(scope="module")
def published() -> dict[str, np.ndarray]:
    """The published arrays that are made of random numbers only, and so may lie in the repository."""
    with np.load(FIXTURE, allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def kit_offsets() -> np.ndarray:
    lengths = np.random.default_rng(5).uniform(100, 350, (KIT.num_joints, 1))
    return KIT.raw_offsets * lengths


def worst(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(np.asarray(a, dtype=np.float64) - b).max())


def scaled(features: np.ndarray, skeleton: mr.Skeleton = HUMANML3D) -> np.ndarray:
    """Features with rotations divided by 3: they are allowed three times the error of the others."""
    features = np.array(features, dtype=np.float64)
    features[..., skeleton.slices["rotations"]] /= 3
    return features


# ------------------------------------------------------------------------------------------------------- skeletons
@pytest.mark.parametrize(("skeleton", "width"), [(HUMANML3D, 263), (KIT, 251)])
def test_skeleton_is_one_tree_and_its_slices_tile_the_row(skeleton: mr.Skeleton, width: int) -> None:
    assert skeleton.feature_dim == width
    assert mr.skeleton_for(width) is skeleton
    assert sorted(skeleton.order) == list(range(1, skeleton.num_joints))
    reached = {0}
    for joint in skeleton.order:
        assert skeleton.parents[joint] in reached
        reached.add(joint)
    edges = [edge for where in skeleton.slices.values() for edge in (where.start, where.stop)]
    assert edges[0] == 0 and edges[-1] == width and edges[1:-1:2] == edges[2::2]
    assert np.array_equal(np.array(skeleton.mirror_order)[list(skeleton.mirror_order)], range(skeleton.num_joints))
    names = [skeleton.joint_names[joint] for joint in skeleton.left]
    assert [name.replace("left", "right") for name in names] == [skeleton.joint_names[j] for j in skeleton.right]


def test_default_offsets_cannot_be_changed_by_accident() -> None:
    with pytest.raises(ValueError, match="read-only"):
        HUMANML3D.default_offsets[0] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        HUMANML3D.fps = 30


def test_skeleton_for_an_unknown_width() -> None:
    with pytest.raises(ValueError, match="width 135.*263.*251"):
        mr.skeleton_for(135)


# ------------------------------------------------------------------------------------- the published numbers, stored
def test_kit_features_match_published(published, agrees) -> None:
    joints, offsets = published["kit/joints_in"], published["kit/tgt_offsets"]
    features = mr.joints_to_features(joints, KIT, offsets, facing="published")
    agrees("process_file_kit", features, published["kit/features"], 1e-2)
    placed = mr.canonical_joints(joints, KIT, offsets, facing="published")
    agrees("process_file_kit", placed, published["kit/global_positions"], 1e-2)
    agrees(
        "process_file_kit", mr.features_to_joints(published["kit/features"], KIT), published["kit/ric_joints"], 1e-2
    )
    recovered = mr.features_to_joints(published["kit/recovered_features"], KIT)
    agrees("recover_from_ric, kit", recovered, published["kit/recovered_joints"], 1e-4)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("skeleton", [HUMANML3D, KIT], ids=lambda skeleton: skeleton.name)
def test_published_facing_equals_the_step_by_step_computation(seed: int, skeleton: mr.Skeleton) -> None:
    source = (HUMANML3D.default_offsets if skeleton is HUMANML3D else kit_offsets()) * (0.8 + 0.1 * seed)
    target = HUMANML3D.default_offsets if skeleton is HUMANML3D else kit_offsets()
    # turns of up to 400 degrees cross the opposite of +Z, where the published root rotation flips its sign
    joints = moving_body(seed, 30 + 15 * seed, turns=0.37 * seed, skeleton=skeleton, offsets=source, start=seed)
    expected = published_features(joints, target, skeleton)
    tolerance = 1e-9 / skeleton.unit_scale
    assert worst(mr.joints_to_features(joints, skeleton, target, facing="published"), expected) < tolerance
    single = mr.joints_to_features(joints.astype(np.float32), skeleton, target, facing="published")
    assert worst(scaled(single, skeleton), scaled(expected, skeleton)) < (1e-4 if skeleton is HUMANML3D else 1e-2)


# ----------------------------------------------------------------------------- the published numbers, beside the repo
@pytest.mark.parametrize("case", ["real", "fk", "jitter"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_humanml3d_features_match_published(golden, agrees, case: str, dtype: type) -> None:
    d = golden("process_file_t2m")
    name = f"process_file_t2m, {case}"
    joints, offsets = d[f"{case}/joints_in"].astype(dtype), d["tgt_offsets"]
    features = mr.joints_to_features(joints, target_offsets=offsets, facing="published")
    theirs = d[f"{case}/features"]
    contacts = HUMANML3D.slices["contacts"]
    agrees(f"{name}, rotations", features[:, ROTATIONS], theirs[:, ROTATIONS], 3e-4)
    agrees(f"{name}, contacts", features[:, contacts], theirs[:, contacts], 0)
    agrees(name, scaled(features), scaled(theirs), 1e-4)
    agrees(name, mr.uniform_skeleton(joints, offsets), d[f"{case}/uniform"], 1e-4)
    placed = d[f"{case}/global_positions"]
    agrees(name, mr.canonical_joints(joints, target_offsets=offsets, facing="published"), placed, 1e-4)
    turns = mr.inverse_kinematics(placed, facing="published", smooth=True)
    agrees(f"{name}, rotations", turns, d[f"{case}/ik_quat_smooth"], 3e-4)
    agrees(name, mr.features_to_joints(theirs), d[f"{case}/ric_joints"], 1e-4)
    agrees(f"{name}, by rotation", mr.features_to_joints_by_rotation(theirs, offsets), d[f"{case}/rot_joints"], 1e-4)
    # the local positions and root velocity that the published function returns beside the features
    agrees(
        name,
        features[:, HUMANML3D.slices["positions"]].reshape(-1, 21, 3),
        d[f"{case}/local_positions"][:-1, 1:],
        1e-4,
    )
    agrees(name, features[:, 1:3], d[f"{case}/l_velocity"], 1e-4)


@pytest.mark.parametrize("case", ["real", "fk", "jitter"])
def test_corrected_facing_keeps_the_published_placement(golden, agrees, case: str) -> None:
    d = golden("process_file_t2m")
    features = mr.joints_to_features(d[f"{case}/joints_in"], target_offsets=d["tgt_offsets"])
    name = f"process_file_t2m, {case}, corrected"
    agrees(name, mr.features_to_joints(features), d[f"{case}/global_positions"][:-1], 1e-4)


def test_recovered_joints_match_published(golden, agrees) -> None:
    d = golden("recover_from_ric")
    agrees("recover_from_ric", mr.features_to_joints(d["features"]), d["joints"], 1e-4)
    positions, heading = mr.root_trajectory(d["features"])
    agrees("recover_from_ric", positions, d["root_pos"], 1e-4)
    agrees("recover_from_ric", yaw_quaternion(-heading), d["root_quat"], 1e-4)
    agrees("recover_from_ric, kit", mr.features_to_joints(d["kit_features"], KIT), d["kit_joints"], 1e-4)
    d = golden("reference_012314")
    agrees("reference_012314", mr.features_to_joints(d["joint_vecs"]), d["joints_from_ric"], 1e-5)


def test_shipped_clip_has_the_default_bones(golden) -> None:
    joints = golden("reference_012314")["joints_from_ric"]
    assert worst(mr.uniform_skeleton(joints), joints) < 1e-5


def test_real_motion_round_trip(shared_dir: Path) -> None:
    with np.load(shared_dir / "data" / "mocap" / "mocap_joints.npz", allow_pickle=False) as archive:
        joints, offsets = archive["joints"], archive["offsets"]
    for index in range(0, len(offsets) - 1, 100):
        clip = joints[offsets[index] : offsets[index + 1]]
        features = mr.joints_to_features(clip)
        placed = mr.canonical_joints(clip)[:-1]
        assert worst(mr.features_to_joints(features), placed) < 1e-5
        assert worst(mr.features_to_joints_by_rotation(features), placed) < 1e-5
        assert np.abs(features[:, 0]).max() < 0.25  # half a turn a second is a lot


# ----------------------------------------------------------------------------------------------- corrected: promises
@pytest.mark.parametrize("turns", [0, 0.3, -0.6, 1.7, -3.2, 7])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_round_trip_through_any_number_of_turns(turns: float, dtype: type) -> None:
    joints = moving_body(3, 160, turns=turns, start=2.0).astype(dtype)
    features = mr.joints_to_features(joints)
    placed = mr.canonical_joints(joints)[:-1]
    assert features.dtype == dtype
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    assert worst(mr.features_to_joints(features), placed) < tolerance
    assert worst(mr.features_to_joints_by_rotation(features), placed) < tolerance


@pytest.mark.parametrize("turns", [0.9, -1.3, 5, -9])
def test_heading_follows_a_spinning_body_without_drift(turns: float) -> None:
    frames = 120
    joints = moving_body(1, 1, sway=0.3)
    joints = turn(np.repeat(joints, frames, 0), 2 * np.pi * turns * np.arange(frames) / (frames - 1))
    features = mr.joints_to_features(joints)
    expected = -np.pi * turns / (frames - 1)
    np.testing.assert_allclose(features[:, 0], expected, atol=1e-12)  # the ends included
    _, heading = mr.root_trajectory(features)
    np.testing.assert_allclose(heading[-1], 2 * np.pi * turns * (frames - 2) / (frames - 1), atol=1e-9)


def test_published_facing_drifts_where_corrected_does_not() -> None:
    joints = moving_body(2, 120, turns=0.9)
    for facing, drifts in (("corrected", False), ("published", True)):
        features = mr.joints_to_features(joints, facing=facing)
        error = worst(mr.features_to_joints(features), mr.canonical_joints(joints, facing=facing)[:-1])
        assert (error > 0.1) == drifts, facing


def test_no_jump_in_the_first_frame() -> None:
    joints = moving_body(4, 100, sway=0.6)
    corrected = mr.joints_to_features(joints)[:, 0]
    published = mr.joints_to_features(joints, facing="published")[:, 0]
    assert np.abs(np.diff(corrected)).max() < 2e-3
    assert abs(published[0] - published[1]) > 20 * abs(corrected[0] - corrected[1])


def test_clip_is_placed_on_the_floor_at_the_origin_facing_front() -> None:
    placed = mr.canonical_joints(moving_body(5, 50, start=2.5) + (3, 7, -2))
    assert placed[..., 1].min() == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(placed[0, 0, [0, 2]], 0, atol=1e-12)
    across = placed[0, 1] - placed[0, 2] + placed[0, 16] - placed[0, 17]
    assert across[0] > 0 and across[2] == pytest.approx(0, abs=1e-12)


def test_where_the_clip_stands_and_faces_changes_nothing() -> None:
    joints = moving_body(6, 50, turns=0.4)
    features = mr.joints_to_features(joints)
    moved = mr.joints_to_features(turn(joints, 2.2) + (5, 1, -4))
    assert worst(moved, features) < 1e-9


def test_uniform_clip_is_left_as_it_is_and_other_bodies_are_scaled() -> None:
    joints = moving_body(7, 30)
    assert worst(mr.uniform_skeleton(joints), joints) < 1e-6  # the default offsets are float32
    assert worst(mr.uniform_skeleton(joints * 100), joints) < 1e-6


def test_target_bones_in_any_direction() -> None:
    offsets = np.random.default_rng(3).normal(size=(22, 3)) * 0.2
    joints = moving_body(8, 20)
    local = mr.inverse_kinematics(joints)
    legs = sum(np.abs(offsets[j]).max() for j in HUMANML3D.leg) / sum(
        np.linalg.norm(HUMANML3D.default_offsets[j]) for j in HUMANML3D.leg
    )
    expected = mr.forward_kinematics(local, joints[:, 0] * legs, offsets)
    assert worst(mr.uniform_skeleton(joints, offsets), expected) < 1e-6


@pytest.mark.parametrize("skeleton", [HUMANML3D, KIT], ids=lambda skeleton: skeleton.name)
@pytest.mark.parametrize("facing", mr.FACINGS)
def test_forward_kinematics_inverts_inverse_kinematics(skeleton: mr.Skeleton, facing: str) -> None:
    offsets = HUMANML3D.default_offsets if skeleton is HUMANML3D else kit_offsets()
    joints = moving_body(9, 40, turns=1.2, skeleton=skeleton, offsets=offsets)
    local = mr.inverse_kinematics(joints, skeleton, facing)
    np.testing.assert_allclose(np.linalg.norm(local, axis=-1), 1, atol=1e-9)
    again = mr.forward_kinematics(local, joints[:, 0], offsets, skeleton)
    assert worst(again, joints) < 1e-9 / skeleton.unit_scale


def test_kit_without_target_keeps_its_bones() -> None:
    joints = moving_body(10, 30, skeleton=KIT, offsets=kit_offsets(), turns=0.5)
    features = mr.joints_to_features(joints, KIT)
    recovered = mr.features_to_joints(features, KIT)
    assert worst(recovered, mr.canonical_joints(joints, KIT)[:-1]) < 1e-8
    bones = [np.linalg.norm(clip[:, 12] - clip[:, 11], axis=-1) for clip in (recovered, joints[:-1])]
    np.testing.assert_allclose(*bones)
    with pytest.raises(ValueError, match="kit skeleton has no default bone lengths"):
        mr.uniform_skeleton(joints, skeleton=KIT)


# -------------------------------------------------------------------------------------------------- degenerate motion
@pytest.mark.parametrize("facing", mr.FACINGS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_zero_length_bones_follow_their_chain(facing: str, dtype: type) -> None:
    offsets = HUMANML3D.default_offsets.copy()
    offsets[[13, 14, 3, 10]] = 0
    joints = moving_body(11, 40, turns=0.3, offsets=offsets).astype(dtype)
    features = mr.joints_to_features(joints, facing=facing)
    assert np.isfinite(features).all()
    placed = mr.canonical_joints(joints, facing=facing)
    lengths = np.linalg.norm(placed[:, 13] - placed[:, 9], axis=-1)
    np.testing.assert_allclose(lengths, HUMANML3D.default_offsets[13, 0], atol=1e-5)
    if facing == "corrected":
        assert worst(mr.features_to_joints(features), placed[:-1]) < 1e-5
        assert worst(mr.features_to_joints_by_rotation(features), placed[:-1]) < 1e-5


def rest_pose(frames: int) -> np.ndarray:
    still = np.zeros((frames, 22, 4))
    still[..., 0] = 1
    return mr.forward_kinematics(still, np.zeros((frames, 3)))


@pytest.mark.parametrize("facing", mr.FACINGS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bones_opposite_to_their_rest_direction(facing: str, dtype: type) -> None:
    joints = rest_pose(20)
    for joint in (4, 5, 12, 18, 20, 15):  # legs and arms up, neck down, head backwards
        joints[:, joint] = joints[:, HUMANML3D.parents[joint]] - HUMANML3D.default_offsets[joint]
    features = mr.joints_to_features(joints.astype(dtype), facing=facing)
    assert np.isfinite(features).all()
    placed = mr.canonical_joints(joints.astype(dtype), facing=facing)[:-1]
    assert worst(mr.features_to_joints_by_rotation(features), placed) < 1e-5


@pytest.mark.parametrize("facing", mr.FACINGS)
def test_body_that_faces_exactly_backwards(facing: str) -> None:
    joints = rest_pose(20) * (-1, 1, -1)
    features = mr.joints_to_features(joints, facing=facing)
    assert np.isfinite(features).all()
    assert worst(features, mr.joints_to_features(rest_pose(20), facing=facing)) < 1e-9


def test_body_lying_on_its_side_has_a_steady_heading() -> None:
    noise = np.random.default_rng(0).normal(scale=2e-3, size=(60, 22, 3))
    standing = rest_pose(60)
    x, y, z = np.moveaxis(standing, -1, 0)
    lying = np.stack((y, -x, z), -1) + noise
    assert np.abs(mr.joints_to_features(lying)[:, 0]).max() == 0
    falling = standing + noise
    falling[20:40] = lying[20:40]
    spin = mr.joints_to_features(falling)[:, 0]
    assert np.abs(spin).max() < 0.01


@pytest.mark.parametrize("frames", [2, 3, 4])
def test_shortest_clips(frames: int) -> None:
    joints = moving_body(12, frames)
    features = mr.joints_to_features(joints)
    assert features.shape == (frames - 1, 263)
    assert worst(mr.features_to_joints(features), mr.canonical_joints(joints)[:-1]) < 1e-9
    expected = published_features(joints, HUMANML3D.default_offsets, HUMANML3D)
    assert worst(mr.joints_to_features(joints, facing="published"), expected) < 1e-9  # 3 frames: the published cross


# ------------------------------------------------------------------------------------------------------ array kinds
@pytest.mark.parametrize("facing", mr.FACINGS)
def test_a_batch_changes_nothing(facing: str) -> None:
    clips = np.stack([moving_body(seed, 50, turns=seed / 3) for seed in range(6)])
    together = mr.joints_to_features(clips.reshape(2, 3, 50, 22, 3), facing=facing)
    assert together.shape == (2, 3, 49, 263)
    alone = np.stack([mr.joints_to_features(clip, facing=facing) for clip in clips])
    assert worst(together.reshape(6, 49, 263), alone) < 1e-12
    for back in (mr.features_to_joints, mr.features_to_joints_by_rotation):
        assert back(together).shape == (2, 3, 49, 22, 3)
        assert worst(back(together)[1, 2], back(alone[5])) < 1e-12


def test_one_degenerate_clip_leaves_the_others_alone() -> None:
    clips = np.stack([moving_body(seed, 30) for seed in range(3)])
    clips[1, 10:20, 16] = clips[1, 10:20, 13]
    together = mr.joints_to_features(clips)
    assert np.isfinite(together).all()
    for index in (0, 2):
        assert worst(together[index], mr.joints_to_features(clips[index])) < 1e-6


def test_torch_and_numpy_agree_and_keep_their_kind() -> None:
    joints = moving_body(13, 30).astype(np.float32)
    features = mr.joints_to_features(torch.from_numpy(joints))
    assert isinstance(features, torch.Tensor) and features.dtype == torch.float32
    assert np.array_equal(features.numpy(), mr.joints_to_features(joints))
    assert isinstance(mr.features_to_joints(features), torch.Tensor)
    positions, heading = mr.root_trajectory(features.numpy())
    assert isinstance(positions, np.ndarray) and heading.shape == (29,)


def test_arrays_that_torch_does_not_wrap() -> None:
    joints = moving_body(14, 30)
    expected = mr.joints_to_features(joints)
    frozen = joints.copy()
    frozen.setflags(write=False)
    for other in (frozen, joints[::-1][::-1], np.asfortranarray(joints), joints.astype(">f8"), joints.tolist()):
        assert worst(mr.joints_to_features(other), expected) < 1e-12
    assert mr.features_to_joints(expected.astype(np.float16)).dtype == np.float32


def test_half_precision_and_autocast_do_not_spoil_the_path() -> None:
    features = torch.from_numpy(mr.joints_to_features(moving_body(15, 100, turns=1).astype(np.float32)))
    expected = mr.features_to_joints(features)
    assert mr.features_to_joints(features.bfloat16()).dtype == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(mr.features_to_joints(features), expected)
        assert torch.equal(mr.joints_to_features(expected), mr.joints_to_features(expected.clone()))
        again = mr.joints_to_features(expected)
    assert torch.equal(again, mr.joints_to_features(expected))


def test_features_to_joints_is_differentiable() -> None:
    features = torch.randn(2, 4, 263, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(mr.features_to_joints, (features,), fast_mode=True)
    assert torch.autograd.gradcheck(mr.features_to_joints_by_rotation, (features,), fast_mode=True)


def test_input_is_not_changed() -> None:
    joints = moving_body(16, 30)
    before = joints.copy()
    features = mr.joints_to_features(joints)
    mr.mirror_joints(joints)
    assert np.array_equal(joints, before)
    before = features.copy()
    mr.features_to_joints(features)
    assert np.array_equal(features, before)


def test_contacts_tell_standing_from_moving() -> None:
    joints = np.repeat(rest_pose(1), 10, 0)
    joints[::2, 11, 0] += 0.3  # the right toes go from side to side
    assert np.array_equal(mr.joints_to_features(joints)[:, -4:], np.tile((1, 1, 1, 0), (9, 1)))
    assert np.array_equal(mr.joints_to_features(joints, foot_threshold=1.0)[:, -4:], np.ones((9, 4)))


# ------------------------------------------------------------------------------------------------------- statistics
@pytest.mark.parametrize("feat_bias", [1.0, 5.0])
def test_statistics_are_those_of_all_frames_grouped(feat_bias: float) -> None:
    clips = [mr.joints_to_features(moving_body(seed, 20 + 10 * seed, turns=seed / 4)) for seed in range(5)]
    mean, std = mr.feature_statistics(iter(clips), feat_bias=feat_bias)
    frames = np.concatenate(clips)
    np.testing.assert_allclose(mean, frames.mean(0), atol=1e-6)
    for name, where in HUMANML3D.slices.items():
        expected = frames.std(0)[where].mean()
        if name in ("root_yaw", "root_linear", "root_height", "contacts"):
            expected /= feat_bias
        np.testing.assert_allclose(std[where], expected, rtol=1e-5, err_msg=name)
    assert mean.dtype == std.dtype == np.float32


def test_statistics_of_motion_that_stands_still() -> None:
    mean, std = mr.feature_statistics([mr.joints_to_features(rest_pose(50).astype(np.float32))])
    assert np.isfinite(mean).all() and (std == 1).all()


def test_statistics_of_the_shipped_clips_have_the_published_form(shared_dir: Path) -> None:
    std = np.load(shared_dir / "data" / "humanml3d_sample" / "Std.npy", allow_pickle=False)
    for where in HUMANML3D.slices.values():
        np.testing.assert_allclose(std[where], std[where][0], rtol=1e-5)


# --------------------------------------------------------------------------------------------------------- bad input
def bad_joints() -> dict[str, tuple[np.ndarray, str]]:
    good = rest_pose(10)
    nan, infinite = good.copy(), good.copy()
    nan[4, 7, 1] = np.nan
    infinite[2, 0, 0] = np.inf
    no_legs = good.copy()
    no_legs[:, [4, 5, 7, 8]] = no_legs[:, [1, 2, 1, 2]]
    return {
        "52 joints": (np.zeros((10, 52, 3)), r"\(\.\.\., T, 22, 3\).*\(10, 52, 3\)"),
        "21 joints": (np.zeros((10, 21, 3)), "22"),
        "flat": (np.zeros((10, 66)), "expected joints of shape"),
        "one frame": (good[:1], "at least 2 frames"),
        "empty": (good[:0], "at least 2 frames"),
        "no clips": (np.zeros((0, 10, 22, 3)), "at least 2 frames"),
        "NaN": (nan, "frame 4, joint left_ankle, axis y"),
        "infinite": (infinite, "frame 2, joint pelvis, axis x"),
        "one point": (np.ones((10, 22, 3)), "one point"),
        "no legs": (no_legs, "right_knee and right_ankle have no length"),
        "strings": (np.full((10, 22, 3), "x"), "array of numbers"),
        "objects": (np.full((10, 22, 3), None), "array of numbers"),
    }


@pytest.mark.parametrize("case", bad_joints())
def test_bad_joints_are_refused(case: str) -> None:
    joints, message = bad_joints()[case]
    with pytest.raises(ValueError, match=message):
        mr.joints_to_features(joints)


def test_bad_arguments_are_refused() -> None:
    joints = rest_pose(10)
    with pytest.raises(ValueError, match="facing must be one of corrected, published, got 'forward'"):
        mr.joints_to_features(joints, facing="forward")
    with pytest.raises(ValueError, match=r"target offsets have shape \(21, 3\).*\(22, 3\)"):
        mr.joints_to_features(joints, target_offsets=np.ones((21, 3)))
    with pytest.raises(ValueError, match="target offsets hold NaN"):
        mr.joints_to_features(joints, target_offsets=np.full((22, 3), np.nan))
    with pytest.raises(ValueError, match="leg bones of the target"):
        mr.joints_to_features(joints, target_offsets=np.zeros((22, 3)))


@pytest.mark.parametrize("function", [mr.features_to_joints, mr.features_to_joints_by_rotation])
def test_features_of_another_skeleton_are_refused(function) -> None:
    with pytest.raises(ValueError, match=r"T, 263\).*\(10, 251\)"):
        function(np.zeros((10, 251)))


def test_numpy_and_torch_recover_the_same_joints():
    features = mr.joints_to_features(moving_body(seed=3, frames=60))
    for kind in (np.float32, np.float64):
        joints = mr.features_to_joints(features.astype(kind))
        assert joints.dtype == kind
        tensor = torch.from_numpy(features.astype(kind))
        np.testing.assert_allclose(mr.features_to_joints(tensor).numpy(), joints, atol=1e-6)


def test_check_features_names_what_and_where() -> None:
    features = mr.joints_to_features(rest_pose(10))
    mr.check_features(features)
    features[3, 200] = np.nan
    with pytest.raises(ValueError, match="clip 7: .*frame 3, dimension 200 .velocities.*repair or drop"):
        mr.check_features(features, name="clip 7")
    with pytest.raises(ValueError, match="no frames"):
        mr.check_features(features[:0])
    with pytest.raises(ValueError, match="at least one clip"):
        mr.feature_statistics([])
    with pytest.raises(ValueError, match="clip 1: features hold NaN"):
        mr.feature_statistics([features[:3], features])
    with pytest.raises(ValueError, match="feat_bias"):
        mr.feature_statistics([features[:3]], feat_bias=0)


def test_large_finite_numbers_are_not_taken_for_infinite() -> None:
    mr.check_joints(rest_pose(10).astype(np.float32) * np.float32(1e38))


@pytest.mark.parametrize("leading", [(7,), (2, 3), (1, 1)])
@pytest.mark.parametrize("facing", ["corrected", "published"])
def test_a_large_stack_is_worked_on_in_parts(monkeypatch, leading, facing):
    clips = np.stack([moving_body(seed=i, frames=12) for i in range(int(np.prod(leading)))])
    expected = np.stack([mr.joints_to_features(clip, facing=facing) for clip in clips])
    monkeypatch.setattr(mr, "_TOGETHER", 12)
    stack = clips.reshape(*leading, *clips.shape[1:])
    np.testing.assert_array_equal(
        mr.joints_to_features(stack, facing=facing), expected.reshape(*leading, *expected.shape[1:])
    )
