"""The official HumanML3D and KIT-ML layouts: every published filter, every broken file counted."""

import motion_files as files
import numpy as np
import pytest

from datasets_scripts.schema import Caption, Clip, Skipped
from datasets_scripts.sources import humanml3d
from datasets_scripts.sources.clips import ClipRules

LINE = "a man kicks.#a/DET man/NOUN kick/VERB#0.0#0.0"


@pytest.fixture
def folder(tmp_path):
    return files.humanml3d_folder(tmp_path / "h3d")


def outcome(folder, **options) -> tuple[dict[tuple[str, str], Clip], dict[str, str]]:
    items = list(humanml3d.iter_clips(folder, **options))
    clips = {(item.split, item.id): item for item in items if isinstance(item, Clip)}
    return clips, {item.id: item.reason for item in items if isinstance(item, Skipped)}


def test_a_sound_folder_is_kept_whole(folder) -> None:
    clips, faults = outcome(folder)
    assert faults == {} and len(clips) == 12
    assert [split for split, _ in clips].count("validation") == 2
    clip = clips["train", "M000001"]
    np.testing.assert_array_equal(clip.features, np.load(folder / "new_joint_vecs" / "M000001.npy"))
    assert clip.captions[0] == Caption("a person walks forward.", "a/DET person/NOUN walk/VERB forward/ADV".split())
    assert clip.source == "humanml3d" and clip.fps == 20.0 and len(clip.captions) == 2


def test_mirrored_clips_may_be_left_out(folder) -> None:
    clips, faults = outcome(folder, mirrored=False)
    assert len(clips) == 6 and set(faults.values()) == {"mirrored (option)"}


def test_kit_layout_with_its_own_lengths_and_rate(tmp_path) -> None:
    folder = files.humanml3d_folder(tmp_path / "kit", dim=251)
    np.save(folder / "new_joint_vecs" / "000000.npy", files.kit_features(24))
    np.save(folder / "new_joint_vecs" / "000001.npy", files.kit_features(23))
    clips, faults = outcome(folder)
    assert clips["train", "000000"].fps == 12.5 and clips["train", "000000"].source == "kit"
    assert faults == {"000001": "too short (fewer than 24 frames)"}


@pytest.mark.parametrize(("frames", "kept"), [(39, None), (40, 40), (196, 196), (199, 196), (200, None)])
def test_published_lengths(folder, frames: int, kept: int | None) -> None:
    np.save(folder / "new_joint_vecs" / "000000.npy", files.features(frames).astype(np.float64))
    clips, _ = outcome(folder)
    clip = clips.get(("train", "000000"))
    assert (clip and len(clip.features)) == kept
    if clip:
        assert clip.features.dtype == np.float32


def test_lengths_and_the_token_rule_are_options(folder) -> None:
    assert len(outcome(folder, rules=ClipRules(min_frames=100))[0]) == 4  # 60, 70 .. 110 frames, twice
    clips, faults = outcome(folder, min_codes=20)
    assert len(clips) == 8 and set(faults.values()) == {"too short (fewer than 80 frames)"}
    with pytest.raises(ValueError, match="min_codes must be >= 0, got -1"):
        outcome(folder, min_codes=-1)


def test_parts_of_clips_as_published(folder) -> None:
    np.save(folder / "new_joint_vecs" / "000000.npy", files.features(180))
    lines = [LINE, LINE.replace("0.0#0.0", "2.0#6.5"), LINE.replace("0.0#0.0", "2.0#3.0"), LINE.replace("0.0", "nan")]
    (folder / "texts" / "000000.txt").write_text("\n".join(lines))
    tagged, faults = outcome(folder)
    assert [(c.start, c.end) for c in tagged["train", "000000"].captions] == [(0, 0), (2, 6.5), (0, 0)]
    assert faults == {"000000@2-3": "part too short (fewer than 40 frames)"}
    rows, _ = outcome(folder, subclips="per_caption")
    part = rows["train", "000000@2-6.5"]
    np.testing.assert_array_equal(part.features, np.load(folder / "new_joint_vecs" / "000000.npy")[40:130])
    assert part.captions[0].start == part.captions[0].end == 0.0
    assert list(outcome(folder, subclips="per_caption")[0]) == list(rows)
    kit_rate, _ = outcome(folder, subclips="per_caption", subclip_fps=12.5)
    assert len(kit_rate["train", "000000@2-6.5"].features) == 56 and kit_rate["train", "000000@2-6.5"].fps == 20.0


@pytest.mark.parametrize(
    ("line", "text", "thought", "notes"),
    [
        (LINE, "a man kicks.", "", 0),
        (LINE + "#<think>the leg # goes up.</think>", "a man kicks.", "the leg # goes up.", 0),
        (LINE + "#the leg goes up.", "a man kicks.", "the leg goes up.", 1),
        ("kick #2 of 3" + LINE.removeprefix("a man kicks."), "kick #2 of 3", "", 1),
        ("kick#a/b#1" + LINE.removeprefix("a man kicks."), "kick#a/b#1", "", 1),
        ("a man kicks.##0.0#0.0", "a man kicks.", "", 1),
    ],
)
def test_caption_lines(tmp_path, line: str, text: str, thought: str, notes: int) -> None:
    path = tmp_path / "a.txt"
    path.write_text(line + "\n\n", encoding="utf-8")
    found = humanml3d.read_texts(path)
    assert [(c.text, c.thought) for c in found.captions] == [(text, thought)]
    assert found.captions[0].tokens[-1] == "kick/VERB" and len(found.skipped) == notes


@pytest.mark.parametrize(
    "line",
    ["a man kicks.", "a man#a/DET", "a#b#0.0#0.0", LINE.replace("0.0#", "soon#"), "#a/DET#0.0#0.0", "🎉##0.0#0.0"],
)
def test_a_bad_caption_line_costs_only_itself(folder, line: str) -> None:
    (folder / "texts" / "000000.txt").write_text(f"{LINE}\n{line}\n", encoding="utf-8")
    clips, faults = outcome(folder)
    assert len(clips["train", "000000"].captions) == 1 and list(faults) == ["000000 line 2"]


def spoil(folder, case: str) -> None:
    motion, text = folder / "new_joint_vecs" / "000000.npy", folder / "texts" / "000000.txt"
    if case == "in a split file, but without a motion file":
        motion.unlink()
    elif case == "no caption file":
        text.unlink()
    elif case == "unreadable file":
        motion.write_bytes(motion.read_bytes()[:1000])
    elif case == "wrong shape":
        np.save(motion, np.zeros((60, 251)))
    elif case == "NaN or infinite values":
        np.save(motion, np.full((60, 263), np.inf))
    elif case == "no usable caption":
        text.write_text("\n")


@pytest.mark.parametrize(
    "case",
    [
        "in a split file, but without a motion file",
        "no caption file",
        "unreadable file",
        "wrong shape",
        "NaN or infinite values",
        "no usable caption",
    ],
)
def test_a_bad_clip_is_listed_and_costs_no_other(folder, case: str) -> None:
    spoil(folder, case)
    clips, faults = outcome(folder)
    assert len(clips) == 11 and faults["000000"] == case


def test_pickled_motion_is_refused(folder) -> None:
    np.save(folder / "new_joint_vecs" / "000000.npy", np.array([{}], dtype=object), allow_pickle=True)
    skipped = [item for item in humanml3d.iter_clips(folder) if isinstance(item, Skipped)]
    assert len(skipped) == 1 and "refused" in skipped[0].detail


def test_path_tricks_in_split_files_are_refused(folder) -> None:
    with open(folder / "train.txt", "a") as file:
        file.write("../../secret\n/etc/passwd\n000000\n")
    clips, faults = outcome(folder)
    assert len(clips) == 12
    assert sorted(faults.values()) == [
        "name is no plain file name",
        "name is no plain file name",
        "named twice in a split file",
    ]


def test_a_name_in_two_splits_is_reported(folder) -> None:
    with open(folder / "test.txt", "a") as file:
        file.write("000000\n")
    clips, faults = outcome(folder)
    assert len(clips) == 13 and faults == {"000000": "in two splits (kept in both)"}


def test_thoughts_are_taken_where_there_are_some(folder) -> None:
    thinking = folder / "texts_think_qwen"
    thinking.mkdir()
    for path in (folder / "texts").glob("*.txt"):
        (thinking / path.name).write_text(LINE + "#<think>up.</think>\n")
    assert {c.captions[0].thought for c in outcome(folder)[0].values()} == {"up."}
    assert {c.captions[0].thought for c in outcome(folder, texts="texts")[0].values()} == {""}
    (folder / "texts_think_other").mkdir()
    (folder / "texts_think_other" / "000000.txt").write_text(LINE)
    with pytest.raises(ValueError, match="choose one with --texts"):
        outcome(folder)


def test_missing_parts_are_errors(folder, tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match="no such folder"):
        outcome(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="no new_joint_vecs"):
        outcome(tmp_path)
    with pytest.raises(FileNotFoundError, match="no such folder of captions"):
        outcome(folder, texts="texts_think")
    for name in ("train", "val", "test"):
        (folder / f"{name}.txt").unlink()
    with pytest.raises(FileNotFoundError, match="none of train.txt"):
        outcome(folder)


def test_neither_skeleton_is_an_error(folder) -> None:
    for path in [*(folder / "new_joint_vecs").glob("*.npy"), folder / "Mean.npy", folder / "Std.npy"]:
        np.save(path, np.zeros((50, 100)))
    with pytest.raises(ValueError, match="263 .HumanML3D. or 251"):
        outcome(folder)


def test_the_real_sample(shared_dir) -> None:
    clips, faults = outcome(shared_dir / "data" / "humanml3d_sample")
    assert len(clips["train", "000000"].captions) == 4
    assert [(c.start, c.end) for c in clips["test", "012314"].captions] == [(0.0, 0.0), (2.0, 6.5)]
    assert faults == {"012314": "in two splits (kept in both)"}
