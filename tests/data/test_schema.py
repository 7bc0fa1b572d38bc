"""The dataset folder: written whole or not at all, read back as it was, refused when it is something else."""

import errno
import json
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from datasets import Dataset, load_dataset

from datasets_scripts import schema
from datasets_scripts.schema import (
    Caption,
    Clip,
    Skipped,
    check_output,
    count_clips,
    dataset_features,
    dataset_files,
    dataset_width,
    iter_dataset,
    load_motion_dataset,
    write_dataset,
)
from modeling_unimo import disk_errors


def clip(index: int, split: str = "train", frames: int = 50, dim: int = 263) -> Clip:
    motion = np.random.default_rng(index).normal(size=(frames + index, dim)).astype(np.float32)
    captions = [
        Caption("a person walks.", ["a/DET", "person/NOUN", "walk/VERB"], thought="first the left foot."),
        Caption("zwei Schritte 🚶", ["zwei/NUM"], 1.15, 2.0),
    ]
    return Clip(f"clip {index}", motion, captions, split, "test")


def contents(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_rows_come_back_as_they_were(tmp_path) -> None:
    clips = [clip(i, ("train", "validation", "test", "test_hard")[i % 4]) for i in range(9)]
    summary = write_dataset(iter(clips), tmp_path / "data set")
    assert summary.kept == 9 and list(summary.splits) == ["train", "validation", "test", "test_hard"]
    dataset = load_motion_dataset(tmp_path / "data set")
    assert list(dataset) == ["train", "validation", "test", "test_hard"]
    for original in clips:
        part = dataset[original.split]
        row = part[list(part["id"]).index(original.id)]
        np.testing.assert_array_equal(row["motion"], original.features)
        assert row["motion"].dtype == np.float32 and row["fps"] == 20.0 and row["source"] == "test"
        assert [c["text"] for c in row["captions"]] == [c.text for c in original.captions]
        assert [list(c["tokens"]) for c in row["captions"]] == [c.tokens for c in original.captions]
        assert [float(c["start"]) for c in row["captions"]] == [0.0, 1.15]
        assert row["captions"][0]["thought"] == "first the left foot."


def test_load_dataset_reads_the_folder_through_its_card(tmp_path) -> None:
    write_dataset(
        (clip(i, ("test", "test_hard")[i % 2]) for i in range(5)), tmp_path / "d", card="Words of the source."
    )
    dataset = load_dataset(str(tmp_path / "d"))
    assert {name: len(part) for name, part in dataset.items()} == {"test": 3, "test_hard": 2}
    assert dataset["test"].features == dataset_features()
    card = (tmp_path / "d" / "README.md").read_text()
    assert card.startswith("---\n") and "Words of the source." in card and "| test | 3 |" in card


@pytest.mark.parametrize("dim", [263, 251])
def test_both_skeletons(tmp_path, dim: int) -> None:
    write_dataset([clip(0, dim=dim)], tmp_path / "d", feature_dim=dim)
    assert load_motion_dataset(tmp_path / "d")["train"][0]["motion"].shape == (50, dim)


def spoilt(kind: str) -> Clip:
    item = clip(99)
    if kind == "NaN or infinite values":
        item.features[3, 7] = np.nan
    elif kind == "other skeleton or shape":
        item.features = item.features[:, :251]
    elif kind == "too short":
        item.features = item.features[:3]
    elif kind == "no caption":
        item.captions = [Caption("  ")]
    elif kind == "id seen before in its split":
        item.id = "clip 0"
    return item


@pytest.mark.parametrize(
    "kind",
    ["NaN or infinite values", "other skeleton or shape", "too short", "no caption", "id seen before in its split"],
)
def test_one_bad_clip_is_listed_and_costs_no_other(tmp_path, kind: str) -> None:
    summary = write_dataset([clip(0), spoilt(kind), clip(1), Skipped("x", "too long", "900 frames")], tmp_path / "d")
    assert summary.kept == 2 and summary.skipped["clip"] == {kind: 1, "too long": 1}
    assert kind in summary.table() and "x (900 frames)" in summary.table()
    listed = [json.loads(line) for line in (tmp_path / "d" / "skipped.jsonl").read_text().splitlines()]
    assert [entry["reason"] for entry in listed] == [kind, "too long"]
    assert f"1 x clip: {kind}" in (tmp_path / "d" / "README.md").read_text()


def test_nothing_left_is_an_error_with_the_reasons(tmp_path) -> None:
    with pytest.raises(ValueError, match="no clip was left(.|\n)*too short: a"):
        write_dataset([Skipped("a", "too short")], tmp_path / "d")
    assert contents(tmp_path) == []


def test_a_failing_source_leaves_nothing_behind(tmp_path) -> None:
    def broken():
        yield from (clip(i) for i in range(150))
        raise RuntimeError("the disk went away")

    with pytest.raises(RuntimeError, match="went away"):
        write_dataset(broken(), tmp_path / "d")
    assert contents(tmp_path) == []
    write_dataset([clip(0)], tmp_path / "d")
    before = contents(tmp_path)
    with pytest.raises(RuntimeError, match="went away"):
        write_dataset(broken(), tmp_path / "d")
    assert contents(tmp_path) == before and len(load_motion_dataset(tmp_path / "d")["train"]) == 1


def test_an_earlier_build_is_replaced_whole(tmp_path) -> None:
    write_dataset([clip(0), clip(1, "test")], tmp_path / "d")
    write_dataset([clip(2)], tmp_path / "d")
    dataset = load_motion_dataset(tmp_path / "d")
    assert list(dataset) == ["train"] and dataset["train"]["id"][0] == "clip 2"
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


@pytest.mark.parametrize("name", ["notes.txt", "data/mine.parquet", "build.json"])
def test_folders_of_something_else_are_refused(tmp_path, name: str) -> None:
    path = tmp_path / "d" / name
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    with pytest.raises(FileExistsError, match="holds something else"):
        write_dataset([clip(0)], tmp_path / "d")
    assert path.read_text() == "{}"


def test_output_may_be_empty_but_no_file(tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    assert check_output(tmp_path / "empty")
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError, match="is a file"):
        check_output(tmp_path / "file")


def test_large_splits_become_several_files(tmp_path) -> None:
    write_dataset((clip(i, frames=10) for i in range(250)), tmp_path / "d", shard_bytes=1_000_000)
    names = sorted(path.name for path in (tmp_path / "d" / "data").iterdir())
    assert names == [f"train-{i:05d}-of-00003.parquet" for i in range(3)]
    rows = load_motion_dataset(tmp_path / "d")["train"]
    assert list(rows["id"]) == [f"clip {i}" for i in range(250)]


def test_memory_does_not_grow_with_the_number_of_clips(tmp_path) -> None:
    def peak(count: int) -> int:
        tracemalloc.start()
        source = (Clip(str(i), np.zeros((100, 263), np.float32), [Caption("a")]) for i in range(count))
        write_dataset(source, tmp_path / f"d{count}")
        high = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return high

    peak(10)
    assert peak(1200) < 1.5 * peak(300)


def test_limit(tmp_path) -> None:
    assert write_dataset((clip(i) for i in range(9)), tmp_path / "d", limit=4).kept == 4


def test_two_skeletons_in_one_dataset_are_refused(tmp_path) -> None:
    write_dataset([clip(0)], tmp_path / "d")
    kit = Clip("kit", np.zeros((50, 251), np.float32), [Caption("a")], split="test")
    write_dataset([kit], tmp_path / "kit", feature_dim=251)
    for file in (tmp_path / "kit" / "data").iterdir():
        file.rename(tmp_path / "d" / "data" / file.name)
    with pytest.raises(ValueError, match=r"mixes skeletons \(251 columns in .*, 263 columns in"):
        load_motion_dataset(tmp_path / "d")


def test_missing_folders_splits_and_foreign_parquet_are_refused(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match="no such dataset folder"):
        load_motion_dataset(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no data"):
        load_motion_dataset(tmp_path / "empty")
    write_dataset([clip(0)], tmp_path / "d")
    with pytest.raises(FileNotFoundError, match="has no split 'test', only train"):
        load_motion_dataset(tmp_path / "d", split="test")
    foreign = tmp_path / "foreign" / "data"
    foreign.mkdir(parents=True)
    Dataset.from_dict({"id": ["a"], "motion": [1]}).to_parquet(foreign / "train-00000-of-00001.parquet")
    with pytest.raises(ValueError, match="lacks the columns"):
        load_motion_dataset(tmp_path / "foreign")
    rows = {"id": ["a"], "motion": ["x"], "fps": [1.0], "source": [""], "captions": [[]]}
    Dataset.from_dict(rows).to_parquet(foreign / "train-00000-of-00001.parquet")
    with pytest.raises(ValueError, match="are not those of the schema"):
        load_motion_dataset(tmp_path / "foreign")
    (foreign / "train-00000-of-00001.parquet").write_bytes(b"PAR1 but cut")
    with pytest.raises(ValueError, match="not a readable Parquet"):
        load_motion_dataset(tmp_path / "foreign")


def test_a_folder_streams_as_it_was_written(tmp_path) -> None:
    clips = [clip(i, ("train", "test")[i % 2]) for i in range(7)]
    folder = tmp_path / "d"
    write_dataset(iter(clips), folder, shard_bytes=100_000, finish=lambda made: (made / "thoughts.parquet").touch())
    assert (folder / "thoughts.parquet").is_file() and "config_name: thoughts" in (folder / "README.md").read_text()
    assert count_clips(folder) == 7 and dataset_width(folder) == 263
    assert list(dataset_files(folder)) == ["train", "test"]
    again = list(iter_dataset(folder))
    assert [c.id for c in again] == [c.id for split in ("train", "test") for c in clips if c.split == split]
    for row in again:
        (original,) = (c for c in clips if c.id == row.id)
        np.testing.assert_array_equal(row.features, original.features)
        assert row.captions == original.captions and (row.fps, row.source) == (20.0, "test")
    # A folder with thoughts is an earlier build like any other.
    check_output(folder)
    with pytest.raises(FileNotFoundError, match="no such dataset folder"):
        list(iter_dataset(tmp_path / "none"))


def test_a_step_that_fails_at_the_end_leaves_nothing(tmp_path) -> None:
    def fail(folder: Path) -> None:
        raise ValueError("late")

    with pytest.raises(ValueError, match="late"):
        write_dataset([clip(0)], tmp_path / "d", finish=fail)
    assert contents(tmp_path) == []


def test_leftovers_of_killed_builds_are_removed(tmp_path) -> None:
    write_dataset([clip(0)], tmp_path / "d")
    for name in (".d.partial-0123abcd", ".d.partial-999-0123abcd", ".d.previous-0123abcd"):
        (tmp_path / name / "data").mkdir(parents=True)
    write_dataset([clip(0)], tmp_path / "d")
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_an_earlier_dataset_that_a_killed_build_had_moved_aside_is_kept_until_there_is_a_new_one(tmp_path) -> None:
    write_dataset([clip(0)], tmp_path / "d")
    (tmp_path / "d").rename(tmp_path / ".d.previous-0123abcd")
    with pytest.raises(ValueError, match="no clip was left"):
        write_dataset([], tmp_path / "d")
    assert [path.name for path in tmp_path.iterdir()] == ["d"]
    assert [c.id for c in iter_dataset(tmp_path / "d")] == [clip(0).id]


def test_one_build_at_a_time_writes_an_output(tmp_path) -> None:
    def clips():
        yield clip(0)
        with pytest.raises(BlockingIOError, match=f"another process works in {tmp_path / 'd'}; wait for it"):
            write_dataset([clip(1)], tmp_path / "d")
        yield clip(1)

    assert write_dataset(clips(), tmp_path / "d").kept == 2
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_a_disk_that_will_not_hold_a_dataset_is_told_when_its_first_rows_tell(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(schema, "_ROWS_THAT_TELL", 200)
    monkeypatch.setattr(disk_errors.shutil, "disk_usage", lambda place: SimpleNamespace(free=30_000_000))
    clips = [clip(index, frames=50 - index) for index in range(320)]  # all of 50 frames
    with pytest.raises(OSError, match="the 1800 clips that follow need about .* MB, and 30.0 MB are free") as told:
        write_dataset(clips, tmp_path / "d", total=2000)
    assert told.value.errno == errno.ENOSPC and told.value.filename == str(tmp_path / "d")
    assert contents(tmp_path) == []
    assert write_dataset(clips, tmp_path / "d", total=320).kept == 320
    assert write_dataset(clips, tmp_path / "d", total=2000, limit=300).kept == 300
