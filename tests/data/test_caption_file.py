"""captions.jsonl: which line is of which motion, whatever its file is called, and what of a line is refused."""

import json

import pytest

from datasets_scripts.schema import NOTE
from datasets_scripts.sources.caption_file import captioned, read_captions
from datasets_scripts.sources.reading import motion_files

WALKS = "a person walks."
NAMES = {  # the name in captions.jsonl, by names of the motions; None where it means none of them, or several
    "walk": (["walk", "sit"], "walk"),
    "walk.npy": (["walk", "sit"], "walk"),
    "walk.NPZ": (["walk", "sit"], "walk"),
    "./sub\\walk.pkl": (["sub/walk", "walk"], "sub/walk"),
    "people.pt#0": (["people#0", "people#1"], "people#0"),
    "walk.pt": (["walk.pt", "walk"], "walk.pt"),
    "walk.v2": (["walk.v2"], "walk.v2"),
    "cafe\u0301.bvh": (["caf\u00e9"], "caf\u00e9"),
    "bare": (["a/bare", "b/bare"], None),
    "in/an_archive": (["in/an_archive.npy"], "in/an_archive.npy"),
    "an_archive.npy": (["in/an_archive.npy"], "in/an_archive.npy"),
    "Walk": (["walk"], None),
}


@pytest.mark.parametrize("name", NAMES)
def test_names_of_files_find_their_motion(tmp_path, name: str) -> None:
    files, expected = NAMES[name]
    (tmp_path / "captions.jsonl").write_text(json.dumps({"file": name, "captions": [WALKS]}), encoding="utf-8")
    records, _, skipped = captioned(tmp_path, files)
    assert list(records) == ([expected] if expected else [])
    assert bool(skipped) == (len(files) > len(records))


def test_files_of_one_name_are_all_found(tmp_path) -> None:
    for name in ("walk.npz", "walk.pkl", "sit.pt"):
        (tmp_path / name).touch()
    found = motion_files(tmp_path, (".npz", ".pkl", ".pt"))
    assert {name: path.name for name, path in found.items()} == {
        "sit": "sit.pt",
        "walk": "walk.npz",
        "walk.pkl": "walk.pkl",
    }


def test_the_lines_of_one_motion_are_joined_and_a_second_split_is_told(tmp_path) -> None:
    lines = [
        {"file": "a.npy", "captions": [WALKS]},
        {"id": "a", "captions": [WALKS], "split": " Val "},
        {"id": "b", "captions": [WALKS], "split": "train"},
        {"file": "b.npy", "captions": [WALKS], "split": "test"},
        {"id": "c", "captions": [WALKS], "split": "test"},
        {"id": "c", "captions": [WALKS], "split": "train"},
    ]
    (tmp_path / "captions.jsonl").write_text("\r".join(map(json.dumps, lines)), encoding="utf-8", newline="")
    records, splits, skipped = captioned(tmp_path, ["a", "b", "c"])
    assert splits == {"a": "validation", "b": "train", "c": "test"}
    assert [len(record.captions) for record in records.values()] == [2, 2, 2]
    told = {skip.id: (skip.kind, skip.detail) for skip in skipped}
    assert told == {"b": (NOTE, "train and test"), "c": (NOTE, "test and train")}


REFUSED = {
    "start without an end": ({"text": WALKS, "start": 1}, "start 1 is given without an end"),
    "start and null": ({"text": WALKS, "start": 1, "end": None}, "start 1 is given without an end"),
    "times as words": ({"text": WALKS, "start": "1", "end": "2"}, "must be numbers of seconds"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_captions_are_refused_for_what_they_are(tmp_path, case: str) -> None:
    caption, message = REFUSED[case]
    (tmp_path / "captions.jsonl").write_text(json.dumps({"id": "a", "captions": [caption, WALKS]}), encoding="utf-8")
    found = read_captions(tmp_path / "captions.jsonl")
    assert [caption.text for caption in found.records["a"].captions] == [WALKS]
    assert message in found.skipped[0].detail


def test_a_key_given_twice_is_told(tmp_path) -> None:
    line = '{"id": "a", "captions": ["a person walks."], "captions": ["a person sits."]}\n'
    (tmp_path / "captions.jsonl").write_text(line + '{"id": "b", "captions": []}\n', encoding="utf-8")
    (skip,) = read_captions(tmp_path / "captions.jsonl").skipped
    assert skip.detail == "the key 'captions' is given twice"
