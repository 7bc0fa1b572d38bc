"""The commands for motion beyond one clip."""

import numpy as np
import pytest
from html_reader import Reader
from tiny_unimo import tiny_unimo

from modeling_unimo import compose
from modeling_unimo.generate import describe


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("compose")
    model, processor = tiny_unimo()
    model.save_pretrained(root / "unimo")
    processor.save_pretrained(root / "unimo")
    model.generate_motion(["a person walks"], processor, duration=4, seed=0)[0].save(root / "walk.npz")
    return root


def run(command, folder, *arguments, output="out.npy"):
    command([*arguments, "--model", str(folder / "unimo"), "--output", str(folder / output), "--seed", "1"])
    return np.load(folder / output) if output.endswith(".npy") else (folder / output).read_text(encoding="utf-8")


def test_commands_write_motions(folder, capsys):
    walk = str(folder / "walk.npz")
    before = np.load(walk)["features"]
    more = run(compose.continue_, folder, walk, "a person jumps", "--duration", "3")
    assert more.shape == (140, 263) and np.array_equal(more[:80], before)
    assert "4.0 to 7.0 s  a person jumps" in capsys.readouterr().out
    edited = run(compose.edit, folder, walk, "a person waves", "--start", "1.2", "--end", "2.8")
    assert np.array_equal(edited[np.r_[0:24, 56:80]], before[np.r_[0:24, 56:80]])
    filled = run(compose.fill, folder, walk, walk, "a person waves", "--duration", "1")
    assert len(filled) == 180
    capsys.readouterr()
    line = run(compose.timeline, folder, "a person walks:2", "a person says: stop", "x:1.0", "--loop")
    out = capsys.readouterr().out
    assert "0.0 to 2.0 s  a person walks" in out and "a person says: stop" in out and f"{len(line)} frames" in out


def test_segments_are_marked_in_the_player(folder):
    page = Reader(run(compose.timeline, folder, "a person <walks>:2", "x:1", output="line.html")).check()
    (data,) = page.data()
    assert data["segments"] == [[0, 2, "a person <walks>"], [2, 3, "x"]]
    assert Reader(run(compose.timeline, folder, "x:1", output="one.html")).data()[0]["segments"] == [[0, 1, "x"]]


def test_a_long_motion_is_described_by_the_command(folder, capsys):
    np.save(folder / "long.npy", np.tile(np.load(folder / "walk.npz")["features"], (4, 1)))
    describe([str(folder / "long.npy"), "--model", str(folder / "unimo"), "--timeline", "--seed", "0", "--start", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].lstrip().startswith("1.0 to ") and "to 16.0 s" in lines[-1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a person walks:4", ("a person walks", 4.0)),
        ("a person walks", ("a person walks", None)),
        ("says: stop", ("says: stop", None)),
        ("at 10:30:2.5", ("at 10:30", 2.5)),
    ],
)
def test_how_a_segment_is_written(text, expected):
    assert compose.segment(text) == expected


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        (compose.continue_, ["walk.npz", "x", "--duration", "9.8"], "at most 9.6 seconds"),
        (compose.continue_, ["none.npz", "x"], "no motion file"),
        (compose.edit, ["walk.npz", "x", "--start", "3", "--end", "9"], "must lie within the motion, 0 to 4 s"),
        (compose.edit, ["walk.npz", "x"], "the whole motion"),
        (compose.fill, ["walk.npz", "walk.npz", " "], "must not be blank"),
        (compose.timeline, ["x:1", "y:20"], "segment 1: duration must be 0.2 to 9.8"),
    ],
)
def test_bad_input_is_named(folder, command, arguments, message):
    arguments = [str(folder / a) if a.endswith(".npz") else a for a in arguments]
    with pytest.raises(SystemExit, match=message) as stopped:
        run(command, folder, *arguments, output="never.npy")
    assert str(stopped.value.code).startswith("error: ")
    assert not (folder / "never.npy").exists()


def test_bad_options_are_refused_before_the_model_is_loaded(capsys):
    for options, message in (
        (["--output", "x.doc"], "use one of"),
        (["--output", "x.npy", "--temperature", "0"], "--temperature: must be > 0 and finite, got 0"),
        (["--output", "x.npy", "--temperature", "nan"], "--temperature: must be > 0 and finite, got nan"),
        ([], "required: --output"),
    ):
        with pytest.raises(SystemExit) as stopped:
            compose.timeline(["x", "--model", "none", *options])
        assert stopped.value.code == 2 and message in capsys.readouterr().err
