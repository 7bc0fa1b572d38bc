"""Rendering a dataset: one whole file a clip, safe names, going on after a kill, bad clips counted; and Blender."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bodies import standing, swing_arm, travel
from datasets_scripts.schema import Caption, Clip, Skipped, write_dataset
from datasets_scripts.thoughts import blender_render, render
from datasets_scripts.thoughts.blender_render import BlenderError, BlenderRenderer, find_blender
from datasets_scripts.thoughts.render import RenderJob, RenderSettings, file_name, render_clip, render_motion
from modeling_unimo import joints_to_features
from modeling_unimo.motion_representation import KIT
from modeling_unimo.rendering_unimo import VIEWS, render_frames, sheet_indices, staged

REPOSITORY = Path(__file__).resolve().parents[2]
SMALL = ["--size", "48", "--quiet"]


def walking(frames: int = 12) -> np.ndarray:
    return travel(standing(frames), np.linspace(0.0, 1.0, frames))


def clip(name: str, frames: int = 12, split: str = "test") -> Clip:
    return Clip(name, joints_to_features(walking(frames + 1)).astype(np.float32), [Caption("a person walks")], split)


def folder_of(tmp_path: Path, clips: list[Clip]) -> Path:
    write_dataset(iter(clips), tmp_path / "data")
    return tmp_path / "data"


def run(*arguments: object) -> int:
    return render.main([str(argument) for argument in (*arguments, "--split", "test", *SMALL)])


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_render_motion_is_the_frame_renderer():
    motion = walking(3)
    drawn = render_motion(motion, ("front", "side"), size=48, style="skeleton")
    np.testing.assert_array_equal(drawn, render_frames(motion, 48, ("front", "side"), style="skeleton"))
    assert drawn.shape == (3, 48, 96, 3) and drawn.dtype == np.uint8
    assert (drawn != render_motion(motion, ("front", "side"), size=48)).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"renderer": "povray"}, "renderer must be one of"),
        ({"style": "smpl"}, "style must be one of"),
        ({"views": ("back",)}, "view must be one of"),
        ({"size": 3}, "got 3"),
    ],
)
def test_render_motion_refuses_impossible_settings(arguments, message):
    with pytest.raises(ValueError, match=message):
        render_motion(walking(2), **({"size": 48} | arguments))


def test_a_skeleton_is_thinner_than_a_body_and_framed_alike():
    motion = swing_arm(standing(1), "left", 60.0)
    body, sticks = (render_motion(motion, ("front",), 160, style)[0].astype(int) for style in ("body", "skeleton"))
    blue = [np.argwhere(picture[..., 2] > picture[..., 0] + 60) for picture in (body, sticks)]
    assert 100 < len(blue[1]) < 0.75 * len(blue[0])
    a, b = (staged(motion, 160, "front", style=style).shots[0] for style in ("body", "skeleton"))
    np.testing.assert_array_equal(a.path, b.path)
    # Joints are round balls: about pi/4 of the square around each, never all of it.
    ball = staged(motion, 160, "front", style="skeleton").capsules[-1]
    assert ball[0] == ball[1]


@pytest.mark.parametrize("clip_id", ["000021", "M000021", "walk_1-b.c"])
def test_safe_ids_are_the_file_names(clip_id):
    assert file_name(clip_id, ".mp4") == f"{clip_id}.mp4"


ODD = [
    "a/b",
    "a\\b",
    "../../etc/passwd",
    "",
    ".",
    "..",
    "走る",
    "a b",
    "x" * 300,
    "con",
    "NUL.txt",
    ".hidden",
    "a\x00b",
    "\ud800",
]


def test_odd_ids_become_safe_and_different_names():
    names = [file_name(clip_id, ".mp4") for clip_id in ODD]
    assert len(set(names)) == len(ODD)
    for name in names:
        assert len(name) < 120 and not set(name) & set('/\\:*?"<>|\x00 ') and not name.startswith(".")
        assert name.isascii() and name.endswith(".mp4")
        assert name.split(".")[0].lower() not in ("con", "nul")
    assert file_name("a/b", ".mp4") != file_name("a_b", ".mp4")


def test_films_by_clip_id(tmp_path, capsys):
    av = pytest.importorskip("av")
    data = folder_of(tmp_path, [clip("one", 12), clip("dir/two", 9), clip("three", 7)])
    for name in "ab":
        assert run("--dataset", data, "--output", tmp_path / name, "--views", "front", "side") == 0
    assert "3 clips rendered (28 frames" in capsys.readouterr().out
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    index = {row["id"]: row["file"] for row in lines(tmp_path / "a" / "clips.jsonl")}
    assert index == {"one": "one.mp4", "dir/two": file_name("dir/two", ".mp4"), "three": "three.mp4"}
    with av.open(str(tmp_path / "a" / index["dir/two"])) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, float(stream.average_rate)) == (96, 48, 20.0)
        assert len(list(container.decode(video=0))) == 9


@pytest.mark.slow
def test_workers_change_nothing(tmp_path):
    pytest.importorskip("av")
    data = folder_of(tmp_path, [clip(f"c{i}", 6 + i) for i in range(10)])
    for workers in (1, 2):
        assert run("--dataset", data, "--output", tmp_path / str(workers), "--workers", workers) == 0
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


def test_contact_sheets_need_no_film_library(tmp_path, monkeypatch, capsys):
    image = pytest.importorskip("PIL.Image")
    monkeypatch.setattr(render.rendering_unimo, "av", None)
    data = folder_of(tmp_path, [clip("one")])
    out = tmp_path / "out"
    assert run("--dataset", data, "--output", out, "--format", "png", "--sheet_frames", 6) == 0
    with image.open(out / "one.png") as sheet:
        assert sheet.size == (4 * 48, 2 * 48)
    assert run("--dataset", data, "--output", tmp_path / "film") == 2
    assert "pip install av" in capsys.readouterr().err and not (tmp_path / "film").exists()


def test_a_second_run_draws_nothing_and_a_longer_one_only_the_rest(tmp_path, monkeypatch, capsys):
    data = folder_of(tmp_path, [clip(f"c{i}", 6) for i in range(5)])
    command = ("--dataset", data, "--output", tmp_path / "out", "--format", "png")
    assert run(*command, "--limit", 2) == 0
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.png")}
    assert sorted(before) == ["c0.png", "c1.png"]
    drawn = []
    monkeypatch.setattr(render, "render_clip", lambda job: drawn.append(job.id) or render_clip(job))
    assert run(*command) == 0
    assert drawn == ["c2", "c3", "c4"] and "2 existed already" in capsys.readouterr().out
    assert run(*command) == 0 and len(drawn) == 3
    assert all((tmp_path / "out" / name).stat().st_mtime_ns == at for name, at in before.items())
    assert [row["id"] for row in lines(tmp_path / "out" / "clips.jsonl")] == [f"c{i}" for i in range(5)]


def test_other_settings_or_other_data_are_not_mixed_into_a_folder(tmp_path, capsys):
    data = folder_of(tmp_path, [clip("one")])
    command = ("--output", tmp_path / "out", "--format", "png")
    assert run("--dataset", data, *command) == 0
    assert run("--dataset", data, *command, "--style", "skeleton") == 2
    assert "style was 'body', is 'skeleton'" in capsys.readouterr().err
    write_dataset(iter([clip("one", 20)]), data)
    assert run("--dataset", data, *command) == 2
    assert "other data" in capsys.readouterr().err
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "render.json").write_text("{")
    for name, message in (("full", "contains other files"), ("file", "is a file"), ("torn", "not valid JSON")):
        assert run("--dataset", data, "--output", tmp_path / name) == 2
        assert message in capsys.readouterr().err
    assert (tmp_path / "full" / "letter.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset", "nowhere"], "no such dataset folder"),
        (["--size", "4"], "between 16 and 4096"),
        (["--views", "front", "front"], "different ones"),
        (["--split", "train"], "no split 'train'"),
    ],
)
def test_impossible_commands_are_refused_and_leave_nothing(arguments, message, tmp_path, capsys):
    data = folder_of(tmp_path, [clip("one")])
    base = ["--dataset", str(data), "--output", str(tmp_path / "out"), "--split", "test", *SMALL]
    assert render.main([*base, *arguments]) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_wrong_words_on_the_command_line(tmp_path, capsys):
    for arguments in (["--views", "back"], ["--blender", "x"], ["--workers", "0"], ["--format", "gif"]):
        with pytest.raises(SystemExit) as stop:
            render.main(["--dataset", "d", "--output", str(tmp_path / "out"), *arguments])
        assert stop.value.code == 2
    assert "--blender requires --renderer blender" in capsys.readouterr().err


def broken(kind: str) -> RenderJob:
    features = clip("x", 8).features.copy()
    fps = 20.0
    if kind == "nan":
        features[3, 7] = np.nan
    elif kind == "far":
        features[:, 1] = 1e7
    elif kind == "no frames":
        features = features[:0]
    elif kind == "one frame":
        features = features[:1]
    else:
        fps = {"fps": 0.0, "fps nan": float("nan"), "fps huge": 1e9}[kind]
    return RenderJob("x", features, fps, Path("never.mp4"), RenderSettings(size=48))


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("nan", "NaN or infinite values"),
        ("far", "cannot be drawn"),
        ("no frames", "no motion"),
        ("one frame", "no motion"),
        ("fps", "impossible frame rate"),
        ("fps nan", "impossible frame rate"),
        ("fps huge", "impossible frame rate"),
    ],
)
def test_bad_clips_are_skipped_with_a_reason(kind, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = render_clip(broken(kind))
    assert isinstance(result, Skipped) and result.reason == reason and result.detail
    assert not list(tmp_path.iterdir())


def test_skipped_clips_are_counted_and_the_others_drawn(tmp_path, capsys):
    far = clip("far")
    far.features[:, 1] = 1e7
    case = [clip("walk", 6), clip("WALK", 6)]
    data = folder_of(tmp_path, [far, *case])
    assert run("--dataset", data, "--output", tmp_path / "out", "--format", "png") == 0
    shown = capsys.readouterr().out
    assert "1 clips rendered" in shown and "clips skipped: 2" in shown
    assert "cannot be drawn: far (joints reaches" in shown and "file name taken: WALK" in shown
    assert {row["id"]: row["reason"] for row in lines(tmp_path / "out" / "skipped.jsonl")} == {
        "far": "cannot be drawn",
        "WALK": "file name taken",
    }


def test_kit_clips_are_drawn_and_other_widths_refused(tmp_path, capsys):
    rng = np.random.default_rng(0)
    features = np.zeros((8, KIT.feature_dim), np.float32)
    features[:, 3] = 900.0
    features[:, 4:64] = rng.normal(0, 300, 60)
    write_dataset(
        iter([Clip("k", features, [Caption("a")], "test", fps=12.5)]), tmp_path / "kit", feature_dim=KIT.feature_dim
    )
    assert run("--dataset", tmp_path / "kit", "--output", tmp_path / "out", "--format", "png") == 0
    assert (tmp_path / "out" / "k.png").stat().st_size > 1000
    write_dataset(
        iter([Clip("k", np.zeros((8, 66), np.float32), [Caption("a")], "test")]), tmp_path / "odd", feature_dim=66
    )
    assert run("--dataset", tmp_path / "odd", "--output", tmp_path / "no") == 2
    assert "66-dimensional" in capsys.readouterr().err


def test_thousands_of_frames_are_streamed(tmp_path):
    job = RenderJob("x", clip("x", 3000).features, 20.0, tmp_path / "x.png", RenderSettings(size=16, format="png"))
    assert render_clip(job) == 8 and job.path.is_file()
    frames = render.iter_motion(travel(standing(3000), np.linspace(0, 50, 3000)), size=16)
    assert next(frames).shape == (16, 16, 3) and iter(frames) is frames


@pytest.mark.slow
def test_a_killed_run_goes_on_without_doing_a_clip_twice_or_leaving_half_of_one(tmp_path):
    pytest.importorskip("av")
    data = folder_of(tmp_path, [clip(f"c{i:02d}", 150) for i in range(12)])
    out = tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "datasets_scripts.thoughts.render",
        "--dataset",
        data,
        "--output",
        out,
        "--split",
        "test",
    ]
    command = [str(word) for word in (*command, "--size", 128, "--quiet")]
    process = subprocess.Popen(command, cwd=REPOSITORY, env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        until = time.monotonic() + 120
        while len(list(out.glob("c*.mp4"))) < 3 and process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    done = {path.name: path.stat().st_mtime_ns for path in out.glob("c*.mp4")}
    assert 3 <= len(done) < 12
    (out / ".c99.mp4.part.mp4").write_bytes(b"half")
    assert render.main([*command[3:], "--workers", "1"]) == 0
    assert sorted(path.name for path in out.iterdir()) == sorted(
        [*(f"c{i:02d}.mp4" for i in range(12)), "clips.jsonl", "render.json", "skipped.jsonl"]
    )
    assert all((out / name).stat().st_mtime_ns == at for name, at in done.items())
    again = tmp_path / "again"
    assert render.main([*command[3:], "--output", str(again)]) == 0
    assert contents(again) == contents(out)


# ---------------------------------------------------------------------------------------------------------- Blender


def fake(tmp_path: Path, script: str) -> BlenderRenderer:
    """A "Blender" that runs `script` with the folder of the job in `folder`."""
    path = tmp_path / "fake.py"
    path.write_text(f"import sys, json, time\nimport numpy as np\nfolder = sys.argv[-1]\n{script}\n")
    return BlenderRenderer((sys.executable, str(path)), seconds_per_frame=0.0)


GOOD = """
job = json.load(open(folder + "/job.json"))
points, paths = np.load(folder + "/points.npy"), np.load(folder + "/paths.npy")
shape = (len(points), job["height"], job["width"] * len(job["shots"]), 3)
np.save(folder + "/frames.npy", np.full(shape, 7, np.uint8))
"""


def test_blender_gets_the_same_stage_and_its_frames_come_back(tmp_path):
    staging = staged(walking(9), 48, ("front", "top"))
    frames = list(fake(tmp_path, GOOD).iter_frames(staging, sheet_indices(9, 4)))
    assert len(frames) == 4 and frames[0].shape == (48, 96, 3) and (frames[0] == 7).all()


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("print('no device'); sys.exit(3)", "status 3 and no frames. It printed:\nno device"),
        ("pass", "status 0 and no frames"),
        (GOOD + "\nprint('Traceback (most recent call last):')", "no frames"),
        ("np.save(folder + '/frames.npy', np.zeros((1, 2, 3, 3), np.uint8))", "shape"),
    ],
)
def test_a_blender_that_fails_is_reported_with_what_it_printed(script, message, tmp_path):
    with pytest.raises(BlenderError, match=message):
        list(fake(tmp_path, script).iter_frames(staged(walking(2), 48), [0]))


def test_a_blender_that_hangs_is_given_up(tmp_path, monkeypatch):
    renderer = BlenderRenderer(fake(tmp_path, "time.sleep(60)").command, seconds_per_frame=-59.7)
    with pytest.raises(BlenderError, match="had not finished"):
        list(renderer.iter_frames(staged(walking(2), 48), [0]))


def test_clips_that_blender_fails_on_are_counted_and_three_in_a_row_end_the_run(tmp_path):
    data = folder_of(tmp_path, [clip(f"c{i}", 6 + i) for i in range(5)])

    def settings(script: str) -> RenderSettings:
        return RenderSettings(size=48, format="png", renderer="blender", blender=fake(tmp_path, script))

    # Eight frames of the longer clips, fewer of the others: it fails on one of them.
    one = GOOD.replace("shape =", "sys.exit(5) if len(points) == 7 else 0\nshape =")
    summary = render.render_dataset(data, tmp_path / "one", settings(one), "test")
    assert (summary.rendered, summary.failed) == (4, 1) and "Blender failed: c1" in summary.table()
    with pytest.raises(BlenderError, match="3 clips in a row failed, the last one c2"):
        render.render_dataset(data, tmp_path / "none", settings("sys.exit(5)"), "test")


def test_a_missing_blender_is_named(tmp_path, monkeypatch, capsys):
    data = folder_of(tmp_path, [clip("one")])
    for words in (["--blender", "no-such-blender"], ["--blender_python", "no-such-python"]):
        assert run("--dataset", data, "--output", tmp_path / "out", "--renderer", "blender", *words) == 2
        assert words[1] in capsys.readouterr().err
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="apt-get install"):
        find_blender()
    with pytest.raises(ValueError, match="not both"):
        find_blender("blender", "python")
    with pytest.raises(ValueError, match="separate virtual environment"):
        find_blender(python=sys.executable)
    assert not (tmp_path / "out").exists()


def test_a_python_without_bpy_is_refused(tmp_path):
    link = tmp_path / "python"
    link.symlink_to(sys.executable)
    with pytest.raises(BlenderError, match="no working bpy module.*\n.*ModuleNotFoundError|No module named"):
        find_blender(python=link)


def test_the_environment_of_this_package_does_not_reach_blender(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    script = GOOD + "\nimport os\nassert 'PYTHONPATH' not in os.environ"
    assert list(fake(tmp_path, script).iter_frames(staged(walking(2), 48), [0, 1]))


def test_nothing_here_imports_bpy():
    for path in sorted((REPOSITORY / "datasets_scripts").rglob("*.py")):
        if path.name != "blender_scene.py":
            assert "\nimport bpy" not in path.read_text(encoding="utf-8"), path
            assert "import blender_scene" not in path.read_text(encoding="utf-8"), path


@pytest.fixture(scope="module", params=["executable", "module"])
def blender(request) -> BlenderRenderer:
    """A real Blender: the one on PATH, and the Python with bpy that UNIMO_BLENDER_PYTHON names."""
    if request.param == "module" and "UNIMO_BLENDER_PYTHON" not in os.environ:
        pytest.skip("UNIMO_BLENDER_PYTHON names no Python that has the bpy module")
    python = os.environ["UNIMO_BLENDER_PYTHON"] if request.param == "module" else None
    try:
        return find_blender(python=python, samples=4)
    except FileNotFoundError as error:
        pytest.skip(str(error))


@pytest.mark.slow
def test_blender_draws_the_body_where_the_capsule_renderer_does(blender):
    motion = swing_arm(standing(2), "left", np.array([0.0, 90.0]))
    drawn = render_motion(motion, ("front", "side"), 96, renderer="blender", blender=blender)
    own = render_motion(motion, ("front", "side"), 96)
    assert drawn.shape == own.shape and drawn.dtype == np.uint8
    for frame in range(2):
        for sign in (1, -1):
            found = []
            for picture in (drawn[frame].astype(int), own[frame].astype(int)):
                found.append(sign * (picture[..., 2] - picture[..., 0]) > 60)
            both = np.logical_and(*found).sum()
            assert both > 0.6 * np.logical_or(*found).sum() > 60
    np.testing.assert_array_equal(
        drawn, render_motion(motion, ("front", "side"), 96, renderer="blender", blender=blender)
    )


def test_all_views_are_known_here():
    assert set(VIEWS) == {"three-quarter", "front", "side", "top"}
    assert blender_render.SCENE.is_file()
