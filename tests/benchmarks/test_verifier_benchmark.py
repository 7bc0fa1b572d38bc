"""The verifier on texts whose truth is known: that the errors planted are errors, and what is found of them."""

import json
import random
import re
from collections import Counter, defaultdict
from itertools import islice
from pathlib import Path

import pytest

from benchmarks import verifier_planted_errors as benchmark
from datasets_scripts.sources import humanml3d
from datasets_scripts.sources.synthetic.generator import iter_clips
from datasets_scripts.sources.synthetic.motion import Plan, Segment

REPOSITORY = Path(__file__).resolve().parents[2]


KINDS = benchmark.KINDS


@pytest.fixture(scope="module")
def errors():
    """(plan, told, planted) of every kind in captions and thoughts of sixty clips."""
    rng, found = random.Random(0), []
    borrowed = {source: defaultdict(list) for source in benchmark.SOURCES}
    for index in range(60):
        plan, motion, detailed, reasoning = benchmark.synthetic_clip(3, "test", index)
        for source, text in (("captions", detailed[0]), ("thoughts", reasoning)):
            told = (benchmark.parse_caption if source == "captions" else benchmark.parse_thought)(text)
            assert told.text == text
            spans = motion.spans if source == "thoughts" else None
            for kind in KINDS:
                planted = benchmark.plant(kind, plan, told, rng, borrowed[source], spans)
                if planted is not None:
                    found.append((plan, told, planted))
            for segment, clause in zip(plan.segments, told.clauses, strict=True):
                borrowed[source][segment.action].append(clause)
    return found


@pytest.mark.parametrize(("path", "count", "least"), [*zip(benchmark.PARAPHRASES, (200, 60), (18, 6), strict=True)])
def test_the_paraphrases_are_half_true_and_of_every_kind(path, count, least):
    entries = json.loads(path.read_text(encoding="utf-8"))
    truths = Counter(entry["truth"] for entry in entries)
    assert len(entries) == len({entry["text"] for entry in entries}) == count and truths["true"] == count // 2
    assert set(truths) == {"true", *KINDS} and min(truths.values()) >= least
    clips = Counter(tuple(entry["clip"].values()) for entry in entries)
    assert set(clips.values()) == {4} and {split for _, split, _ in clips} == {"test"}


def test_clips_are_those_of_the_synthetic_source():
    for index, clip in enumerate(islice(iter_clips(0, 0, 8, 0, 0, seed=5), 8)):
        _, motion, detailed, reasoning = benchmark.synthetic_clip(5, "test", index)
        assert [caption.text for caption in clip.captions[: len(detailed)]] == detailed
        assert clip.captions[0].thought == reasoning and len(clip.features) == len(motion.joints) - 1


def _parts(told, text):
    return (benchmark.parse_thought if "End at" in told.joints[-1] else benchmark.parse_caption)(text)


def test_every_kind_is_planted_and_the_place_holds_all_that_differs(errors):
    assert min(Counter(planted.kind for _, _, planted in errors).values()) >= 50
    for _, told, planted in errors:
        assert planted.clean == told.text != planted.text and planted.start < planted.stop
        if planted.kind == "invented":
            clauses = _parts(told, planted.text).clauses
            place = clauses.index(planted.text[planted.start : planted.stop])
            assert clauses[:place] + clauses[place + 1 :] == told.clauses
        else:
            rest = len(planted.text) - planted.stop
            assert planted.text[: planted.start] == planted.clean[: planted.start]
            assert planted.text[planted.stop :] == planted.clean[len(planted.clean) - rest :]


def test_what_is_planted_is_what_its_kind_says(errors):
    number = re.compile(r"\b(once|twice|(?:three|four) times|one|two|three|four|five|six|seven)\b")
    sides = {"left": "right", "right": "left"}
    for plan, told, planted in errors:
        if planted.kind == "invented":
            continue
        old, new = told.clauses, _parts(told, planted.text).clauses
        assert len(old) == len(new) == len(plan.segments)
        (first, *more) = [i for i, (a, b) in enumerate(zip(old, new, strict=True)) if a != b]
        segment, before, after = plan.segments[first], old[first], new[first]
        if planted.kind == "order":
            assert more == [first + 1] and (before, old[first + 1]) == (new[first + 1], after)
            assert segment != plan.segments[first + 1]
            continue
        assert not more
        if planted.kind == "side":
            assert segment.side in ("left", "right")
            assert before.split() == [sides.get(word, word) for word in after.split()]
        elif planted.kind == "count":
            assert number.search(before)[0] != number.search(after)[0]
            without = [re.sub(r"(?<=ch)es\b|s\b", "", number.sub("", text)) for text in (before, after)]
            assert without[0] == without[1]
        else:
            words = {
                "left",
                "right",
                "forward",
                "backward",
                "front",
                "side",
                "sideways",
                "overhead",
                "to",
                "the",
                "in",
            }
            assert set(before.split()) ^ set(after.split()) <= words | {
                "above",
                "at",
                "head",
                "shoulder",
                "height",
            } | {word + "," for word in words} | {"head,", "height,"}


@pytest.mark.parametrize(
    ("kind", "segments", "caption"),
    [
        ("side", [Segment("clap", count=3)], "a person claps three times."),
        ("side", [Segment("wave", "both", 3)], "a person waves both hands three times."),
        (
            "side",
            [Segment("knee", "left", 1), Segment("knee", "right", 1)],
            "a person raises the left knee once, then raises the right knee once.",
        ),
        ("side", [Segment("turn", "left", angle=90)], "a person makes a quarter turn to the left."),
        ("direction", [Segment("punch", "left", 2)], "a person punches with the left hand twice."),
        (
            "direction",
            [Segment("turn", "left", angle=90), Segment("turn", "right", angle=90)],
            "a person makes a quarter turn to the left, then makes a quarter turn to the right.",
        ),
        ("count", [Segment("sit")], "a person sits down."),
        ("count", [Segment("raise", "left", direction="up")], "a person raises the left arm overhead."),
        ("order", [Segment("sit")], "a person sits down."),
        (
            "order",
            [Segment("knee", "left", 1), Segment("knee", "right", 1)],
            "a person raises the left knee once, then does the same with the other knee.",
        ),
    ],
)
def test_nothing_is_planted_that_stays_true_or_has_no_place(kind, segments, caption):
    told = benchmark.parse_caption(caption)
    for seed in range(8):
        assert benchmark.plant(kind, Plan(tuple(segments)), told, random.Random(seed), {}) is None


def test_what_an_action_contains_is_not_invented():
    plan, told = Plan((Segment("jack", count=2),)), benchmark.parse_caption("a person does two jumping jacks.")
    borrowed = {
        "jump": ["jumps once"],
        "raise": ["raises both arms"],
        "hop": ["hops on the left foot"],
        "stand": ["x"],
    }
    assert benchmark.plant("invented", plan, told, random.Random(0), borrowed) is None
    planted = benchmark.plant("invented", plan, told, random.Random(0), borrowed | {"turn": ["turns to the left"]})
    assert "turns to the left" in planted.text and "does two jumping jacks" in planted.text


def test_intervals():
    low, high = benchmark.wilson(50, 100)
    assert (round(low, 4), round(high, 4)) == (
        0.4038,
        0.5962,
    )  # scipy.stats.binomtest(50, 100).proportion_ci("wilson")
    assert benchmark.wilson(0, 0) == [0.0, 1.0] and benchmark.wilson(10, 10)[1] == pytest.approx(1.0)
    tally = benchmark.Tally(10, 9, 8, 10, 1) + benchmark.Tally(10, 10, 10, 10, 0)
    assert (tally.recall, tally.precision) == (19 / 20, 19 / 20)


# What the verifier is meant to reach on planted errors. The samples are drawn from seeds, so chance has no part in
# whether these hold; of a single kind the small sample is too small for them, and the large one is not.
RECALL, PRECISION = 0.95, 0.98
# In retellings, whose other words ("greets someone", "a few steps") leave some claims undecided: of a kind, of all.
RETOLD_KIND, RETOLD = 0.8, 0.85
PLANTED, MANY = 100, 1000


def judge(source, kinds, planted, recall, precision):
    """Whether the errors of each kind are found as `recall` and `precision` say, and those of all kinds as meant."""
    retold = source == "retellings"
    recall = RETOLD_KIND if retold else recall
    for kind in KINDS:
        print(kind, kinds[kind])
        assert kinds[kind].planted == kinds[kind].clean == planted
        assert kinds[kind].recall >= recall and kinds[kind].located >= min(0.9, recall) * planted
        assert kinds[kind].precision >= precision
    whole = sum(kinds.values(), benchmark.Tally())
    assert whole.recall >= (RETOLD if retold else RECALL) and whole.precision >= PRECISION


@pytest.fixture(scope="module")
def measured():
    result = benchmark.Measured()
    benchmark.measure_planted(result, PLANTED, seed=29)
    for path in benchmark.PARAPHRASES:
        benchmark.measure_paraphrases(result, path)
    return result


@pytest.mark.parametrize("source", benchmark.SOURCES)
def test_planted_errors_are_found_and_true_texts_left_alone(measured, source):
    judge(source, measured.rows[source], PLANTED, 0.93, 0.97)


@pytest.mark.slow
def test_a_thousand_errors_of_each_kind():
    result = benchmark.Measured()
    benchmark.measure_planted(result, MANY, seed=31)
    for source in benchmark.SOURCES:
        judge(source, result.rows[source], MANY, RECALL, PRECISION)


@pytest.mark.parametrize(
    ("name", "count", "precision"), [("paraphrases", 100, 0.98), ("paraphrases held out", 30, 0.9)]
)
def test_paraphrases_are_judged(measured, name, count, precision):
    whole = sum(measured.rows[name].values(), benchmark.Tally())
    print(name, whole)
    assert whole.planted == whole.clean == count
    assert whole.recall >= RECALL and whole.precision >= precision


@pytest.mark.parametrize(
    "name",
    ["synthetic captions", "synthetic thoughts", "kinematic thoughts", "paraphrases", "paraphrases held out"],
)
def test_most_sentences_are_read(measured, name):
    summary = measured.coverage[name].summary()
    print(name, summary)
    assert summary["coverage"] >= 0.8 and summary["decided"] >= 0.5 * summary["sentences"]


# -- captions of real motion, which are true but for a slip of who labelled them -------------------------------------


def test_captions_of_motion_capture_are_read_and_hold(mocap_test_clips):
    coverage = benchmark.Coverage()
    for joints, row in mocap_test_clips:
        coverage.add(benchmark.verify(row["captions"], joints))
    summary = coverage.summary()
    print(summary)
    assert summary["texts"] >= 900 and summary["decided"] >= 2 * summary["texts"]
    assert summary["coverage"] >= 0.8 and summary["consistency"] >= 0.98 and summary["flagged"] <= 0.02


def test_captions_of_humanml3d_are_read_and_hold(shared_dir):
    folder = shared_dir / "data" / "humanml3d_sample"
    if not folder.is_dir():
        pytest.skip(f"no HumanML3D sample at {folder}")
    result = benchmark.Measured()
    benchmark.measure_coverage(result, "captions", benchmark.some_clips(humanml3d.iter_clips(folder), 100, seed=0))
    summary = result.coverage["captions"].summary()
    print(summary)
    assert summary["texts"] and summary["decided"] >= summary["texts"]
    assert summary["coverage"] >= 0.8 and not summary["contradictions"]


def test_command(tmp_path, capsys):
    benchmark.main(["--limit", "2", "--output", str(tmp_path / "figures.json")])
    shown = capsys.readouterr().out
    assert shown.count("| captions |") == shown.count("| thoughts |") == len(KINDS) + 1
    figures = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    assert figures["planted"]["captions"]["all"]["planted"] == 2 * len(KINDS)
    assert all({"text", "verdicts", "clip", "kind", "wrong"} <= set(row) for row in figures["wrong"])
    with pytest.raises(SystemExit):
        benchmark.main(["--limit", "0"])
