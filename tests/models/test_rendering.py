"""The frame renderer: what is where in a picture, determinism, files, refusals, speed."""

import io

import numpy as np
import pytest

from bodies import bump, standing, swing_arm, travel, turn
from modeling_unimo import rendering_unimo as rendering
from modeling_unimo.bodies_unimo import BODIES, LEFT, RIGHT, SIDE_COLORS, TRUNK
from modeling_unimo.motion_representation import HUMANML3D, KIT
from modeling_unimo.rendering_unimo import (
    contact_sheet,
    iter_frames,
    motion_strip,
    png_bytes,
    render_frames,
    save_gif,
    save_mp4,
    save_png,
)


def walking(frames: int = 40, metres: float = 3.0) -> np.ndarray:
    return travel(standing(frames), np.linspace(0.0, metres, frames))


def kit_standing(frames: int = 3) -> np.ndarray:
    """A KIT-ML body in millimetres, facing +Z as processed clips do."""
    joints = np.zeros((21, 3))
    for joint in KIT.order:
        direction = KIT.raw_offsets[joint].copy()
        if joint in (5, 8, 11, 16):
            direction *= -1  # the published rest pose has left and right the other way round
        joints[joint] = joints[KIT.parents[joint]] + direction * (410 if joint in (12, 13, 17, 18) else 150)
    joints[:, 1] -= joints[:, 1].min()
    return np.repeat(joints[None], frames, axis=0)


def where(picture: np.ndarray, side: int) -> np.ndarray:
    """(N, 2) rows and columns of the pixels in the hue of one side."""
    pixels = picture.astype(float)
    red, blue = pixels[..., 0], pixels[..., 2]
    if side == LEFT:
        return np.argwhere(blue > red + 60)
    if side == RIGHT:
        return np.argwhere(red > blue + 60)
    raise AssertionError(side)


@pytest.mark.parametrize("view", rendering.VIEWS)
@pytest.mark.parametrize("camera", rendering.CAMERAS)
def test_frames_are_pictures_with_both_sides_in_them(view, camera):
    # Arms a little forward, or the view from above would see nothing but shoulders.
    motion = swing_arm(swing_arm(walking(3, 0.2), "left", 30.0), "right", 30.0)
    frames = render_frames(motion, size=96, view=view, camera=camera)
    assert frames.shape == (3, 96, 96, 3) and frames.dtype == np.uint8
    for frame in frames:
        assert len(where(frame, LEFT)) > 8 and len(where(frame, RIGHT)) > 8


def test_sizes_views_and_generator_agree():
    motion = walking(2)
    assert render_frames(motion, size=(40, 72)).shape == (2, 40, 72, 3)
    sheet = render_frames(motion, size=48, view=("front", "side", "top"))
    assert sheet.shape == (2, 48, 144, 3)
    for i, view in enumerate(("front", "side", "top")):
        np.testing.assert_array_equal(sheet[:, :, 48 * i : 48 * (i + 1)], render_frames(motion, size=48, view=view))
    np.testing.assert_array_equal(np.stack(list(iter_frames(motion, size=48))), render_frames(motion, size=48))


def test_same_motion_same_bytes():
    assert render_frames(walking(4), size=64).tobytes() == render_frames(walking(4), size=64).tobytes()


@pytest.mark.parametrize("facing", [0.0, 90.0, 200.0])
def test_front_view_shows_the_left_limbs_on_the_right_whichever_way_the_clip_faces(facing):
    frame = render_frames(turn(standing(1), facing), size=128, view="front")[0]
    assert where(frame, LEFT)[:, 1].mean() > 66 > 62 > where(frame, RIGHT)[:, 1].mean()


def test_side_view_comes_from_the_right_and_the_body_walks_to_the_right():
    frames = render_frames(walking(), size=128, view="side", camera="fixed")
    assert len(where(frames[0], RIGHT)) > 1.5 * len(where(frames[0], LEFT))
    assert where(frames[-1], RIGHT)[:, 1].mean() > where(frames[0], RIGHT)[:, 1].mean() + 40


def test_following_camera_keeps_the_body_in_the_middle_and_the_fixed_one_keeps_it_in_the_picture():
    long = travel(standing(100), np.linspace(0.0, 30.0, 100))
    for frame in render_frames(long, size=96)[20:80:9]:
        body = np.concatenate([where(frame, LEFT), where(frame, RIGHT)])
        assert abs(body[:, 1].mean() - 48) < 14
    for frame in render_frames(travel(standing(20), np.linspace(0.0, 6.0, 20)), size=96, camera="fixed")[::5]:
        body = np.concatenate([where(frame, LEFT), where(frame, RIGHT)])
        assert len(body) > 10 and body.min() > 0 and body.max() < 95


def test_nothing_of_the_body_is_cut_off():
    arms_up = swing_arm(swing_arm(standing(20), "left", 180 * bump(20, 0.1, 0.9)), "right", 180 * bump(20, 0.1, 0.9))
    for view in rendering.VIEWS:
        for frame in render_frames(arms_up, size=96, view=view)[::4]:
            body = np.concatenate([where(frame, LEFT), where(frame, RIGHT)])
            assert body.min() >= 1 and body.max() <= 94


def test_nearer_limbs_hide_farther_ones():
    def orange_on_the_chest(forward: float) -> int:
        joints = standing(1)
        joints[0, 19] = joints[0, 9] + [-0.20, 0.0, 0.8 * forward]
        joints[0, 21] = joints[0, 9] + [0.10, 0.0, forward]
        found = where(render_frames(joints, size=200, view="front")[0], RIGHT)
        return int(((found[:, 0] < 110) & (found[:, 1] > 85)).sum())

    in_front, behind = orange_on_the_chest(0.30), orange_on_the_chest(-0.30)
    assert in_front > 150 and behind < 0.4 * in_front


def test_the_shadow_lies_on_the_ground_and_leaves_a_jumping_body():
    def shaded(height: float) -> tuple[int, float]:
        """Ground pixels that get darker, and how far they are from the picture's middle."""
        joints = standing(1)
        joints[..., 1] += height
        body = BODIES[22]
        scale = body.scale(joints)
        view = rendering._View.of(body.heading(joints), 0.0, 89.0, 128, 128)
        scene = rendering._Scene(view, body, scale)
        camera = np.array([0.0, 6.0, 0.0])
        scene.backdrop(camera, 0.0)
        before = scene.picture().astype(int)
        scene.shadow(body.points(joints, scale)[0], camera, 0.0)
        darker = np.argwhere((before - scene.picture()).mean(-1) > 10)
        return len(darker), float(np.linalg.norm(darker.mean(axis=0) - 64))

    (area, near), (_, far) = shaded(0.0), shaded(0.8)
    assert area > 100 and far > near + 5


def test_kit_bodies_are_drawn_from_millimetres():
    frames = render_frames(kit_standing(), size=96, view="front")
    assert frames.shape == (3, 96, 96, 3)
    assert where(frames[0], LEFT)[:, 1].mean() > where(frames[0], RIGHT)[:, 1].mean()
    assert len(where(frames[0], LEFT)) > 60


@pytest.mark.parametrize("skeleton", [HUMANML3D, KIT], ids=lambda s: s.name)
def test_bodies_match_their_skeletons(skeleton):
    body = BODIES[skeleton.num_joints]
    assert body.name == skeleton.name and body.metres_per_unit == skeleton.unit_scale
    points = skeleton.num_joints + len(body.between) + len(body.beyond)
    drawn = {TRUNK: set(), LEFT: set(), RIGHT: set()}
    for start, end, radius_a, radius_b, side in body.capsules:
        assert 0 <= start < points and 0 <= end < points and start != end
        assert 0.02 < radius_a < 0.12 and 0.02 < radius_b < 0.12
        drawn[side] |= {joint for joint in (start, end) if joint < skeleton.num_joints}
    assert drawn[LEFT] <= set(skeleton.left) and drawn[RIGHT] <= set(skeleton.right)
    # Every joint that ends an arm or a leg is drawn, and both sides have the same number of capsules.
    assert {chain[-1] for chain in skeleton.chains} <= set().union(*drawn.values())
    assert len(drawn[LEFT]) == len(drawn[RIGHT])
    assert len({c for c in body.capsules if c[4] == LEFT}) == len({c for c in body.capsules if c[4] == RIGHT})


def test_odd_but_legal_bodies_draw():
    point = np.zeros((2, 22, 3))
    assert render_frames(point, size=48).shape == (2, 48, 48, 3)
    upside_down = standing(1) * [1.0, -1.0, 1.0]
    assert render_frames(upside_down, size=48).shape == (1, 48, 48, 3)
    far = standing(2) + [5000.0, 0.0, -5000.0]
    assert len(where(render_frames(far, size=96)[0], LEFT)) > 30
    assert render_frames(standing(1).astype(np.float32), size=48).shape == (1, 48, 48, 3)


# A NaN, a wrong count and no frames are what a broken feature file turns into.
def broken(kind: str) -> np.ndarray:
    joints = standing(3)
    if kind == "nan":
        joints[1, 4, 2] = np.nan
    elif kind == "inf":
        joints[2, 0, 0] = np.inf
    elif kind == "joints":
        return joints[:, :20]
    elif kind == "empty":
        return joints[:0]
    elif kind == "features":
        return np.zeros((10, 263))
    elif kind == "batch":
        return joints[None]
    elif kind == "plane":
        return joints[..., :2]
    elif kind == "text":
        return joints.astype(str)
    elif kind == "units":
        return joints * 1e6
    return joints


BROKEN = {
    "nan": "NaN or infinite positions in 1 of 3 frames",
    "inf": "NaN or infinite",
    "joints": "shape",
    "empty": "no frames",
    "features": "features_to_joints",
    "batch": "shape",
    "plane": "shape",
    "text": "real numbers",
    "units": "check the unit",
}


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize(
    "function", [render_frames, iter_frames, contact_sheet, motion_strip], ids=lambda f: f.__name__
)
def test_broken_motion_is_refused(function, kind):
    with pytest.raises(ValueError, match=BROKEN[kind]):
        function(broken(kind))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"view": "back"}, "view must be one of .*, got 'back'"),
        ({"view": ()}, "view must be"),
        ({"view": ("front", "left")}, "one of three-quarter, front, side, top"),
        ({"camera": "drone"}, "camera must be one of .*, got 'drone'"),
        ({"size": 0}, "size must be .*, got 0"),
        ({"size": (64, 9999)}, "16 to 4096"),
        ({"fps": 0.0}, "fps must be > 0, got 0"),
    ],
)
def test_impossible_settings_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        render_frames(standing(1), **arguments)


def test_contact_sheet_shows_the_first_and_the_last_frame():
    motion = walking(30)
    sheet = contact_sheet(motion, n=8, size=64)
    assert sheet.shape == (2 * 64, 4 * 64, 3) and sheet.dtype == np.uint8
    frames = render_frames(motion, size=64)
    for cell, frame in (((0, 0), frames[0]), ((1, 3), frames[-1])):
        part = sheet[64 * cell[0] : 64 * cell[0] + 62, 64 * cell[1] : 64 * cell[1] + 62]
        np.testing.assert_array_equal(part[20:], frame[20:62, :62])
        assert (part[:20] != frame[:20, :62]).any()  # the time stamp
    assert contact_sheet(motion[:3], n=8, size=48).shape == (48, 3 * 48, 3)
    assert contact_sheet(motion, n=5, columns=2, size=48).shape == (3 * 48, 2 * 48, 3)
    assert contact_sheet(motion, n=2, size=48, view=("front", "side", "top")).shape == (2 * 48, 3 * 48, 3)
    for bad in ({"n": 0}, {"n": 2, "columns": 0}):
        with pytest.raises(ValueError, match="must be >= 1"):
            contact_sheet(motion, **bad)


@pytest.mark.parametrize(
    "motion", [walking(40, 5.0), walking(40, 0.0), standing(1)], ids=["path", "spot", "one frame"]
)
def test_strip_spreads_the_poses_over_its_width(motion):
    strip = motion_strip(motion, n=5, size=(120, 480))
    assert strip.shape == (120, 480, 3)
    columns = where(strip, RIGHT)[:, 1]
    assert len(columns) > 40
    if len(motion) > 1:
        assert columns.min() < 140 and columns.max() > 340
    with pytest.raises(ValueError, match="ghosts"):
        motion_strip(motion, ghosts=-1)


def test_ghosts_add_to_the_strip_and_never_hide_a_pose():
    motion = walking(40, 0.0)
    with_ghosts, without = (motion_strip(motion, n=4, ghosts=g, size=(120, 480)) for g in (2, 0))
    assert (with_ghosts != without).any()
    assert len(where(with_ghosts, LEFT)) >= len(where(without, LEFT)) * 0.98


def test_time_stamps_refuse_what_they_cannot_write():
    with pytest.raises(ValueError, match="text must consist of"):
        rendering.stamp(np.zeros((40, 40, 3), np.uint8), "a")


def test_png_reads_back_exactly(tmp_path):
    image = pytest.importorskip("PIL.Image")
    picture = render_frames(walking(1), size=(50, 70))[0]
    path = save_png(tmp_path / "frame.png", picture)
    np.testing.assert_array_equal(np.asarray(image.open(path)), picture)
    np.testing.assert_array_equal(np.asarray(image.open(io.BytesIO(png_bytes(picture)))), picture)
    assert [p.name for p in tmp_path.iterdir()] == ["frame.png"]


def test_gif_holds_every_frame(tmp_path):
    image = pytest.importorskip("PIL.Image")
    path = save_gif(tmp_path / "walk.gif", iter_frames(walking(6), size=48), fps=20)
    with image.open(path) as gif:
        assert gif.n_frames == 6 and gif.info["duration"] == 50 and gif.size == (48, 48)


def test_mp4_holds_every_frame(tmp_path):
    av = pytest.importorskip("av")
    # An odd size, which H.264 cannot hold, is padded.
    frames = render_frames(walking(12), size=(47, 65))
    path = save_mp4(tmp_path / "walk.mp4", iter(frames), fps=12.5)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert float(stream.average_rate) == 12.5
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(decoded) == 12 and decoded[0].shape == (48, 66, 3)
    assert np.abs(decoded[3][:47, :65].astype(int) - frames[3]).mean() < 12
    assert [p.name for p in tmp_path.iterdir()] == ["walk.mp4"]


@pytest.mark.parametrize("save", [save_gif, save_mp4], ids=lambda f: f.__name__)
def test_failed_films_leave_nothing_behind(save, tmp_path):
    pytest.importorskip("av" if save is save_mp4 else "PIL.Image")
    picture = np.zeros((32, 32, 3), np.uint8)
    for frames in ([], [picture, picture.astype(float)], [picture, np.zeros((0, 32, 3), np.uint8)]):
        with pytest.raises(ValueError):
            save(tmp_path / "film", frames)
    assert not list(tmp_path.iterdir())
    if save is save_mp4:
        with pytest.raises(ValueError, match="all must be equal"):
            save(tmp_path / "film.mp4", [picture, np.zeros((16, 32, 3), np.uint8)])
        with pytest.raises(ValueError, match="fps"):
            save(tmp_path / "film.mp4", [picture], fps=0)
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("save", "module"), [(save_gif, "Image"), (save_mp4, "av")])
def test_missing_packages_are_named(save, module, tmp_path, monkeypatch):
    monkeypatch.setattr(rendering, module, None)
    with pytest.raises(ImportError, match="pip install"):
        save(tmp_path / "film", [np.zeros((32, 32, 3), np.uint8)])


def test_save_png_refuses_what_is_no_picture(tmp_path):
    for picture in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(ValueError, match="must be uint8"):
            save_png(tmp_path / "x.png", picture)
    assert not list(tmp_path.iterdir())


def test_left_and_right_have_different_colours():
    assert SIDE_COLORS[LEFT] != SIDE_COLORS[RIGHT]
