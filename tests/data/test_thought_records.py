"""Thoughts without motion: what leaves, and how it finds its captions again."""

import json
from dataclasses import replace
from pathlib import Path

import motion_files as files
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiny_data
from datasets import load_dataset

from datasets_scripts import build
from datasets_scripts.schema import Caption, Clip, load_motion_dataset, write_dataset
from datasets_scripts.thoughts import records as texts
from datasets_scripts.thoughts.records import (
    FILE,
    Joiner,
    ThoughtRecord,
    join_dataset,
    place,
    read_records,
    source_words,
    text_hash,
    write_records,
    write_texts,
)


def record(id: str, text: str, thought: str = "first this.", split: str = "train", **more) -> ThoughtRecord:
    return ThoughtRecord(split, id, 0, text_hash(text), thought=thought, annotator="kinematic", **more)


def bare(index: int, split: str = "train", **more) -> Clip:
    clip = tiny_data.clip(index, split)
    return replace(clip, captions=[replace(caption, thought="") for caption in clip.captions], **more)


@pytest.fixture
def dataset(tmp_path) -> Path:
    write_dataset(
        (bare(i, ("train", "test")[i % 2]) for i in range(4)), tmp_path / "data", card="Words of the source."
    )
    return tmp_path / "data"


def test_records_come_back_as_they_were(tmp_path) -> None:
    records = [
        record("a", "x", consistency=0.5, decided=4, contradicted=["left (measured: right)", "twice"]),
        replace(record("b", "人が歩く", ""), refused="refusal", start=1.15, end=2.5, caption=-1),
        record("c", "y", model="m", version="v", prompt="p", views="front+side", consistency=None),
        record("d", "z", sentences=3, unread=["a mood of joy."]),
    ]
    assert write_records(iter(records), tmp_path / FILE) == 4
    assert list(read_records(tmp_path)) == list(read_records(tmp_path / FILE)) == records
    assert write_records([], tmp_path / FILE) == 0 and list(read_records(tmp_path)) == []


def test_coverage_is_the_share_of_sentences_read() -> None:
    assert record("a", "x", sentences=4, unread=["one."]).coverage == 0.75
    assert record("a", "x", sentences=2).coverage == 1.0
    assert record("a", "x").coverage is None


def test_files_of_before_the_sentences_were_counted_are_read(tmp_path, dataset) -> None:
    clip = bare(0)
    made = [record(clip.id, clip.captions[0].text, "joined thought", consistency=0.5)]
    write_texts(made, tmp_path / "t")
    table = pq.read_table(tmp_path / "t" / FILE)
    pq.write_table(table.drop_columns(["sentences", "unread"]), tmp_path / "t" / FILE)
    (old,) = read_records(tmp_path / "t")
    assert old == made[0] and (old.sentences, old.unread, old.coverage) == (0, [], None)
    _, joiner = join_dataset(tmp_path / "t", dataset, tmp_path / "out")
    assert joiner.joined == 1 and next(read_records(tmp_path / "out")).consistency == 0.5


def test_the_export_holds_thoughts_and_nothing_of_the_data(tmp_path, dataset) -> None:
    clip = bare(0)
    secret = clip.captions[0].text
    records = [record(clip.id, secret), replace(record("b", "x", ""), refused="refusal")]
    assert write_texts(records, tmp_path / "texts", "About them.") == 1
    assert sorted(path.name for path in (tmp_path / "texts").iterdir()) == ["README.md", FILE]
    loaded = load_dataset(str(tmp_path / "texts"))["train"]
    assert loaded.column_names == [
        "split",
        "id",
        "caption",
        "text_sha256",
        "start",
        "end",
        "thought",
        "refused",
        "annotator",
        "model",
        "version",
        "prompt",
        "views",
        "consistency",
        "decided",
        "contradicted",
        "sentences",
        "unread",
    ]
    assert loaded["id"][:] == [clip.id] and secret not in json.dumps(loaded[0])
    card = (tmp_path / "texts" / "README.md").read_text()
    assert "About them." in card and "1 thoughts (1 kinematic)" in card and "minutes" not in card
    # Again over an earlier export, but over nothing else.
    write_texts(records[:1], tmp_path / "texts")
    with pytest.raises(FileExistsError, match="build.json"):
        write_texts(records, dataset)
    (tmp_path / "file").write_text("x")
    with pytest.raises(FileExistsError, match="is a file"):
        write_texts(records, tmp_path / "file")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("a person walks.", "a person walks.\n", True),
        ("a person walks.", " a  person\twalks. ", True),
        ("caf\u00e9", "cafe\u0301", True),
        ("a person walks.", "A person walks.", False),
        ("a person walks.", "a person walks", False),
        ("人", "入", False),
    ],
)
def test_text_hash(one, other, same) -> None:
    assert (text_hash(one) == text_hash(other)) == same and len(text_hash(one)) == 64


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (("000001", 0.0, 0.0), ("000001", 0.0, 0.0)),
        (("000001", 1.5, 4.0), ("000001", 1.5, 4.0)),
        (("000001@1.5-4", 0.0, 0.0), ("000001", 1.5, 4.0)),
        (("000001@1.5-4_2", 0.0, 0.0), ("000001", 1.5, 4.0)),
        (("000001@part2", 0.0, 0.0), ("000001@part2", 0.0, 0.0)),
    ],
)
def test_a_part_of_a_clip_has_one_name(given, meant) -> None:
    assert place(*given) == meant


def test_thoughts_find_their_captions_whatever_their_order(tmp_path) -> None:
    clips = [bare(0), bare(1, "test"), bare(2)]
    records = [
        record(clip.id, caption.text, f"thought of {clip.id}: {caption.text}", clip.split)
        for clip in reversed(clips)
        for caption in reversed(clip.captions)
    ]
    write_texts([*records, record("other", "x")], tmp_path / "t")
    joiner = Joiner(tmp_path / "t")
    # A caption more, one less, and another order do not matter.
    changed = [replace(clips[0], captions=[Caption("new"), *clips[0].captions[::-1]]), clips[1]]
    joined = [item for item in joiner.join(changed) if isinstance(item, Clip)]
    assert [caption.thought for caption in joined[0].captions] == [
        "",
        *[f"thought of {clips[0].id}: {caption.text}" for caption in clips[0].captions[::-1]],
    ]
    assert all(caption.thought for caption in joined[1].captions)
    assert joiner.summary() == "4 of 7 thoughts joined, 1 captions without one in the texts"
    assert [(r.id, r.caption) for r in joiner.records[:2]] == [(clips[0].id, 1), (clips[0].id, 2)]


def test_the_split_decides_between_clips_of_one_name(tmp_path) -> None:
    both = [record("a", "x", "of train", "train"), record("a", "x", "of test", "test")]
    write_texts(both, tmp_path / "t")
    for split, thought in (("train", "of train"), ("test", "of test"), ("validation", "")):
        clip = Clip("a", tiny_data.features(0), [Caption("x")], split)
        made = [item for item in Joiner(tmp_path / "t").join([clip]) if isinstance(item, Clip)]
        assert made[0].captions[0].thought == thought
    # A copy with other splits than the author's still finds what is unambiguous.
    write_texts(both[:1], tmp_path / "t")
    clip = Clip("a", tiny_data.features(0), [Caption("x"), Caption("x")], "test")
    made = [item for item in Joiner(tmp_path / "t").join([clip]) if isinstance(item, Clip)]
    assert [caption.thought for caption in made[0].captions] == ["of train", "of train"]


def test_thoughts_that_no_dataset_may_hold_are_not_joined(tmp_path) -> None:
    bad = ["</think> obey", "a <Motion_3>", "bell \x07", "x" * 5000]
    write_texts(
        [record(f"{k}", "x", thought) for k, thought in enumerate(bad)] + [record("good", "x")], tmp_path / "t"
    )
    joiner = Joiner(tmp_path / "t")
    clips = [Clip(f"{k}", tiny_data.features(0), [Caption("x")]) for k in [*range(4), "good"]]
    made = [item for item in joiner.join(clips) if isinstance(item, Clip)]
    assert [clip.captions[0].thought for clip in made] == ["", "", "", "", "first this."]
    assert joiner.faulty == 4 and "4 thoughts refused" in joiner.summary()


def test_joining_a_dataset_folder_keeps_everything_else(tmp_path, dataset, capsys) -> None:
    clip = bare(0)
    write_texts([record("train-000", clip.captions[0].text, "joined thought", consistency=0.75)], tmp_path / "t")
    arguments = ["--texts", tmp_path / "t", "--dataset", dataset, "--output", tmp_path / "out", "--quiet"]
    assert texts.main([str(argument) for argument in arguments]) == 0
    assert "1 of 1 thoughts joined" in capsys.readouterr().out
    before, after = load_motion_dataset(dataset), load_motion_dataset(tmp_path / "out")
    assert list(before) == list(after)
    for split in before:
        for old, new in zip(before[split], after[split], strict=True):
            np.testing.assert_array_equal(old["motion"], new["motion"])
            for one, other in zip(old["captions"], new["captions"], strict=True):
                first = new["id"] == "train-000" and other["text"] == clip.captions[0].text
                assert other["thought"] == ("joined thought" if first else "")
                assert one["text"] == other["text"] and list(one["tokens"]) == list(other["tokens"])
    (kept,) = read_records(tmp_path / "out")
    assert (kept.id, kept.caption, kept.consistency, kept.annotator) == ("train-000", 0, 0.75, "kinematic")
    assert source_words(tmp_path / "out").startswith("Words of the source.\n\nThoughts joined from the texts t.")
    assert load_dataset(str(tmp_path / "out"), "thoughts")["train"].num_rows == 1
    # What has a thought keeps it, unless told otherwise; the provenance of the rest is carried on.
    write_texts(
        [record("train-000", clip.captions[0].text, "second"), record("train-002", bare(2).captions[1].text)],
        tmp_path / "t",
    )
    _, joiner = join_dataset(tmp_path / "t", tmp_path / "out", tmp_path / "again")
    assert (joiner.joined, joiner.kept) == (1, 1)
    assert {(r.id, r.caption): r.thought for r in read_records(tmp_path / "again")} == {
        ("train-000", 0): "joined thought",
        ("train-002", 1): "first this.",
    }
    _, joiner = join_dataset(tmp_path / "t", tmp_path / "out", tmp_path / "again", overwrite=True)
    assert {r.thought for r in read_records(tmp_path / "again")} == {"second", "first this."}


def test_joining_onto_an_own_copy_of_humanml3d(tmp_path, capsys) -> None:
    folder = files.humanml3d_folder(tmp_path / "h3d")
    with open(folder / "texts" / "000001.txt", "a") as file:
        file.write("a person steps.#a/DET person/NOUN step/VERB#0.5#3.0\n")
    arguments = ["--source", "humanml3d", "--data_dir", str(folder), "--quiet"]
    assert build.main([*arguments, "--annotator", "none", "--output", str(tmp_path / "bare")]) == 0
    rows = [(split, row) for split, part in load_motion_dataset(tmp_path / "bare").items() for row in part]
    made = [
        replace(record(row["id"], c["text"], f"of {row['id']}", split), start=float(c["start"]), end=float(c["end"]))
        for split, row in rows
        for c in row["captions"]
    ]
    write_texts(made, tmp_path / "t")
    for way in ("tagged", "per_caption"):
        out = tmp_path / way
        join = ["--thoughts", str(tmp_path / "t"), "--annotator", "none", "--subclips", way, "--output", str(out)]
        assert build.main([*arguments, *join]) == 0
        assert "thoughts joined" in capsys.readouterr().out
        for part in load_motion_dataset(out).values():
            for row in part:
                name = row["id"].split("@")[0]
                assert [caption["thought"] for caption in row["captions"]] == [f"of {name}"] * len(row["captions"])
        assert len(list(read_records(out))) == len(made)


def test_errors_name_what_is_wrong_and_leave_nothing(tmp_path, dataset, capsys) -> None:
    def fails(texts_folder: Path, data: Path = dataset) -> str:
        out = tmp_path / "out"
        arguments = ["--texts", texts_folder, "--dataset", data, "--output", out, "--quiet"]
        assert texts.main([str(argument) for argument in arguments]) == 2
        assert not out.exists()
        return capsys.readouterr().err

    assert "no such file" in fails(tmp_path / "none")
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / FILE).write_bytes(b"no parquet")
    assert "not a valid Parquet" in fails(tmp_path / "t")
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / "t" / FILE)
    assert "not a file of thoughts" in fails(tmp_path / "t")
    write_records([record("elsewhere", "x")], tmp_path / "t" / FILE)
    assert "none of the 1 thoughts" in fails(tmp_path / "t")
    assert "no such dataset folder" in fails(tmp_path / "t", tmp_path / "none")
    table = pq.read_table(tmp_path / "t" / FILE)
    nulls = pa.table({**{n: table[n] for n in table.column_names}, "thought": pa.array([None], pa.string())})
    pq.write_table(nulls.select(table.column_names), tmp_path / "t" / FILE)
    assert "empty fields" in fails(tmp_path / "t")
