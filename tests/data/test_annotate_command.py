"""The annotate command: thoughts with provenance, refusals counted, killed runs that go on, no secret anywhere."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import motion_files
import numpy as np
import pytest
import tiny_data
from chat_server import GOOD, KEY, ChatApi, answers, completion, cut, fails, hang_up, late, says, serving, texts
from datasets import load_dataset
from filelock import FileLock
from waiting import wait_until

from datasets_scripts import annotate, schema, verify
from datasets_scripts.schema import Caption, Clip, iter_dataset, load_motion_dataset, write_dataset
from datasets_scripts.thoughts import render
from datasets_scripts.thoughts.annotate import answers as answers_module
from datasets_scripts.thoughts.annotate import vlm_annotator, vlm_prompt, vlm_server
from datasets_scripts.thoughts.annotate.clip_annotator import ClipAnnotator, provenance_of, verifier_version
from datasets_scripts.thoughts.annotate.kinematic_annotator import KinematicAnnotator
from datasets_scripts.thoughts.annotate.vlm_annotator import VlmAnnotator, joints_of
from datasets_scripts.thoughts.records import FILE, read_records, text_hash
from datasets_scripts.verify import evidence, lexicon
from modeling_unimo import rendering_unimo


def run(*arguments: object) -> int:
    return annotate.main([str(argument) for argument in (*arguments, "--quiet")])


def walk(index: int = 0, frames: int = 80) -> np.ndarray:
    return motion_files.features(frames, speed=0.6 + 0.1 * index)


def clip(index: int, split: str = "train", captions: Iterable[str] = ("a person walks forward.",), **more) -> Clip:
    made = [Caption(f"{text}" if text != "#" else f"caption {index}") for text in captions]
    return Clip(f"{split}-{index:03d}", walk(index, 60 + 10 * (index % 3)), made, split, "test", **more)


def folder(path: Path, clips: Iterable[Clip], checked: bool = True) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        if not checked:
            patch.setattr(schema, "find_fault", lambda *_: None)
        write_dataset(list(clips), path, card="Words of the source.")
    return path


def thoughts(path: Path) -> dict[tuple[str, str], str]:
    return {(clip.id, caption.text): caption.thought for clip in iter_dataset(path) for caption in clip.captions}


@pytest.fixture(autouse=True)
def key(monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def vlm(server: ChatApi, data: Path, out: Path, *more: object) -> int:
    model = ("--annotator", "vlm", "--server", server.address, "--model", "m")
    small = ("--size", 28, "--frame_rate", 2, "--timeout", 5)
    return run("--dataset", data, "--output", out, *model, *small, *more)


# -- kinematic ----------------------------------------------------------------------------------------------------


def test_kinematic_fills_thoughts_and_says_where_they_come_from(tmp_path, capsys) -> None:
    clips = [clip(0, captions=["a person walks.", "someone strolls."]), clip(1, "test"), clip(2, "validation")]
    clips[1].captions[0].thought = "a thought that was there."
    data = folder(tmp_path / "data", clips)
    assert run("--dataset", data, "--output", tmp_path / "out", "--texts_only", tmp_path / "texts") == 0
    said = capsys.readouterr().out
    assert "4 captions with a thought: 3 written, 1 given with the data" in said and "consistency" in said
    before, after = load_motion_dataset(data), load_motion_dataset(tmp_path / "out")
    for split in before:
        np.testing.assert_array_equal(before[split][0]["motion"], after[split][0]["motion"])
        assert all(len(caption["thought"].split()) > 4 for row in after[split] for caption in row["captions"])
    assert after["test"][0]["captions"][0]["thought"] == "a thought that was there."
    records = {(r.split, r.caption): r for r in read_records(tmp_path / "out")}
    assert {r.annotator for r in records.values()} == {"kinematic", "given"} and len(records) == 4
    mine = records["train", 1]
    assert mine.version.startswith("source ") and mine.version.endswith("seed 0")
    assert mine.text_sha256 == text_hash("someone strolls.")
    (checked,) = verify.verify([mine.thought], joints_of(clips[0].features))
    assert mine.consistency == checked.consistency and len(mine.contradicted) == len(checked.contradicted)
    assert mine.decided == sum(claim.verdict != "undecided" for claim in checked.claims) > 0
    assert records["test", 0].annotator == "given" and records["test", 0].version == ""
    card = (tmp_path / "out" / "README.md").read_text()
    assert "Words of the source." in card and "annotator: kinematic" in card and f"version: {mine.version}" in card
    assert load_dataset(str(tmp_path / "out"), "thoughts")["train"].num_rows == 4
    assert load_dataset(str(tmp_path / "out"))["train"].num_rows == 1
    # The texts hold the same, and nothing of the data.
    assert list(read_records(tmp_path / "texts")) == list(read_records(tmp_path / "out"))
    blob = b"".join(path.read_bytes() for path in (tmp_path / "texts").iterdir())
    assert b"someone strolls" not in blob and b"Words of the source" not in blob and b"motion.list" not in blob


def test_the_version_of_the_verifier_names_every_file_of_its_reading(tmp_path, monkeypatch) -> None:
    copy = shutil.copytree(Path(verify.__file__).parent, tmp_path / "verify")
    version = verifier_version()
    for package, folder in ((verify, copy), (evidence, copy / "evidence")):
        monkeypatch.setattr(package, "__file__", str(folder / "__init__.py"))
    assert verifier_version() == version
    seen = {version}
    files = sorted(copy.rglob("*.py"))
    for file in files:
        file.write_text(file.read_text() + "# another bound\n")
        seen.add(verifier_version())
    assert len(seen) == 1 + len(files) > 12


@pytest.mark.parametrize(
    "module", [answers_module, lexicon, render, rendering_unimo, vlm_annotator, vlm_prompt, vlm_server]
)
def test_the_version_of_a_model_names_what_shows_asks_and_reads(tmp_path, monkeypatch, module) -> None:
    annotator = VlmAnnotator(vlm_server.ChatServer("http://host", "m"))
    version = provenance_of(annotator).version
    assert re.fullmatch("openai-compatible server, images, source [0-9a-f]{12}", version)
    copy = Path(shutil.copy(module.__file__, tmp_path))
    monkeypatch.setattr(module, "__file__", str(copy))
    assert provenance_of(annotator).version == version
    copy.write_text(copy.read_text() + "# otherwise\n")
    assert provenance_of(annotator).version != version


def test_overwrite_and_other_wordings(tmp_path) -> None:
    data = folder(tmp_path / "data", [replace(clip(0), captions=[Caption("x", thought="old")])])
    run("--dataset", data, "--output", tmp_path / "a", "--overwrite_thoughts")
    run("--dataset", data, "--output", tmp_path / "b", "--overwrite_thoughts", "--seed", 1)
    run("--dataset", data, "--output", tmp_path / "c", "--overwrite_thoughts", "--seed", 0)
    a, b, c = (thoughts(tmp_path / name) for name in "abc")
    assert a == c and a != b and "old" not in a.values()


def test_plans_are_shorter_and_say_that_they_are_plans(tmp_path) -> None:
    data = folder(tmp_path / "data", [clip(0)])
    run("--dataset", data, "--output", tmp_path / "a")
    run("--dataset", data, "--output", tmp_path / "b", "--style", "plan")
    (sentences,), (plan,) = (thoughts(tmp_path / name).values() for name in "ab")
    assert plan.startswith("from 0 to ") and 2 * len(plan.split()) <= len(sentences.split())
    (record,), (other,) = (read_records(tmp_path / name) for name in "ab")
    assert other.version == f"{record.version}, style plan" and other.consistency is not None


def test_a_part_is_described_for_itself(tmp_path) -> None:
    features = np.concatenate([walk(0, 80), np.repeat(walk(0, 80)[-1:], 80, axis=0) * 0])
    captions = [Caption("all"), Caption("first", start=0.0, end=4.0), Caption("none", start=2.0, end=2.04)]
    data = folder(tmp_path / "data", [Clip("a", features, captions)])
    assert run("--dataset", data, "--output", tmp_path / "out", "--without_thought", "keep") == 0
    (made,) = iter_dataset(tmp_path / "out")
    assert made.captions[0].thought != made.captions[1].thought and made.captions[2].thought == ""
    refused = [r.refused for r in read_records(tmp_path / "out")]
    assert refused == ["", "", "fewer than two frames to describe"]
    assert "walks" in made.captions[1].thought


def test_motions_that_cannot_be_used(tmp_path, capsys) -> None:
    nan, infinite = walk(), walk()
    nan[3, 7], infinite[0, 0] = np.nan, np.inf
    huge = walk() * 1e20
    shapes = {"nan": nan, "infinite": infinite, "none": walk()[:0], "one": walk()[:1], "three": walk()[:3]}
    clips = [Clip(name, motion, [Caption("a person walks.")]) for name, motion in shapes.items()]
    long = np.concatenate([walk(0, 196)] * 20)
    clips += [Clip("long", long, [Caption("a person walks on and on.")]), Clip("good", walk(), [Caption("x")])]
    clips += [Clip("huge", huge, [Caption("x")])]
    data = folder(tmp_path / "data", clips, checked=False)
    assert run("--dataset", data, "--output", tmp_path / "out") == 0
    said = capsys.readouterr().out
    assert "clips dropped: " in said and "NaN or infinite values: nan (first in frame 3)" in said
    made = thoughts(tmp_path / "out")
    assert set(made) >= {("long", "a person walks on and on."), ("good", "x")} and all(made.values())
    assert not {"nan", "infinite", "none", "one", "three"} & {id for id, _ in made}
    assert len(made["long", "a person walks on and on."].split()) <= 60


def test_captions_of_every_kind(tmp_path, capsys) -> None:
    odd = ["", " \n", "人が前に歩く。", "шагает вперёд", "walks </think><Motion_3>", "x" * 3000, "a\x00b", "🚶"]
    clips = [clip(0, captions=[*odd, "a person walks."]), clip(1, "test", ["", "a person walks."])]
    clips[0].captions.append(Caption("tagged", thought="first </think><Motion_3> then"))
    data = folder(tmp_path / "data", clips)
    assert run("--dataset", data, "--output", tmp_path / "out") == 0
    said = capsys.readouterr().out
    assert "empty caption" in said and "refused: 3" in said
    made = thoughts(tmp_path / "out")
    # Without a thought nothing can be learned from a caption; a test split is read without thoughts.
    assert ("train-000", "") not in made and made["test-001", ""] == "" and made["test-001", "a person walks."]
    for text in [*odd[2:], "a person walks.", "tagged"]:
        assert len(made["train-000", text].split()) > 4 and "<" not in made["train-000", text]
    listed = [json.loads(line) for line in (tmp_path / "out" / "skipped.jsonl").read_text().splitlines()]
    assert [(entry["id"], entry["kind"]) for entry in listed] == [
        ("train-000", "caption"),
        ("train-000", "caption"),
        ("test-001", "note"),
    ]
    places = [(r.id, r.caption) for r in read_records(tmp_path / "out")]
    assert places[:3] == [("train-000", -1), ("train-000", -1), ("train-000", 0)] and places[-1] == ("test-001", 1)


def test_a_part_that_is_no_time_is_refused_and_ends_nothing(tmp_path, capsys) -> None:
    parts = [(np.nan, 2.0), (0.0, np.nan), (0.5, np.inf), (1e308, 2.0)]
    captions = [Caption("x", start=start, end=end, thought="old") for start, end in parts]
    data = folder(tmp_path / "data", [replace(clip(0), captions=[*captions, Caption("good")]), clip(1)])
    for _ in range(2):
        assert run("--dataset", data, "--output", tmp_path / "out") == 0
        assert "     4  start or end is not a valid time\n" in capsys.readouterr().out
    assert {text for _, text in thoughts(tmp_path / "out")} == {"good", "a person walks forward."}
    refused = [r.refused for r in read_records(tmp_path / "out") if not r.thought]
    assert refused == ["start or end is not a valid time"] * 4


def test_kit_is_refused(tmp_path, capsys) -> None:
    motion = np.random.default_rng(0).normal(size=(50, 251)).astype(np.float32)
    write_dataset([Clip("a", motion, [Caption("x")])], tmp_path / "kit", feature_dim=251)
    assert run("--dataset", tmp_path / "kit", "--output", tmp_path / "out") == 2
    assert "251-dimensional" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_consistency_filters_anew_without_doing_the_work_anew(tmp_path, capsys, monkeypatch) -> None:
    clips = [clip(0), clip(1, "test")]
    clips[0].captions = [
        Caption("true", thought="the person moves forward."),
        Caption("false", thought="the person jumps."),
        Caption("unread", thought="a mood of quiet joy."),
    ]
    data = folder(tmp_path / "data", clips)
    arguments = ["--dataset", data, "--output", tmp_path / "out", "--annotator", "none"]
    assert run(*arguments) == 0
    records = {r.text_sha256: r for r in read_records(tmp_path / "out")}
    true, false, unread = (records[text_hash(text)] for text in ("true", "false", "unread"))
    assert true.consistency == 1.0 and unread.consistency is None
    assert false.consistency < 0.5 and "jumps (measured: " in false.contradicted[0]
    assert len(thoughts(tmp_path / "out")) == 4
    capsys.readouterr()
    monkeypatch.setattr(ClipAnnotator, "__call__", _resumed_only(ClipAnnotator.__call__))
    assert run(*arguments, "--min_consistency", 0.5) == 0
    said = capsys.readouterr().out
    assert "left out for their consistency: 1" in said and "2 of them finished by an earlier run" in said
    made = thoughts(tmp_path / "out")
    assert ("train-000", "false") not in made and made["train-000", "unread"] == "a mood of quiet joy."
    assert "below 0.5 were left out" in (tmp_path / "out" / "README.md").read_text()
    assert run(*arguments, "--min_consistency", 0.5, "--without_thought", "keep") == 0
    assert thoughts(tmp_path / "out")["train-000", "false"] == ""
    assert run(*arguments, "--min_consistency", 2) == 2


def test_what_the_verifier_cannot_read_is_kept_counted_and_told(tmp_path, capsys) -> None:
    clips = [clip(0), clip(1, "test")]
    clips[0].captions = [
        Caption("half", thought="the person moves forward. a mood of quiet joy. the air is mild."),
        Caption("whole", thought="the person moves forward."),
        Caption("unread", thought="a mood of quiet joy."),
    ]
    clips[1].captions[0].thought = "the person walks forward."
    data = folder(tmp_path / "data", clips)
    arguments = ["--dataset", data, "--output", tmp_path / "out", "--annotator", "none"]
    assert run(*arguments) == 0
    said = capsys.readouterr().out
    assert "coverage 0.500: the verifier found a claim in 3 of 6 sentences" in said
    assert "thoughts without a decidable claim: 1\n" in said
    records = {r.text_sha256: r for r in read_records(tmp_path / "out")}
    half, whole, unread = (records[text_hash(text)] for text in ("half", "whole", "unread"))
    assert (half.sentences, half.unread) == (3, ["a mood of quiet joy", "the air is mild"])
    assert (whole.sentences, whole.unread, unread.coverage) == (1, [], 0.0)
    card = " ".join((tmp_path / "out" / "README.md").read_text().split())
    assert "in 3 of 6 sentences (coverage 0.500)" in card and "supports or contradicts: 1." in card
    # What a person wrote stays at any consistency, unless its coverage is asked for.
    assert run(*arguments, "--min_consistency", 1) == 0
    assert ("train-000", "unread") in thoughts(tmp_path / "out")
    capsys.readouterr()
    assert run(*arguments, "--min_coverage", 0.3) == 0
    said = capsys.readouterr().out
    assert "left out for their coverage: 1" in said and "finished by an earlier run" in said
    assert {text for id, text in thoughts(tmp_path / "out") if id == "train-000"} == {"half", "whole"}
    card = " ".join((tmp_path / "out" / "README.md").read_text().split())
    assert "less than 0.3 of their sentences were left out" in card and "supports or contradicts: 0." in card
    assert run(*arguments, "--min_coverage", 1.5) == 2
    assert "min_coverage must be between 0 and 1, got 1.5" in capsys.readouterr().err


def _resumed_only(call):
    def checked(self, job):
        assert job.finished is not None, "a finished clip is done again"
        return call(self, job)

    return checked


def test_splits_and_limit(tmp_path) -> None:
    data = folder(tmp_path / "data", [clip(i, ("train", "test")[i % 2]) for i in range(6)])
    assert run("--dataset", data, "--output", tmp_path / "a", "--splits", "train") == 0
    assert {id: bool(thought) for (id, _), thought in thoughts(tmp_path / "a").items()} == {
        f"{split}-{i:03d}": split == "train" for i in range(6) for split in [("train", "test")[i % 2]]
    }
    assert run("--dataset", data, "--output", tmp_path / "b", "--limit", 2) == 0
    assert len(thoughts(tmp_path / "b")) == 2
    # A trial run is the beginning of the whole one.
    assert run("--dataset", data, "--output", tmp_path / "b") == 0
    assert len(thoughts(tmp_path / "b")) == 6
    # Split after split: what the other splits had comes along, with its provenance.
    assert run("--dataset", tmp_path / "a", "--output", tmp_path / "c", "--splits", "test", "--seed", 5) == 0
    assert all(thoughts(tmp_path / "c").values())
    versions = {(r.split, r.version[-6:]) for r in read_records(tmp_path / "c")}
    assert versions == {("train", "seed 0"), ("test", "seed 5")}
    assert run("--dataset", data, "--output", tmp_path / "d", "--splits", "nosuch") == 2


# -- going on -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("left", [0, 1, 2, 3])
def test_a_cut_journal_loses_one_clip_at_most(tmp_path, left, monkeypatch) -> None:
    data = folder(tmp_path / "data", [clip(i) for i in range(4)])
    arguments = ["--dataset", data, "--output", tmp_path / "out"]
    assert run(*arguments) == 0
    whole = thoughts(tmp_path / "out")
    journal = tmp_path / "out.annotation" / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    assert len(lines) == 4
    journal.write_bytes(b"".join(lines[:left]) + lines[left][: len(lines[left]) // 2])
    done: list[str] = []
    monkeypatch.setattr(KinematicAnnotator, "annotate", _noting(KinematicAnnotator.annotate, done))
    assert run(*arguments) == 0
    assert thoughts(tmp_path / "out") == whole and len(done) == 4 - left
    names = [json.loads(line)["id"] for line in journal.read_bytes().splitlines()]
    assert sorted(names) == [f"train-{i:03d}" for i in range(4)]


def _noting(annotate_, done: list[str]):
    def noted(self, motions, captions, fps):
        done.extend(captions)
        return annotate_(self, motions, captions, fps)

    return noted


def test_a_run_goes_on_only_with_its_own_settings_and_data(tmp_path, capsys) -> None:
    clips = [clip(0), clip(1)]
    data = folder(tmp_path / "data", clips)
    arguments = ["--dataset", data, "--output", tmp_path / "out"]
    assert run(*arguments) == 0
    assert run(*arguments, "--seed", 3) == 2
    assert "other settings" in capsys.readouterr().err
    # Clips that changed are done anew, the others are not.
    clips[1].features = walk(9)
    folder(data, clips)
    assert run(*arguments) == 0
    assert "1 of them finished by an earlier run" in capsys.readouterr().out
    with FileLock(tmp_path / "out.annotation" / ".lock"):
        assert run(*arguments) == 2
    assert "another process works in" in capsys.readouterr().err
    (tmp_path / "out.annotation" / "settings.json").write_text("{")
    assert run(*arguments) == 2


# As from a terminal: the child of a job in the background would not hear of Ctrl-C.
ANNOTATE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from datasets_scripts.annotate import main
sys.exit(main())
"""


def _child(tmp_path: Path, server: ChatApi | None, data: Path, out: Path) -> subprocess.Popen:
    arguments = [sys.executable, "-c", ANNOTATE, "--dataset", data, "--output", out, "--quiet"]
    if server is not None:
        arguments += ["--annotator", "vlm", "--server", server.address, "--model", "m", "--size", 28]
        arguments += ["--frame_rate", 2, "--timeout", 5, "--concurrency", 3]
    log = open(tmp_path / "log", "ab")
    return subprocess.Popen([str(argument) for argument in arguments], stdout=log, stderr=log)


@pytest.mark.slow
def test_killed_in_the_middle_and_again_no_clip_is_lost_or_done_twice(tmp_path) -> None:
    captions = ["a person number # walks", "someone number # walks"]
    clips = [
        replace(clip(i), captions=[Caption(text.replace("#", f"{i:02d}")) for text in captions]) for i in range(12)
    ]
    data = folder(tmp_path / "data", clips)
    journal = tmp_path / "out.annotation" / "journal.jsonl"
    asked: list[int] = []
    with serving(default=late(0.15)) as server:
        for kill_after in (8, 18):
            child = _child(tmp_path, server, data, tmp_path / "out")
            wait_until(lambda enough=kill_after: len(server.requests) >= enough, "requests", every=0.01)
            child.send_signal(signal.SIGKILL)
            child.wait(60)
            asked.append(len(server.requests))
            assert not (tmp_path / "out").exists() and journal.exists()
        child = _child(tmp_path, server, data, tmp_path / "out")
        assert child.wait(120) == 0, (tmp_path / "log").read_text()
        # Only what was under way when a run was killed is asked again: three requests at once, twice.
        times = [texts(request) for *_, request in server.requests]
        counts = {
            caption.text: sum(f'"{caption.text}"' in text for text in times)
            for clip_ in clips
            for caption in clip_.captions
        }
        assert all(counts.values()) and sum(counts.values()) <= 24 + 2 * 3
    assert set(thoughts(tmp_path / "out").values()) == {GOOD} and len(thoughts(tmp_path / "out")) == 24
    ids = [json.loads(line)["id"] for line in journal.read_bytes().splitlines()]
    assert sorted(ids) == sorted(clip_.id for clip_ in clips)
    assert [c.id for c in iter_dataset(tmp_path / "out")] == [c.id for c in clips]


@pytest.mark.slow
def test_processes_and_an_interrupt(tmp_path) -> None:
    data = folder(tmp_path / "data", [clip(i) for i in range(10)])
    assert run("--dataset", data, "--output", tmp_path / "one") == 0
    assert run("--dataset", data, "--output", tmp_path / "two", "--workers", 2) == 0
    assert thoughts(tmp_path / "one") == thoughts(tmp_path / "two")
    with serving(default=late(0.3)) as server:
        child = _child(tmp_path, server, data, tmp_path / "out")
        wait_until(lambda: len(server.requests) >= 4, "requests", every=0.01)
        os.kill(child.pid, signal.SIGINT)
        assert child.wait(30) == 130
    log = (tmp_path / "log").read_text()
    assert "run the same command to resume" in log and "Traceback" not in log


# -- vlm ----------------------------------------------------------------------------------------------------------


def test_vlm_answers_are_read_counted_and_kept(tmp_path, capsys) -> None:
    replies = {
        "c0": says(GOOD),
        "c1": says("I'm sorry, I can't help with that."),
        "c2": says("<Motion_3>" * 9),
        "c3": says(""),
        "c4": says("word " * 3000),
        "c5": says("<think>Hm.</think><Answer>" + GOOD + "</Answer>"),
        "c6": says(f"\x00\x1b[1m{GOOD}\x07", usage=False),
        "c7": says(GOOD.replace("left", "right")),
    }

    def by_caption(handler, request):
        replies[next(name for name in replies if f'"{name}"' in texts(request))](handler, request)

    clips = [replace(clip(i), captions=[Caption(f"c{2 * i}"), Caption(f"c{2 * i + 1}")]) for i in range(3)]
    clips.append(replace(clip(3, "test"), captions=[Caption("c6"), Caption("c7"), Caption("")]))
    data = folder(tmp_path / "data", clips)
    faults = [fails(500), fails(429, Retry_After="0.05"), cut, hang_up, answers(b"{not json"), answers(b"{}")]
    with serving(*faults, default=by_caption) as server:
        priced = ["--price_input", 2.0, "--price_output", 8.0, "--concurrency", 2, "--views", "front", "side"]
        assert vlm(server, data, tmp_path / "out", *priced) == 0
    said = capsys.readouterr().out
    # Each useless answer is asked for twice: 8 captions, 4 of them again.
    assert len(server.requests) == 12 + len(faults) and server.most <= 2
    assert "11000 prompt tokens, 550 completion tokens (not reported for 1 answers), cost 0.0264" in said
    for reason in ("refusal", "tags in the text", "empty", "longer than 4000 characters", "empty caption"):
        assert f"     1  {reason}\n" in said
    made = thoughts(tmp_path / "out")
    assert made == {
        ("train-000", "c0"): GOOD,
        ("train-002", "c5"): GOOD,
        ("test-003", "c6"): GOOD,
        ("test-003", "c7"): GOOD.replace("left", "right"),
        ("test-003", ""): "",
    }
    # train-001 has no caption left; it is listed, as every caption that was lost.
    assert "no caption" in said
    records = {r.id + str(r.caption): r for r in read_records(tmp_path / "out") if r.thought}
    record = records["train-0000"]
    assert (record.annotator, record.model, record.views) == ("vlm", "m", "front+side") and len(record.prompt) == 16
    # The motion is a walk: both claims of a raised hand are wrong.
    assert record.consistency is not None and record.consistency < 1 and record.contradicted
    raw = [json.loads(line) for line in (tmp_path / "out.annotation" / "answers.jsonl").read_text().splitlines()]
    assert len(raw) == 12 and {entry["reply"]["text"] for entry in raw} >= {"<Motion_3>" * 9, ""}
    assert {entry["model"] for entry in raw} == {"m"}


REFUSING = "I will not describe the body of a person, since that would be out of place in this setting."


def test_refusals_outside_the_list_of_phrases_are_no_thoughts(tmp_path, capsys) -> None:
    replies = [
        says(None, refusal=REFUSING),
        says(GOOD, refusal="no"),
        says(GOOD, finish="content_filter"),
        says(REFUSING),
        says("This content violates the usage policy, therefore none of it will be put into words."),
        says("Okay, let me think about what the user wants: how the person moves the hands and the feet."),
        says("The rules of this house leave nothing to be told of what has been handed over, whatever it is."),
        says("[...] " + GOOD),
    ]
    numbers = range(len(replies))

    def by_caption(handler, request):
        replies[next(n for n in numbers if f'"c{n}"' in texts(request))](handler, request)

    data = folder(tmp_path / "data", [clip(0, captions=[*(f"c{n}" for n in numbers)]), clip(1, "test", ["good"])])
    with serving(
        default=lambda handler, request: (says() if '"good"' in texts(request) else by_caption)(handler, request)
    ) as server:
        assert vlm(server, data, tmp_path / "out", "--without_thought", "keep", "--min_consistency", 0.0) == 0
    said = capsys.readouterr().out
    for line in (
        "     5  refusal\n",
        "     1  speaks of itself or of what was asked\n",
        "     1  says nothing about movement\n",
        "     1  names an address\n",
    ):
        assert line in said
    assert {text for (_, text), thought in thoughts(tmp_path / "out").items() if thought} == {"good"}
    raw = (tmp_path / "out.annotation" / "answers.jsonl").read_text()
    assert REFUSING in raw and '"refused": true' in raw  # every raw answer is kept


def test_a_model_that_says_nothing_to_decide_is_left_out_where_consistency_is_asked_for(tmp_path, capsys) -> None:
    vague = "The person gestures with an air of quiet joy, as one might in the first warm days of the year."
    data = folder(tmp_path / "data", [clip(0, captions=["vague", "clear"])])

    def by_caption(handler, request):
        says(vague if '"vague"' in texts(request) else GOOD)(handler, request)

    with serving(default=by_caption) as server:
        assert vlm(server, data, tmp_path / "out") == 0
        assert thoughts(tmp_path / "out")["train-000", "vague"] == vague
        said = capsys.readouterr().out
        assert "thoughts without a decidable claim: 1\n" in said and "left out" not in said
        assert vlm(server, data, tmp_path / "out", "--min_consistency", 0.0) == 0
        assert len(server.requests) == 2
    said = capsys.readouterr().out
    assert "left out without a decidable claim: 1\n" in said and set(thoughts(tmp_path / "out").values()) == {GOOD}
    assert "vision-language model without a decidable claim" in " ".join(
        (tmp_path / "out" / "README.md").read_text().split()
    )
    # Also when they are only checked, by a run on what that one wrote.
    with serving(default=by_caption) as server:
        assert vlm(server, data, tmp_path / "first") == 0
    again = ["--dataset", tmp_path / "first", "--output", tmp_path / "again", "--annotator", "none"]
    assert run(*again, "--min_consistency", 0.0) == 0
    assert set(thoughts(tmp_path / "again").values()) == {GOOD}


def test_clips_that_the_server_refuses_do_not_block_the_rest(tmp_path, capsys) -> None:
    data = folder(tmp_path / "data", [replace(clip(i), captions=[Caption(f"c{i:02d}")]) for i in range(16)])

    def picky(handler, request):
        (says(GOOD) if any(f'"c{n}"' in texts(request) for n in (14, 15)) else fails(400, "too long"))(
            handler, request
        )

    with serving(default=picky) as server:
        for asked in (16, 30):
            assert vlm(server, data, tmp_path / "out", "--concurrency", 1) == 1
            said = capsys.readouterr().out
            assert "not answered: 14" in said and "too long" in said and len(server.requests) == asked
            assert set(thoughts(tmp_path / "out").values()) == {GOOD} and len(thoughts(tmp_path / "out")) == 2


def test_an_echoed_key_is_in_no_file(tmp_path, capsys) -> None:
    body = json.dumps(completion(f"{GOOD}", finish=f"stop {KEY}") | {"system_fingerprint": "x" * 70 + KEY, "id": KEY})
    data = folder(tmp_path / "data", [clip(0)])
    with serving(default=answers(body.encode())) as server:
        assert vlm(server, data, tmp_path / "out") == 0
        captured = capsys.readouterr()
        _nothing_secret(tmp_path, server, captured.out + captured.err)
    raw = (tmp_path / "out.annotation" / "answers.jsonl").read_text()
    assert "stop [...]" in raw and KEY[:6] not in raw


def _nothing_secret(place: Path, server: ChatApi, said: str) -> None:
    secrets = [KEY, "127.0.0.1", str(server.server_port)]
    for path in place.rglob("*"):
        if path.is_file() and path.suffix != ".parquet":
            content = path.read_text(encoding="utf-8", errors="replace")
            assert not any(secret in content for secret in secrets[:2]), path
    for path in place.rglob("*.parquet"):
        rows = load_dataset("parquet", data_files=str(path), split="train").remove_columns(
            [name for name in ("motion",) if "data" in path.parts]
        )
        assert not any(secret in json.dumps(rows.to_list(), default=str) for secret in secrets[:2]), path
    assert not any(secret in said for secret in secrets)


def test_no_answer_is_no_refusal_and_is_asked_for_again_by_the_same_command(tmp_path, capsys) -> None:
    clips = [replace(clip(i), captions=[Caption(f"c{i}")]) for i in range(4)]
    data = folder(tmp_path / "data", clips)

    def moody(handler, request):
        echo = f"cannot read 127.0.0.1 with {KEY}"
        (fails(400, echo) if '"c2"' in texts(request) else says(f"{GOOD}"))(handler, request)

    with serving(default=moody) as server:
        assert vlm(server, data, tmp_path / "out") == 1
        captured = capsys.readouterr()
        assert "not answered: 1" in captured.out and "to ask again" in captured.out
        assert "server refuses the request (400): cannot read [...] with [...]" in captured.out
        assert len(thoughts(tmp_path / "out")) == 3
        _nothing_secret(tmp_path, server, captured.out + captured.err)
        asked = len(server.requests)
        server.default = says(GOOD)
        assert vlm(server, data, tmp_path / "out") == 0
        assert len(server.requests) == asked + 1
    said = capsys.readouterr().out
    assert (
        "3 of them finished by an earlier run" in said and "1 answers in this run; in all 4000 prompt tokens" in said
    )
    assert thoughts(tmp_path / "out") == {(f"train-{i:03d}", f"c{i}"): GOOD for i in range(4)}


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (fails(401, f"Incorrect API key: {KEY}"), "set the environment variable OPENAI_API_KEY"),
        (fails(404), "no such model"),
        (hang_up, "requests in a row got no reply: connection failed"),
    ],
)
def test_a_server_that_cannot_be_used_ends_the_run_and_keeps_what_is_done(tmp_path, capsys, fault, message) -> None:
    data = folder(tmp_path / "data", [replace(clip(i), captions=[Caption(f"c{i}")]) for i in range(30)])
    out = tmp_path / "out"
    with serving(*[says(GOOD)] * 2, default=fault) as server:
        assert vlm(server, data, out, "--attempts", 1, "--concurrency", 1) == 2
        captured = capsys.readouterr()
        assert message in captured.err and "run the same command to resume" in captured.err
        assert "Traceback" not in captured.err and not out.exists()
        _nothing_secret(tmp_path, server, captured.out + captured.err)
        assert len((tmp_path / "out.annotation" / "journal.jsonl").read_text().splitlines()) == 2
        server.default = says(GOOD)
        asked = len(server.requests)
        assert vlm(server, data, out, "--attempts", 1, "--concurrency", 4) == 0
        assert len(server.requests) == asked + 28
        _nothing_secret(tmp_path, server, "")
    assert len(thoughts(out)) == 30
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "out", "out.annotation"]


def test_answers_of_an_unfinished_clip_are_not_paid_for_twice(tmp_path) -> None:
    data = folder(tmp_path / "data", [replace(clip(0), captions=[Caption("c0"), Caption("c1")])])

    def half(handler, request):
        (fails(400) if '"c1"' in texts(request) else says(GOOD))(handler, request)

    with serving(default=half) as server:
        assert vlm(server, data, tmp_path / "out") == 1
        server.default = says(GOOD)
        assert vlm(server, data, tmp_path / "out") == 0
        assert len(server.requests) == 3
    assert set(thoughts(tmp_path / "out").values()) == {GOOD}


def test_a_limit_asks_about_no_clip_more(tmp_path) -> None:
    data = folder(tmp_path / "data", [clip(i) for i in range(12)])
    with serving() as server:
        assert vlm(server, data, tmp_path / "out", "--limit", 2) == 0
        assert len(server.requests) == 2


def test_a_motion_of_thousands_of_frames_is_not_shown(tmp_path, capsys) -> None:
    long = np.concatenate([walk(0, 196)] * 20)
    data = folder(tmp_path / "data", [Clip("long", long, [Caption("x")], "test"), clip(0)])
    with serving() as server:
        assert vlm(server, data, tmp_path / "out") == 0
        assert len(server.requests) == 1
    assert "     1  too long to be shown\n" in capsys.readouterr().out


def test_what_one_annotator_leaves_the_next_can_fill(tmp_path) -> None:
    data = folder(tmp_path / "data", [clip(0, captions=["a person walks.", "someone walks."])])

    def half(handler, request):
        says("" if "someone" in texts(request) else GOOD)(handler, request)

    with serving(default=half) as server:
        assert vlm(server, data, tmp_path / "first", "--without_thought", "keep") == 0
    assert run("--dataset", tmp_path / "first", "--output", tmp_path / "second") == 0
    records = list(read_records(tmp_path / "second"))
    assert [(r.annotator, r.model) for r in records] == [("vlm", "m"), ("kinematic", "")]
    assert records[0].thought == GOOD and (tmp_path / "second" / FILE).is_file()
    card = (tmp_path / "second" / "README.md").read_text()
    assert "annotator: vlm" in card and "annotator: kinematic" in card


def test_the_texts_alone(tmp_path) -> None:
    data = folder(tmp_path / "data", [clip(0), clip(1)])
    assert run("--dataset", data, "--texts_only", tmp_path / "texts") == 0
    assert len(list(read_records(tmp_path / "texts"))) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "texts", "texts.annotation"]


def test_the_texts_alone_count_the_clips_that_cannot_be_used(tmp_path, capsys) -> None:
    broken = walk()
    broken[3, 7] = np.nan
    odd = [Clip("nan", broken, [Caption("x")]), Clip("short", walk()[:3], [Caption("x")])]
    odd += [Clip("mute", walk(), [Caption(" ")])]
    data = folder(tmp_path / "data", [clip(0), *odd], checked=False)
    assert run("--dataset", data, "--texts_only", tmp_path / "texts") == 0
    said = capsys.readouterr().out
    assert "clips left out: 3\n" in said and "-> " in said
    for reason in ("NaN or infinite values", "too short", "no caption"):
        assert f"     1  {reason}\n" in said
    assert [r.id for r in read_records(tmp_path / "texts")] == ["train-000"]


# -- options ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--output", "out", "--annotator", "poet"],
        ["--output", "out", "--server", "http://host"],
        ["--output", "out", "--views", "front"],
        ["--output", "out", "--annotator", "vlm"],
        ["--output", "out", "--annotator", "none", "--style", "plan"],
        ["--output", "out", "--style", "haiku"],
        ["--output", "out", "--annotator", "vlm", "--model", "m", "--workers", "2"],
        ["--output", "out", "--annotator", "vlm", "--model", "m", "--views", "behind"],
        ["--output", "out", "--annotator", "vlm", "--model", "m", "--price_input", "1"],
        ["--output", "out", "--limit", "0"],
    ],
)
def test_wrong_options_are_refused(tmp_path, monkeypatch, arguments) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        run("--dataset", "data", *arguments)
    assert caught.value.code == 2 and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset", "none", "--output", "out"], "no such dataset folder"),
        (["--dataset", "data", "--output", "data"], "must not be the dataset itself"),
        (["--dataset", "data", "--output", "other"], "something else"),
        (["--dataset", "data", "--output", "out", "--texts_only", "data"], "contains other files"),
        (["--dataset", "data", "--output", "out", "--annotator", "vlm", "--model", "data"], "no config.json"),
        (
            ["--dataset", "data", "--output", "out", "--annotator", "vlm", "--model", "m", "--server", "host:1"],
            "must look like",
        ),
        (
            ["--dataset", "data", "--output", "out", "--annotator", "vlm", "--model", "m", "--server", "http://h"]
            + ["--frame_rate", "0.5"],
            "must be >= 2",
        ),
    ],
)
def test_errors_name_what_is_wrong_and_leave_nothing(tmp_path, monkeypatch, capsys, arguments, message) -> None:
    monkeypatch.chdir(tmp_path)
    folder(tmp_path / "data", [clip(0)])
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("years of work")
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "other"]


def test_the_two_annotators_have_one_interface() -> None:
    import inspect

    one, other = (inspect.signature(cls.annotate) for cls in (KinematicAnnotator, VlmAnnotator))
    assert list(one.parameters) == list(other.parameters)
    assert tiny_data.features(0).shape[1] == 263


def test_whatever_the_annotator_raises_costs_the_clip_and_names_it(tmp_path, capsys, monkeypatch) -> None:
    genuine = KinematicAnnotator.annotate

    def failing(self, motions, captions=None, fps=20.0):
        if "trap" in captions:
            raise ZeroDivisionError("no distance\nat all")
        return genuine(self, motions, captions, fps)

    monkeypatch.setattr(KinematicAnnotator, "annotate", failing)
    data = folder(tmp_path / "data", [clip(0), clip(1, captions=["trap"]), clip(2), clip(3, "test", ["trap"])])
    out = tmp_path / "out"
    assert run("--dataset", data, "--output", out, "--texts_only", tmp_path / "texts") == 0
    assert {name for name, _ in thoughts(out)} == {"train-000", "train-002"}
    listed = [json.loads(line) for line in (out / "skipped.jsonl").read_text().splitlines()]
    assert [(row["id"], row["reason"], row["kind"]) for row in listed] == [
        ("train-001", "the annotator failed", "clip"),
        ("test-003", "the annotator failed", "clip"),
    ]
    assert listed[0]["detail"] == "ZeroDivisionError: no distance at all"
    assert "the annotator failed" in capsys.readouterr().out
    # The same command tries them again.
    monkeypatch.setattr(KinematicAnnotator, "annotate", genuine)
    assert run("--dataset", data, "--output", out, "--texts_only", tmp_path / "texts") == 0
    assert len(thoughts(out)) == 4
