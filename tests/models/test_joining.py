"""Parts of a motion put together in features."""

import numpy as np
import pytest
from motions import moving_body

from modeling_unimo import features_to_joints, joints_to_features
from modeling_unimo.joining_unimo import FADE_FRAMES, follow_path, meet, seam_jerk, smooth_seams


def features(seed: int, frames: int = 41, **body) -> np.ndarray:
    return joints_to_features(moving_body(seed=seed, frames=frames, **body)).astype(np.float32)


def test_new_features_meet_both_sides_and_are_themselves_between():
    new, kept = features(0), features(1)
    met = meet(new, (kept[0], new[0]), (kept[1], new[-1]))
    # The first new frame is one step away from the seam, so nearly all of the difference is still there.
    np.testing.assert_allclose(met[0, :-4] - new[0, :-4], kept[0, :-4] - new[0, :-4], rtol=0.02, atol=1e-5)
    np.testing.assert_allclose(met[-1, :-4] - new[-1, :-4], kept[1, :-4] - new[-1, :-4], rtol=0.02, atol=1e-5)
    assert np.array_equal(met[FADE_FRAMES:-FADE_FRAMES], new[FADE_FRAMES:-FADE_FRAMES])
    assert np.array_equal(met[:, -4:], new[:, -4:])
    assert np.array_equal(meet(new, None, None), new)


@pytest.mark.parametrize("frames", [1, 2, 4])
def test_short_parts_meet_too(frames):
    new, kept = features(0)[:frames], features(1)
    assert np.isfinite(meet(new, (kept[0], new[0]), (kept[1], new[-1]))).all()


def test_a_seam_where_both_sides_agree_changes_nothing():
    new = features(0)
    assert np.array_equal(meet(new, (new[0], new[0]), (new[-1], new[-1])), new)


def test_the_root_is_led_to_where_the_old_part_led():
    kept_before, kept_after = features(2), features(3)
    old, new = features(4, turns=0.6), features(5, turns=-0.3)
    pushed, push = follow_path(new, old)
    before = features_to_joints(np.concatenate([kept_before, old, kept_after]))
    after = features_to_joints(np.concatenate([kept_before, pushed, kept_after]))
    np.testing.assert_allclose(after[80:], before[80:], atol=1e-4)
    assert push > 0
    unmoved, none = follow_path(old, old)
    np.testing.assert_allclose(unmoved, old, atol=1e-5)
    assert none == pytest.approx(0, abs=1e-6)


def test_joint_velocities_follow_the_push():
    old, new = features(4), features(5, turns=0.2)
    pushed, _ = follow_path(new, old)
    joints = features_to_joints(np.concatenate([pushed, pushed[-1:]]))
    # The root's own velocity is written twice: in its path, and among the velocities of all joints.
    steps = np.linalg.norm(np.diff(joints[:, 0], axis=0)[:, [0, 2]], axis=-1)
    root = pushed[:, 4 + 9 * 21 : 4 + 9 * 21 + 3][:, [0, 2]]
    np.testing.assert_allclose(np.linalg.norm(root, axis=-1), steps, atol=2e-3)


def test_jerk_is_seen_where_it_is():
    smooth = features(6, sway=0.2)
    broken = smooth.copy()
    broken[20:, 4:67] += 0.3
    assert seam_jerk(broken, [20], 20.0) > 5 * seam_jerk(smooth, [20], 20.0)
    assert seam_jerk(broken, [10], 20.0) == pytest.approx(seam_jerk(smooth, [10], 20.0))
    assert seam_jerk(smooth, [], 20.0) == 0


def test_seams_are_smoothed_and_nothing_else():
    joined = np.concatenate([features(4), features(5)])
    smoothed = smooth_seams(joined, [40])
    assert seam_jerk(smoothed, [40], 20.0) < 0.7 * seam_jerk(joined, [40], 20.0)
    assert np.array_equal(smoothed[:34], joined[:34]) and np.array_equal(smoothed[46:], joined[46:])
    assert np.array_equal(smoothed[:, -4:], joined[:, -4:])
    assert np.array_equal(smooth_seams(joined, []), joined)


def test_a_loop_is_smoothed_where_it_begins_again():
    joined = features(4)
    turned = np.roll(smooth_seams(joined, [0], cyclic=True), 20, axis=0)
    np.testing.assert_allclose(turned, smooth_seams(np.roll(joined, 20, axis=0), [20]), atol=1e-6)
