"""A split as training sees it: motions without a copy, and the spans that captions tell of."""

import numpy as np
import pytest
from datasets import Dataset, concatenate_datasets
from tiny_data import clip, dataset_folder, features

from datasets_scripts.captioned_motions import captioned_motions, motion_views
from datasets_scripts.schema import Caption, Clip, dataset_features, load_motion_dataset, write_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return load_motion_dataset(dataset_folder(tmp_path_factory.mktemp("data") / "set", train=230))["train"]


def rows(dataset) -> list[np.ndarray]:
    """The motions as the library itself gives them."""
    return [np.asarray(motion) for motion in dataset.with_format("numpy")["motion"]]


@pytest.mark.parametrize(
    "taken",
    {
        "whole": lambda d: d,
        "a slice": lambda d: d.select(range(37, 180)),
        "picked": lambda d: d.select([229, 3, 3, 100, 0]),
        "shuffled": lambda d: d.shuffle(seed=1),
        "shuffled slice": lambda d: d.select(range(90, 150)).shuffle(seed=2),
        "slice of shuffled": lambda d: d.shuffle(seed=1).select(range(20, 60)),
        "filtered": lambda d: d.filter(lambda name: name.endswith("7"), input_columns="id"),
        "joined": lambda d: concatenate_datasets([d.select(range(3, 9)), d.select(range(200, 205))]),
        "none": lambda d: d.select([]),
    }.items(),
    ids=lambda item: item[0],
)
def test_views_are_the_librarys_rows(dataset, taken):
    part = taken[1](dataset)
    views = motion_views(part)
    assert len(views) == len(part)
    for view, row in zip(views, rows(part) if len(part) else [], strict=True):
        assert view.dtype == np.float32
        np.testing.assert_array_equal(view, row)


def test_views_copy_nothing(dataset):
    views = motion_views(dataset)
    assert all(not view.flags.owndata and not view.flags.writeable for view in views)
    # The same memory each time: the table's own.
    again = motion_views(dataset.shuffle(seed=1))
    assert {view.ctypes.data for view in views} == {view.ctypes.data for view in again}


def test_a_dataset_made_in_memory():
    motions = [features(i) for i in range(3)]
    made = Dataset.from_dict(
        {
            "id": ["a", "b", "c"],
            "motion": motions,
            "fps": [20.0] * 3,
            "source": ["test"] * 3,
            "captions": [[{"text": "a", "tokens": ["a/DET"], "start": 0.0, "end": 0.0, "thought": ""}]] * 3,
        },
        features=dataset_features(),
    )
    for view, motion in zip(motion_views(made), motions, strict=True):
        np.testing.assert_array_equal(view, motion)


def spans(folder, captions, frames=100, fps=20.0):
    motion = np.arange(frames * 263, dtype=np.float32).reshape(frames, 263)
    write_dataset([Clip("a", motion, captions, "train", "test", fps)], folder / "set")
    return motion, captioned_motions(load_motion_dataset(folder / "set")["train"])


def test_captions_of_one_span_share_one_entry(tmp_path):
    captions = [
        Caption("whole", ["whole/ADJ"], thought="w"),
        Caption("first", ["first/ADJ"], 0.0, 2.5, "f"),
        Caption("also whole", ["also/ADV", "whole/ADJ"], thought="a"),
        Caption("later", ["later/ADV"], 1.15, 4.0, "l"),
    ]
    motion, entries = spans(tmp_path, captions)
    assert [(entry.id, entry.texts) for entry in entries] == [
        ("a", ["whole", "also whole"]),
        ("a#0-50", ["first"]),
        ("a#23-80", ["later"]),  # 1.15 s is frame 23, as the published loader has it
    ]
    np.testing.assert_array_equal(entries[2].motion, motion[23:80])
    assert entries[0].tokens == [["whole/ADJ"], ["also/ADV", "whole/ADJ"]] and entries[0].thoughts == ["w", "a"]


def test_a_span_beyond_the_end_is_cut_and_a_tiny_one_left_out(tmp_path):
    captions = [
        Caption("to the end", ["end/NOUN"], 3.0, 99.0),
        Caption("all of it in seconds", ["all/PRON"], 0.0, 5.0),
        Caption("three frames", ["three/NUM"], 1.0, 1.15),
        Caption("beyond", ["beyond/ADP"], 7.0, 9.0),
        Caption("backwards", ["backwards/ADV"], 4.0, 2.0),
    ]
    motion, entries = spans(tmp_path, captions)
    assert [(entry.id, len(entry.motion)) for entry in entries] == [("a#60-100", 40), ("a", 100)]
    np.testing.assert_array_equal(entries[0].motion, motion[60:])


def test_min_frames(tmp_path):
    captions = [Caption("whole", ["whole/ADJ"]), Caption("part", ["part/NOUN"], 0.0, 1.0)]
    write_dataset([Clip("a", features(3), captions, "train")], tmp_path / "set")
    split = load_motion_dataset(tmp_path / "set")["train"]
    assert [entry.id for entry in captioned_motions(split, min_frames=21)] == ["a"]


def test_seconds_follow_the_clips_own_rate(tmp_path):
    motion = np.zeros((50, 251), np.float32)
    captions = [Caption("part", ["part/NOUN"], 0.8, 2.0)]
    write_dataset([Clip("k", motion, captions, "train", "kit", 12.5)], tmp_path / "set", feature_dim=251)
    [entry] = captioned_motions(load_motion_dataset(tmp_path / "set")["train"])
    assert (entry.id, entry.motion.shape) == ("k#10-25", (15, 251))


def test_entries_follow_the_datasets_order(dataset):
    part = dataset.shuffle(seed=4).select(range(15))
    entries = captioned_motions(part)
    assert [entry.id for entry in entries] == list(part["id"])
    for entry in entries[:3]:
        index = int(entry.id.rsplit("-", 1)[1])
        np.testing.assert_array_equal(entry.motion, features(index))
        assert entry.texts == [caption.text for caption in clip(index).captions]
