"""Clean-up: standing feet stand, jitter goes, and no joint gets further than it may."""

import numpy as np
import pytest

from bodies import FPS, ramp, standing, travel
from evaluate_unimo.functional import foot_skating
from modeling_unimo.cleaning_unimo import clean_joints
from modeling_unimo.foot_lock_unimo import ANKLE, FREE, TOE, faded_between, foot_pins, solve_leg, standing_shifts
from modeling_unimo.generated_unimo import GeneratedMotion
from modeling_unimo.motion_representation import HUMANML3D, joints_to_features


def skating_body(frames: int = 60, speed: float = 0.6, way: float = 0.07) -> np.ndarray:
    """A body that stands, and whose feet now and then glide for `way` metres though it does not step."""
    joints = standing(frames)
    glide = np.zeros(frames)
    steps = round(way / speed * FPS)
    for start in (15, 35):
        glide[start : start + steps] = speed / FPS
    shift = np.cumsum(glide) - np.cumsum(glide).mean()
    joints[..., 2] += shift[:, None]
    return joints


def test_skating_feet_are_held_and_the_report_says_so() -> None:
    joints = skating_body(way=0.2)
    cleaned, report = clean_joints(joints, FPS, max_shift=0.5)
    assert report.slide_before > 0.1 and report.slide_after < 1e-3
    assert report.skating_before > 0 and report.skating_after == 0
    assert report.skating_before == foot_skating(joints, floor=None)["skating_ratio"]
    assert np.linalg.norm(cleaned - joints, axis=-1).max() == pytest.approx(report.largest_shift, abs=1e-5)
    for words in (f"{report.skating_before:.3f} before", "after"):
        assert words in str(report)


@pytest.mark.parametrize("max_shift", [0.01, 0.05])
@pytest.mark.parametrize("smooth", [0.0, 0.2])
def test_no_joint_gets_further_than_it_may(max_shift: float, smooth: float) -> None:
    random = np.random.default_rng(0)
    joints = skating_body(speed=1.0, way=0.4) + random.normal(scale=0.02, size=(60, 22, 3))
    cleaned, report = clean_joints(joints, FPS, smooth=smooth, max_shift=max_shift)
    assert np.linalg.norm(cleaned - joints, axis=-1).max() <= max_shift + 1e-6
    assert report.largest_shift <= max_shift + 1e-9


def test_a_walk_keeps_its_way_and_its_bones() -> None:
    joints = travel(standing(80), 2.4 * ramp(80, 0.5, 3.5))
    cleaned, report = clean_joints(joints, FPS)
    assert report.slide_after <= report.slide_before
    assert np.abs(cleaned[:, 0] - joints[:, 0]).max() <= 0.05 + 1e-6
    for hip, knee, ankle in ((1, 4, 7), (2, 5, 8)):
        for one, other in ((hip, knee), (knee, ankle)):
            lengths = [np.linalg.norm(clip[:, one] - clip[:, other], axis=-1) for clip in (joints, cleaned)]
            assert np.abs(lengths[0] - lengths[1]).max() < 0.05


def test_smoothing_takes_jitter_and_leaves_straight_motion() -> None:
    straight = travel(standing(60), np.arange(60) * 0.05)
    straight[:, :, 2] = straight[0, :, 2] + np.arange(60)[:, None] * 0.05
    random = np.random.default_rng(0)
    noisy = straight + random.normal(scale=0.005, size=straight.shape)
    cleaned, _ = clean_joints(noisy, FPS, foot_lock=False, smooth=0.1)
    jerk = [np.abs(np.diff(clip, n=3, axis=0)).mean() for clip in (noisy, cleaned)]
    assert jerk[1] < 0.1 * jerk[0]
    assert np.abs(clean_joints(straight, FPS, foot_lock=False, smooth=0.1)[0] - straight).max() < 1e-5


def test_a_generated_motion_is_cleaned() -> None:
    joints = skating_body().astype(np.float32)
    features = joints_to_features(np.concatenate((joints, joints[-1:]))).astype(np.float32)
    motion = GeneratedMotion("a person stands", "still", [1, 2], features, joints, FPS)
    cleaned = motion.cleaned(max_shift=0.2)
    assert motion.cleaning is None and cleaned.cleaning is not None and cleaned.cleaning.slide_after < 1e-3
    assert (cleaned.text, cleaned.thought, cleaned.codes) == (motion.text, motion.thought, motion.codes)
    assert cleaned.features.shape == features.shape and cleaned.joints.shape == joints.shape
    contacts = cleaned.features[:, HUMANML3D.slices["contacts"]]
    assert contacts.mean() >= features[:, HUMANML3D.slices["contacts"]].mean()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"smooth": -1}, r"smooth must be in \[0, 1\] seconds, got -1"),
        ({"smooth": float("nan")}, "smooth must be"),
        ({"max_shift": 0}, "max_shift must be > 0 metres, got 0"),
    ],
)
def test_settings_out_of_range(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        clean_joints(standing(10), FPS, **options)


def test_other_skeletons_are_refused() -> None:
    with pytest.raises(ValueError, match="22, 3"):
        clean_joints(np.zeros((10, 21, 3)), FPS)


# ---------------------------------------------------------------------------------------------------------- its parts
def test_pins_tell_heel_from_toes() -> None:
    feet = np.zeros((30, 2, 3))
    feet[:, 0, 1], feet[:, 1, 1] = 0.08, 0.02
    feet[:10, 1, 1] += np.linspace(0.2, 0, 10)  # the toes come down
    feet[20:, 0, 1] += np.linspace(0, 0.2, 10)  # the heel goes up, then the foot goes
    feet[26:, :, 2] += np.arange(1, 5)[:, None] * 0.1
    pins = foot_pins(feet, 20)
    assert pins[0] == ANKLE and (pins[10:25] == TOE).all() and (pins[28:] == FREE).all()


def test_shifts_hold_the_foot_fade_and_never_jump() -> None:
    random = np.random.default_rng(1)
    feet = np.cumsum(random.normal(scale=0.003, size=(80, 2, 3)), 0)
    pins = np.full(80, FREE)
    pins[10:20], pins[20:30], pins[34:45], pins[70:76] = ANKLE, TOE, TOE, ANKLE
    shifts = faded_between(standing_shifts(feet, pins), pins, 20)
    held = feet + shifts[:, None]
    for start, stop, pin in ((10, 20, ANKLE), (20, 30, TOE), (34, 45, TOE), (70, 76, ANKLE)):
        assert np.abs(held[start:stop, pin][:, [0, 2]] - held[start, pin][[0, 2]]).max() < 1e-12
    assert (shifts[:, 1] == 0).all() and (shifts[52:64] == 0).all() and (shifts[:5] == 0).all()
    assert np.abs(np.diff(shifts, axis=0)).max() < 0.02


def test_the_leg_reaches_with_its_own_lengths() -> None:
    random = np.random.default_rng(2)
    hip = random.normal(size=(50, 3))
    knee = hip + [0, -0.4, 0.1]
    ankle = knee + [0, -0.4, -0.05]
    target = ankle + random.normal(scale=0.03, size=(50, 3)) + [0, 0.12, 0]
    forward = np.tile([0.0, 0, 1], (50, 1))
    knees, ankles = solve_leg(hip, knee, ankle, target, forward)
    assert np.abs(ankles - target).max() < 1e-9
    assert np.abs(np.linalg.norm(knees - hip, axis=-1) - np.hypot(0.4, 0.1)).max() < 1e-9
    assert np.abs(np.linalg.norm(knees - ankles, axis=-1) - np.hypot(0.4, 0.05)).max() < 1e-9
    far = solve_leg(hip, knee, ankle, hip + [0, -5, 0], forward)[1]
    assert np.abs(far - hip - [0, -0.999 * (np.hypot(0.4, 0.1) + np.hypot(0.4, 0.05)), 0]).max() < 1e-2
