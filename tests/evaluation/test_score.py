"""Scoring any system from files: the figures of a run, the ways to name files, and input that cannot be used."""

import json
import shutil

import numpy as np
import pytest
from motion_files import bvh_text
from tiny_data import dataset_folder, entries, features, tiny_judge
from tiny_unimo import tiny_unimo

from datasets_scripts.locks import locked_output
from evaluate_unimo import run, score
from evaluate_unimo.answer_files import CaptionAnswers, MotionAnswers
from evaluate_unimo.answer_scoring import score as score_files
from evaluate_unimo.evaluation import evaluate
from evaluate_unimo.results import markdown
from modeling_unimo import UniMoProcessor, features_to_joints

OTHERS = {"train": {"train-000"}}


@pytest.fixture(scope="module")
def stages(tmp_path_factory):
    root = tmp_path_factory.mktemp("stages")
    model, processor = tiny_unimo()
    model.save_pretrained(root / "unimo")
    processor.save_pretrained(root / "unimo")
    tiny_judge().save_pretrained(root / "evaluator")
    dataset_folder(root / "data", train=2, test=12, test_hard=4, test_attributes=8)
    return root


def scored(stages, *more):
    given = ["--dataset", str(stages / "data"), "--evaluator", str(stages / "evaluator")]
    return score_files(score.parse([*given, *map(str, more)]))


@pytest.mark.parametrize("halves", [(), ("--halves",)])
def test_motions_of_a_run_give_its_figures_to_the_last_digit(stages, tmp_path, halves):
    taught = UniMoProcessor.from_pretrained(stages / "unimo")
    taught.taught_words = ["person", "walks"]
    shutil.copytree(stages / "unimo", tmp_path / "taught")
    taught.save_pretrained(tmp_path / "taught")
    given = ["--model", tmp_path / "taught", "--dataset", stages / "data", "--evaluator", stages / "evaluator"]
    given += ["--output", tmp_path / "run", "--save_motions", tmp_path / "saved", "--repeats", "2", "--hard", *halves]
    expected = evaluate(run.parse([*map(str, given), "--seed", "3", "--m2t_limit", "5"]))
    saved = ("--motions", tmp_path / "saved", "--captions", tmp_path / "saved" / "m2t.jsonl", "--m2t_limit", 5)
    found = scored(stages, *saved, "--output", tmp_path / "score")
    assert found["t2m"] == expected["t2m"] and found["m2t"] == expected["m2t"]
    assert found["inputs"]["motions"]["problems"] == {} == found["inputs"]["captions"]["problems"]
    differing = {k for k in expected["protocol"] if found["protocol"].get(k) != expected["protocol"][k]}
    assert differing == {"model", "candidates", "think"}  # of the system alone, so that the two can be compared
    for split, task in (("test_hard", "t2m_hard"), ("test_attributes", "t2m_attributes")):
        of_split = scored(stages, "--motions", tmp_path / "saved" / split)
        assert of_split[task] == expected[task]
        assert of_split["unknown_words"] == {task: expected["unknown_words"][task]}
    assert found["unknown_words"] == {"t2m": expected["unknown_words"]["t2m"]}
    for name in ("clips.json", "results.md"):
        assert (tmp_path / "score" / name).is_file()


def answers(folder, **settings):
    return MotionAnswers(folder, entries(6), "test", OTHERS, **settings)


def test_names_of_samples(tmp_path):
    one = features(0)
    names = ["test-000.npy", "test-001_0.npy", "test-001_1.npy", "test-002/0.npy", "test-002/2.npy"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        np.save(tmp_path / name, one)
    found = answers(tmp_path)
    keys = [("test-000", 0), ("test-001", 0), ("test-001", 1), ("test-002", 0), ("test-002", 2)]
    assert sorted(found.files) == keys and found.samples == 3
    np.testing.assert_array_equal(found.motion("test-000", 0), one)
    assert found.choice("test-000", 0) == 0
    text = entries(1)[0].texts[1]
    lines = [{"id": "test-000", "caption": text}, {"id": "test-001", "sample": 1, "caption": 1}]
    (tmp_path / "captions.jsonl").write_text("\n".join(map(json.dumps, lines)))
    named = answers(tmp_path)
    assert [named.choice(*key) for key in (("test-000", 0), ("test-001", 0), ("test-001", 1))] == [1, 0, 1]


def test_joints_and_bvh_become_features(tmp_path):
    joints = np.asarray(features_to_joints(features(0)))
    np.save(tmp_path / "test-000.npy", joints)
    (tmp_path / "test-001.bvh").write_text(bvh_text(frames=180, fps=60))
    found = answers(tmp_path)
    made = found.motion("test-000", 0)
    # Bone lengths become HumanML3D's, and the last frame has no velocity.
    assert made.shape == (len(joints) - 1, 263)
    assert found.motion("test-001", 0).shape == (59, 263)
    assert found.summary()["frame_rates"] == {"20": 1, "60": 1}
    faster = answers(tmp_path, fps=40.0)
    assert len(faster.motion("test-000", 0)) == pytest.approx(len(joints) / 2, abs=1.5)


def test_what_cannot_be_used_is_counted_and_listed(stages, tmp_path):
    good = features(0)
    for name, array in {
        "test-000.npy": good,
        "test-001.npy": np.where(np.arange(263) == 5, np.nan, good),
        "test-002.npy": good[:, :251],
        "test-003.npy": np.zeros((30, 24, 3)),
        "test-004.npy": good[:3],
        "test-005.npy": good,
        "test-005_0.npy": good,
        "test-006.npy": np.tile(good, (9, 1)),
        "train-000.npy": good,
        "nobody.npy": good,
        "test-009.npy": good.astype(np.float64) * 1e39,
        "test-010.npy": good,
    }.items():
        np.save(tmp_path / name, array)
    (tmp_path / "test-007.bvh").write_text("HIERARCHY")
    (tmp_path / "test-008.npy").write_bytes(b"no array")
    lines = [json.dumps({"id": "test-010", "caption": caption}) for caption in (0, 1)]
    (tmp_path / "captions.jsonl").write_text("\n".join(lines))
    results = scored(stages, "--motions", tmp_path)
    problems = results["inputs"]["motions"]["problems"]
    counted = {problem.partition(":")[0]: names for problem, names in problems.items()}
    # In the order in which they were drawn; of the one with two files neither counts.
    assert sorted(counted.pop("clip without a motion")) == ["test-005, sample 0", "test-011, sample 0"]
    assert counted == {
        "NaN or infinite values": ["test-001, sample 0"],
        "wrong shape": ["test-002, sample 0"],
        "wrong skeleton": ["test-003, sample 0"],
        "fewer than 4 frames": ["test-004, sample 0"],
        "several files of one sample": ["test-005, sample 0"],
        "cut to 196 frames": ["test-006, sample 0"],
        "clip of split train": ["train-000.npy"],
        "no such clip in the dataset": ["nobody.npy"],
        "unusable BVH": ["test-007, sample 0"],
        "unreadable .npy": ["test-008, sample 0"],
        "coordinates beyond 1e7": ["test-009, sample 0"],
        "several captions of one sample in captions.jsonl": ["test-010, sample 0"],
    }
    generated = results["t2m"]["generated"]
    assert generated["valid"] == {"mean": 2 / 12} and generated["n"] == 2 and generated["pool_size"] == 2
    assert "- clip without a motion: 2" in markdown(results)


def test_captions_that_cannot_be_used(stages, tmp_path):
    path = tmp_path / "captions.jsonl"
    lines = [{"id": f"test-{i:03d}", "caption": "a person walks forward"} for i in range(8)]
    lines += [{"id": "test-008", "caption": ""}, {"id": "test-009", "caption": 3}, {"id": "test-000", "caption": "b"}]
    lines += [{"id": "train-000", "caption": "a"}, {"id": "else", "caption": "a"}]
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    results = scored(stages, "--captions", path)
    assert results["inputs"]["captions"]["problems"] == {
        "empty caption": ["test-008, sample 0"],
        "caption is no string": ["test-009, sample 0"],
        "several captions of one sample": ["test-000, sample 0"],
        "clip of split train": ["train-000, line 12"],
        "no such clip in the dataset": ["else, line 13"],
        "clip without a caption": ["test-000, sample 0", "test-010, sample 0", "test-011, sample 0"],
    }
    m2t = results["m2t"]
    assert (m2t["n"], m2t["empty"]["mean"], m2t["coco"]["empty"]["mean"]) == (8, 1, 5)
    assert "generated, coco protocol" in markdown(results)


@pytest.mark.parametrize(
    "lines, message",
    [
        ('{"id": "test-000"', "line 1: is not valid JSON"),
        ('[1]', "line 1: must be a JSON object"),
        ('{"id": 3, "caption": "a"}', "line 1: must be"),
        ('{"id": "test-000"}', "line 1: must be"),
        ('{"id": "train-000", "caption": "a"}', r"no answer to a clip of split 'test' \(clip of split train: 1\)"),
        ("", "it is empty"),
        ('{"id": "test-000", "sample": true, "caption": "a"}', "line 1: must be"),
        ('{"id": "test-000", "sample": 2, "caption": "a"}', "numbered from 0 without gaps; 2 has no 0"),
    ],
)  # fmt: skip
def test_files_of_captions_that_are_refused(tmp_path, lines, message):
    (tmp_path / "c.jsonl").write_text(lines)
    with pytest.raises(ValueError, match=message):
        CaptionAnswers(tmp_path / "c.jsonl", entries(2), "test", OTHERS)


def test_captions_of_another_dataset_are_refused(tmp_path):
    np.save(tmp_path / "test-000.npy", features(0))
    for line, message in [
        ({"id": "test-000", "caption": 0, "text": "he flies"}, "is another text in this dataset"),
        ({"id": "test-000", "caption": 7}, "must be a caption of test-000 or its index, 0 to 1, got 7"),
        ({"id": "test-000", "caption": True}, "must be a caption of test-000 or its index, 0 to 1, got True"),
        ({"id": "test-000", "sample": "0", "caption": 1}, "sample must be a whole number >= 0, got '0'"),
    ]:
        (tmp_path / "captions.jsonl").write_text(json.dumps(line))
        with pytest.raises(ValueError, match=message):
            answers(tmp_path)


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("captions.jsonl", b"\xff\xfe", "captions.jsonl: is not UTF-8 text"),
        ("settings.json", b'{"split": "test"', "settings.json is not valid JSON"),
        ("settings.json", b"[]", "settings.json must hold a JSON object, got list"),
        ("test-000_3.npy", None, "numbered from 0 without gaps; 3 has no 1"),
    ],
)
def test_folders_that_are_refused(stages, tmp_path, name, content, message):
    np.save(tmp_path / "test-000.npy", features(0))
    if content is None:
        np.save(tmp_path / name, features(1))
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SystemExit, match=message):
        scored(stages, "--motions", tmp_path)


def test_a_byte_order_mark_is_no_part_of_the_captions(tmp_path):
    (tmp_path / "c.jsonl").write_bytes(b'\xef\xbb\xbf{"id": "test-000", "caption": "a"}')
    assert CaptionAnswers(tmp_path / "c.jsonl", entries(2), "test", OTHERS).caption("test-000", 0) == "a"


def test_several_samples_of_one_caption_give_multimodality(stages, tmp_path):
    for clip in range(12):
        for sample in range(11):
            np.save(tmp_path / f"test-{clip:03d}_{sample}.npy", features((clip + sample) % 12))
    generated = scored(stages, "--motions", tmp_path)["t2m"]["generated"]
    assert generated["multimodality_n"] == 12 and generated["multimodality"]["mean"] > 0


@pytest.mark.parametrize(
    "more, message",
    [
        ((), "one of --motions and --captions is required"),
        (("--motions", "/nowhere"), "--motions /nowhere: no such folder"),
        (("--captions", "/nowhere"), "--captions /nowhere: no such file"),
        (("--captions", __file__, "--fps", "0"), "--fps: must be > 0 and finite, got 0"),
        (("--captions", __file__, "--fps", "nan"), "--fps: must be > 0 and finite, got nan"),
    ],
)
def test_refused_by_the_parser(stages, capsys, more, message):
    with pytest.raises(SystemExit):
        scored(stages, *more)
    assert message in capsys.readouterr().err


def test_a_folder_that_another_process_writes_is_refused(stages, tmp_path):
    (tmp_path / "captions.jsonl").write_text("")
    words = ["--captions", tmp_path / "captions.jsonl", "--dataset", stages / "data"]
    words += ["--evaluator", stages / "evaluator", "--output", tmp_path / "out"]
    with (
        locked_output(tmp_path / "out"),
        pytest.raises(SystemExit, match=f"error: another process works in {tmp_path / 'out'}"),
    ):
        score.main([*map(str, words)])
    assert [path.name for path in tmp_path.iterdir()] == ["captions.jsonl"]
