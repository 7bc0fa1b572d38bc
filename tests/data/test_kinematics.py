"""Measurements against motions whose truth was planted."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

import bodies
from datasets_scripts.verify.kinematics import (
    Span,
    changing_span,
    measure,
    oscillations,
    quantile,
    seen_from,
    smooth,
    spans_above,
    steps,
    swings,
)

FPS = bodies.FPS


def assert_same_measurements(first, second, tolerance: float) -> None:
    for name, value in vars(first).items():
        if name not in ("pose", "position"):  # in world axes, so they turn with the world
            other = getattr(second, name)
            if name == "hip_heading":  # so does its first frame
                value, other = value - value[0], other - other[0]
            np.testing.assert_allclose(value, other, atol=tolerance, err_msg=name)


def test_a_standing_body_is_upright_and_still():
    m = measure(bodies.standing(40))
    assert m.num_frames == 40 and m.duration == 2.0
    assert np.allclose(m.speed, 0.0) and np.allclose(m.heading, 0.0)
    assert np.allclose(m.hand[:, :, 1], -1.0, atol=0.01), "arms hang straight down"
    assert np.allclose(m.hip_height, 1.0, atol=0.03)
    assert np.allclose(m.trunk_tilt, 0.0, atol=8.0)
    assert m.knee.min() > 165.0 and m.elbow.min() > 165.0
    assert m.foot_clearance.max() < 1e-6


@pytest.mark.parametrize("degrees", [90.0, -90.0, 170.0, 450.0, -720.0])
def test_heading_is_positive_to_the_left_and_runs_past_a_half_turn(degrees):
    m = measure(bodies.turn(bodies.standing(120), degrees * bodies.ramp(120, 1.0, 5.0)))
    assert m.heading[-1] == pytest.approx(degrees, abs=2.0)


def test_a_way_over_the_ground_is_seen_from_the_body():
    # A body that faces +X, +Z, -X sees the way along +X to its front, its left and its back.
    headings = np.array([90.0, 0.0, -90.0])
    np.testing.assert_allclose(seen_from(np.array([2.0, 0.0]), headings), [[2, 0], [0, 2], [-2, 0]], atol=1e-9)


def test_a_twisted_chest_does_not_turn_the_hips():
    joints = bodies.standing(80)
    turned = bodies.turn(joints, 40.0 * bodies.ramp(80, 1.0, 2.0))
    joints[:, bodies.UPPER_BODY] = turned[:, bodies.UPPER_BODY]
    m = measure(joints)
    assert np.abs(m.hip_heading).max() < 1.0 and m.chest_twist[-1] == pytest.approx(40.0, abs=1.0)
    m = measure(turned)
    assert m.hip_heading[-1] == pytest.approx(40.0, abs=1.0) and np.abs(m.chest_twist).max() < 3.0


@pytest.mark.parametrize("facing", [0.0, 77.0, 180.0])
def test_toes_and_hands(facing):
    share = bodies.ramp(100, 0.5, 4.5)
    joints = bodies.standing(100) + np.stack([3.0 * share, 0.0 * share, -share], axis=-1)[:, None]
    m = measure(bodies.rotate_scene(joints, facing, (5, 2, -3)))
    np.testing.assert_allclose(m.toe_speed.sum(axis=0) / m.fps, np.hypot(3.0, 1.0), atol=0.03)
    np.testing.assert_allclose(m.hands_apart, np.linalg.norm(joints[:, 20] - joints[:, 21], axis=-1), atol=0.01)


@pytest.mark.parametrize("facing", [0.0, 77.0, 180.0, -135.0])
@pytest.mark.parametrize(("forward", "left"), [(3.0, 0.0), (-2.0, 0.0), (0.0, 1.5), (1.0, -1.0)])
def test_velocity_is_in_the_bodys_own_directions(facing, forward, left):
    share = bodies.ramp(100, 0.5, 4.5)
    joints = bodies.rotate_scene(
        bodies.travel(bodies.standing(100), forward * share, left * share), facing, (5, 2, -3)
    )
    m = measure(joints)
    np.testing.assert_allclose(m.velocity.sum(0) / FPS, (forward, left), atol=0.03)
    assert m.position[-1] - m.position[0] == pytest.approx(joints[-1, 0, ::2] - joints[0, 0, ::2], abs=0.02)


def test_turning_while_walking_keeps_the_distance_forward():
    share = bodies.ramp(120, 0.0, 6.0)
    walk = bodies.travel(bodies.standing(120), 4.0 * share)
    m = measure(bodies.rotate_scene(walk, 30.0))
    # A quarter circle of 4 m: position and facing turn together.
    angle = np.radians(90.0 * share)
    radius = 4.0 / np.radians(90.0)
    circle = bodies.turn(bodies.standing(120), np.degrees(angle))
    circle[..., 0] += (radius * (1.0 - np.cos(angle)))[:, None]
    circle[..., 2] += (radius * np.sin(angle))[:, None]
    c = measure(circle)
    assert m.velocity.sum(0)[0] / FPS == pytest.approx(4.0, abs=0.05)
    assert c.velocity.sum(0)[0] / FPS == pytest.approx(4.0, abs=0.15)
    assert abs(c.velocity.sum(0)[1] / FPS) < 0.15
    assert c.heading[-1] == pytest.approx(90.0, abs=2.0)


def test_measurements_do_not_depend_on_place_and_facing():
    joints = bodies.swing_arm(bodies.standing(60), "left", 150.0 * bodies.bump(60, 0.5, 2.5))
    moved = bodies.rotate_scene(joints, 123.0, (4.0, 1.7, -9.0))
    assert_same_measurements(measure(joints), measure(moved), 1e-6)


def test_shares_do_not_depend_on_the_size_of_the_body():
    joints = bodies.lower_hips(bodies.standing(60), 0.4 * bodies.bump(60, 0.5, 2.5))
    small, large = measure(0.7 * joints), measure(1.3 * joints)
    np.testing.assert_allclose(small.hip_height, large.hip_height, atol=1e-6)
    np.testing.assert_allclose(small.hand, large.hand, atol=1e-6)


@pytest.mark.parametrize(("side", "column"), [("left", 0), ("right", 1)])
def test_hand_heights_by_side(side, column):
    m = measure(bodies.swing_arm(bodies.standing(60), side, 180.0 * bodies.bump(60, 0.5, 2.5)))
    assert m.hand[:, column, 1].max() == pytest.approx(1.0, abs=0.05)
    assert m.hand[:, 1 - column, 1].max() == pytest.approx(-1.0, abs=0.05)
    assert (m.hand_height[30, column] > m.head_height[30]) and (m.hand_height[30, 1 - column] < m.head_height[30])
    level = measure(bodies.swing_arm(bodies.standing(60), side, 90.0 * bodies.bump(60, 0.5, 2.5)))
    assert level.hand[30, column, 2] == pytest.approx(1.0, abs=0.05), "level arm points to the front"


def test_trunk_pitch_is_positive_forward():
    m = measure(bodies.pitch_trunk(bodies.standing(60), 60.0 * bodies.bump(60, 0.5, 2.5)))
    assert m.trunk_pitch[30] - m.trunk_pitch[0] == pytest.approx(60.0, abs=2.0)
    assert abs(m.trunk_lean).max() < 2.0


def test_clearance_needs_both_the_toe_and_the_ankle_off_the_ground():
    joints = bodies.standing(60)
    joints[20:26, :, 1] += 0.3
    clear = measure(joints).foot_clearance.min(axis=1)
    assert clear.max() > 0.2 and clear[:15].max() < 0.01
    tiptoe = bodies.standing(60)
    tiptoe[20:40, (7, 8), 1] += 0.1
    assert measure(tiptoe).foot_clearance.max() < 0.01


@pytest.mark.parametrize(
    ("joints", "message"),
    [
        (np.zeros((10, 21, 3)), "22"),
        (np.zeros((22, 3)), "shape"),
        (np.zeros((1, 22, 3)), "2 frames"),
        (np.full((10, 22, 3), np.nan), "finite"),
        (np.zeros((10, 22, 3)), "no extent"),
    ],
)
def test_refuses_what_cannot_be_measured(joints, message):
    with pytest.raises(ValueError, match=message):
        measure(joints)


def test_refuses_an_impossible_frame_rate():
    with pytest.raises(ValueError, match="fps"):
        measure(bodies.standing(10), fps=0.0)


def test_a_body_without_a_heading_keeps_the_last_one():
    joints = bodies.turn(bodies.standing(40), 90.0)
    # Hips and shoulders collapse onto the body's axis for a while: no left, no right, no front.
    for left, right in ((1, 2), (16, 17)):
        middle = joints[20:, (left, right)].mean(1)
        joints[20:, left] = joints[20:, right] = middle
    m = measure(joints)
    assert np.isfinite(m.heading).all() and abs(m.heading).max() < 1.0


# -- series --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [1.0, 5.0, 12.0])
@pytest.mark.parametrize("columns", [1, 60])
def test_smooth_is_a_gaussian_filter_with_held_ends(sigma, columns):
    series = np.random.default_rng(0).normal(size=(50, columns))
    expected = gaussian_filter1d(series, sigma, axis=0, mode="nearest", truncate=3.0)
    np.testing.assert_allclose(smooth(series, sigma), expected, atol=1e-12)
    assert smooth(series, 0.1) is series


def test_quantile_is_an_order_statistic():
    series = np.random.default_rng(1).normal(size=(41, 3))
    np.testing.assert_array_equal(quantile(series, 0.5), np.median(series, axis=0))
    np.testing.assert_array_equal(quantile(series, 1.0), series.max(axis=0))


@pytest.mark.parametrize(
    ("series", "arguments", "expected"),
    [
        ([0, 1, 3, 1, 0], (2.0, 0.5), [(1, 4)]),
        ([0, 1, 1, 1, 0], (2.0, 0.5), []),
        ([3, 3, 0, 3], (2.0, 0.5), [(0, 2), (3, 4)]),
        ([3, 3, 0, 3], (2.0, 0.5, 1, 2), [(0, 4)]),
        ([0, 3, 0, 3, 3], (2.0, 0.5, 2), [(3, 5)]),
        ([0, 0], (2.0, 0.5), []),
    ],
)
def test_spans_above(series, arguments, expected):
    spans = spans_above(np.array(series, dtype=float), *arguments)
    assert [(span.start, span.stop) for span in spans] == expected


def test_spans_above_refuses_crossed_bounds():
    with pytest.raises(ValueError, match="leave"):
        spans_above(np.zeros(3), 0.1, 0.2)


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        ([0, 1, 2, 3], [(0, 3, 3.0)]),
        ([3, 2, 0], [(0, 2, -3.0)]),
        ([0, 3, 2.5, 4, 0], [(0, 3, 4.0), (3, 4, -4.0)]),
        ([0, 0.5, 0, 0.5, 0], []),
        ([1, 0, 3, 1], [(0, 1, -1.0), (1, 2, 3.0), (2, 3, -2.0)]),
        ([0.5, 0, 3], [(1, 2, 3.0)]),
        ([2, 2, 2], []),
    ],
)
def test_swings(series, expected):
    assert swings(np.array(series, dtype=float), 1.0) == expected


@pytest.mark.parametrize("cycles", range(2, 13))
@pytest.mark.parametrize("seconds_each", [0.4, 0.7])
def test_oscillations_counts_cycles_along_any_axis(cycles, seconds_each):
    t = np.arange(0.0, cycles * seconds_each, 1.0 / FPS)
    direction = np.array([0.6, 0.0, 0.8])
    path = 0.3 * np.sin(2 * np.pi * t / seconds_each)[:, None] * direction + np.linspace(0, 0.5, len(t))[:, None]
    count, axis = oscillations(path, FPS, reversal=0.15)
    assert abs(count - cycles) <= 1
    assert abs(axis @ direction) > 0.95


def test_changing_span_leaves_out_the_flat_ends():
    series = np.concatenate([np.zeros(20), np.linspace(0, 90, 21), np.full(20, 90.0)])
    span = changing_span(series, 0, len(series) - 1)
    assert 20 <= span.start <= 24 and 37 <= span.stop <= 41


def test_steps():
    share = bodies.ramp(120, 0.0, 6.0)
    m = measure(bodies.travel(bodies.standing(120), 4.8 * share))
    assert abs(steps(m, Span(0, 120)) - 8) <= 1
    assert steps(measure(bodies.standing(40)), Span(0, 40)) == 0


def test_span():
    span = Span(3, 8)
    assert len(span) == 5 and span.overlap(Span(6, 20)) == 2 and span.overlap(Span(9, 10)) == 0
    assert list(range(10))[span.slice] == [3, 4, 5, 6, 7]
