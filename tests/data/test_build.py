"""The build command: each source to a dataset folder, thoughts filled in, errors without traceback or leftovers."""

import json
import re

import motion_files as files
import numpy as np
import pytest

from datasets_scripts import build
from datasets_scripts.schema import Caption, Clip, Skipped, load_motion_dataset


def run(*arguments) -> int:
    return build.main([str(argument) for argument in (*arguments, "--quiet")])


@pytest.fixture
def bvh_folder(tmp_path):
    folder = tmp_path / "bvh"
    folder.mkdir()
    for index in range(4):
        (folder / f"walk{index}.bvh").write_text(files.bvh_text(frames=50 + 10 * index))
    (folder / "broken.bvh").write_text("HIERARCHY")
    names = [*(f"walk{index}" for index in range(4)), "broken"]
    files.write_captions(folder, [{"id": name, "captions": ["a person walks.", "someone walks."]} for name in names])
    return folder


def test_bvh_to_dataset(bvh_folder, tmp_path, capsys) -> None:
    assert run("--source", "bvh", "--data_dir", bvh_folder, "--output", tmp_path / "out") == 0
    output = capsys.readouterr().out
    assert "4 clips kept, 1 dropped" in output and "unreadable BVH: broken" in output
    dataset = load_motion_dataset(tmp_path / "out")
    assert set(dataset) == {"train", "validation", "test"}
    for row in (row for part in dataset.values() for row in part):
        thoughts = [caption["thought"] for caption in row["captions"]]
        assert len(thoughts) == 2 and all(len(thought.split()) > 5 for thought in thoughts)
    made = json.loads((tmp_path / "out" / "build.json").read_text())
    assert made["skipped"]["clip"] == {"unreadable BVH": 1}


def test_thoughts_as_plans(bvh_folder, tmp_path, capsys) -> None:
    options = ["--source", "bvh", "--data_dir", bvh_folder, "--style", "plan", "--limit", 2]
    assert run(*options, "--output", tmp_path / "plans") == 0
    rows = [row for part in load_motion_dataset(tmp_path / "plans").values() for row in part]
    told = [caption["thought"] for row in rows for caption in row["captions"]]
    assert told and all(text.endswith(".") and re.match(r"(at|from|standing)", text) for text in told)
    assert run(*options, "--output", tmp_path / "none", "--annotator", "none") == 2
    assert "--style has no effect with --annotator none" in capsys.readouterr().err


def test_annotator_none_leaves_thoughts_empty(bvh_folder, tmp_path) -> None:
    out = tmp_path / "out"
    assert run("--source", "bvh", "--data_dir", bvh_folder, "--output", out, "--annotator", "none", "--limit", 2) == 0
    rows = [row for part in load_motion_dataset(out).values() for row in part]
    assert len(rows) == 2 and {caption["thought"] for row in rows for caption in row["captions"]} == {""}


def test_joints_to_dataset(tmp_path) -> None:
    folder = tmp_path / "joints"
    folder.mkdir()
    for index in range(3):
        np.save(folder / f"{index}.npy", files.joints(60 + index).astype(np.float32))
    files.write_captions(folder, [{"id": str(index), "captions": ["a person walks."]} for index in range(3)])
    assert run("--source", "joints", "--data_dir", folder, "--output", tmp_path / "out") == 0
    assert sum(len(part) for part in load_motion_dataset(tmp_path / "out").values()) == 3
    arguments = ["--source", "joints", "--data_dir", folder, "--output", tmp_path / "long", "--min_frames", 60]
    assert run(*arguments) == 0
    assert sum(len(part) for part in load_motion_dataset(tmp_path / "long").values()) == 2


def test_humanml3d_and_kit_to_dataset(tmp_path, capsys) -> None:
    folder = files.humanml3d_folder(tmp_path / "h3d")
    assert run("--source", "humanml3d", "--data_dir", folder, "--output", tmp_path / "out") == 0
    assert len(load_motion_dataset(tmp_path / "out")["train"]) == 8
    kit = files.humanml3d_folder(tmp_path / "kit", dim=251)
    assert run("--source", "humanml3d", "--data_dir", kit, "--output", tmp_path / "kit_out") == 0
    row = load_motion_dataset(tmp_path / "kit_out")["train"][0]
    assert row["motion"].shape[1] == 251 and row["fps"] == 12.5
    kinematic = ["--annotator", "kinematic", "--output", tmp_path / "no"]
    assert run("--source", "humanml3d", "--data_dir", kit, *kinematic) == 2
    assert "--annotator none" in capsys.readouterr().err


def test_synthetic_to_dataset_twice_the_same(tmp_path) -> None:
    counts = ["--num_train", 4, "--num_validation", 1, "--num_test", 2, "--num_hard", 1, "--attribute_pools", 0]
    for name in "ab":
        assert run("--source", "synthetic", "--seed", 3, *counts, "--output", tmp_path / name) == 0
    first, second = (load_motion_dataset(tmp_path / name) for name in "ab")
    assert len(first["train"]) == 4 and len(first["test"]) == 2
    for part in first:
        assert list(first[part]["id"]) == list(second[part]["id"])
        for one, other in zip(first[part], second[part], strict=True):
            np.testing.assert_array_equal(one["motion"], other["motion"])
            assert [c["text"] for c in one["captions"]] == [c["text"] for c in other["captions"]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--source", "bvh", "--data_dir", "none"], "no such folder of BVH files"),
        (["--source", "joints", "--data_dir", "none"], "no such folder"),
        (["--source", "humanml3d", "--data_dir", "none"], "no such folder"),
        (["--source", "joints", "--data_dir", "."], "neither .npy"),
        (["--source", "bvh", "--data_dir", "bvh", "--joint_map", "none.json"], "no such joint map"),
        (["--source", "bvh", "--data_dir", "bvh", "--min_frames", "500"], "must hold"),
    ],
)
def test_errors_name_what_is_wrong_and_leave_nothing(tmp_path, monkeypatch, capsys, arguments, message) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bvh").mkdir()
    (tmp_path / "bvh" / "a.bvh").write_text(files.bvh_text())
    files.write_captions(tmp_path / "bvh", [{"id": "a", "caption": "a person walks."}])
    assert run(*arguments, "--output", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error
    assert [path.name for path in tmp_path.iterdir()] == ["bvh"]


@pytest.mark.parametrize(
    "arguments",
    [["--source", "bvh"], ["--source", "synthetic", "--data_dir", "x"], ["--source", "video"], ["--colour", "red"]]
    + [["--source", "synthetic", "--limit", "0"], ["--source", "synthetic", "--num_train", "-1"]],
)
def test_wrong_options_are_refused(tmp_path, arguments) -> None:
    with pytest.raises(SystemExit):
        run(*arguments, "--output", tmp_path / "out")


def test_output_that_holds_something_else_is_refused_before_any_work(bvh_folder, tmp_path, capsys) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    assert run("--source", "bvh", "--data_dir", bvh_folder, "--output", out) == 2
    assert "thesis.txt" in capsys.readouterr().err and (out / "thesis.txt").exists()


def test_thoughts_are_written_for_the_part_that_a_caption_describes() -> None:
    seen: list[tuple[int, str]] = []

    def annotate(motions, captions):
        seen.extend((len(motion), caption) for motion, caption in zip(motions, captions, strict=True))
        return [f"about {caption}" for caption in captions]

    captions = [Caption("all"), Caption("part", start=1.0, end=2.5), Caption("given", thought="kept")]
    good, bad = (Clip(name, np.zeros((80, 263), np.float32), list(captions)) for name in ("good", "bad"))
    bad.features = bad.features * np.nan
    items = list(build.annotated([good, Skipped("x", "gone"), bad], annotate))
    assert seen == [(80, "all"), (30, "part")]
    assert [caption.thought for caption in items[0].captions] == ["about all", "about part", "kept"]
    assert [item.id for item in items] == ["good", "x", "bad"]
