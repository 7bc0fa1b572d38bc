"""Motion beyond one clip: continued, edited, filled in, written and described as a timeline."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from motions import moving_body
from tiny_unimo import tiny_unimo

from modeling_unimo import UniMoProcessor, features_to_joints, joints_to_features, timeline_unimo
from modeling_unimo.joining_unimo import smooth_seams
from modeling_unimo.processing_unimo import Answer, Given
from modeling_unimo.timeline_unimo import CONTEXT_CODES, MAX_SEGMENTS, PREFIX_CODES, _window_starts, merged_captions
from modeling_unimo.words_unimo import UnknownWordsWarning


def walk(frames: int = 62) -> np.ndarray:
    return joints_to_features(moving_body(seed=3, frames=frames + 1)).astype(np.float32)


@pytest.fixture(scope="module")
def written():
    model, processor = tiny_unimo()
    return model, processor, model.generate_motion(["a person walks"], processor, seed=0, duration=4.0)[0]


def test_a_motion_goes_on(written):
    model, processor, first = written
    more = model.continue_motion(first, "a person jumps", processor, duration=3.0, seed=1)
    assert more.features.shape == (140, 263) and more.joints.shape == (140, 22, 3)
    assert np.array_equal(more.features[:80], first.features) and np.array_equal(more.joints[:80], first.joints)
    assert more.codes[:20] == first.codes and len(more.codes) == 35
    assert more.segments == [(0.0, 4.0, "a person walks"), (4.0, 7.0, "a person jumps")]
    again = model.continue_motion(first, "a person jumps", processor, duration=3.0, seed=1)
    assert again.codes == more.codes
    free = model.continue_motion(first, "a person jumps", processor, seed=1)
    assert len(free.codes) > 20


def test_a_motion_from_outside_goes_on_from_its_last_frame(written):
    model, processor, _ = written
    features = walk(62)
    more = model.continue_motion(features, "a person jumps", processor, duration=1.0, seed=1)
    assert np.array_equal(more.features[:62], features) and len(more.features) == 82
    # Codes are cut at the end, where the new ones are joined.
    assert more.codes[:15] == model.encode_motions([features[2:]], processor)[0]
    as_joints = model.continue_motion(
        features_to_joints(np.concatenate([features, features[-1:]])), "a person jumps", processor, 1.0, seed=1
    )
    assert len(as_joints.features) == 82


def test_the_answer_begins_with_what_is_known(written):
    model, processor, first = written
    (answer,) = model.generate_answers(
        "t2m", ["a person jumps"], None, processor, durations=[4.0], beginnings=[first.codes[:7]], seed=0
    )[0]
    assert answer.valid and answer.thought and len(answer.codes) == 20 and answer.codes[:7] == first.codes[:7]
    # Alone and beside others, given and free, the answers are the same.
    requests = (
        ["t2m", "t2m", "m2t", "t2m"],
        ["a person jumps", "x", None, "a person jumps"],
        [None, None, [1, 2], None],
    )
    given = [first.codes[:7], [], [], first.codes[:3]]
    together = model.generate_answers(
        *requests, processor, durations=[4.0, None, None, None], beginnings=given, do_sample=False
    )
    for row in range(4):
        alone = model.generate_answers(
            *([column[row]] for column in requests),
            processor,
            durations=[[4.0, None, None, None][row]],
            beginnings=[given[row]],
            do_sample=False,
        )
        assert alone == [together[row]]


def test_beginnings_that_cannot_be_followed_are_refused(written):
    model, processor, _ = written

    def refused(message, beginnings, tasks="t2m", texts=("a",), codes=None, **settings):
        with pytest.raises(ValueError, match=message):
            model.generate_answers(tasks, texts, codes, processor, beginnings=beginnings, **settings)

    refused("got 2 beginnings for 1 requests", [[1], [2]])
    refused("integers in", [[600]])
    refused("fewer than 49 given", [[1] * 49])
    refused("fewer than 5 given", [[1] * 5], durations=[1.0])
    refused("need the grammar", [[1]], grammar=False)
    refused("only motions have codes", [[1]], tasks="m2t", texts=None, codes=[[1, 2]])
    refused("got num_beams", [[1]], num_beams=2)


@pytest.mark.parametrize(("start", "end"), [(1.2, 2.8), (0.0, 1.0), (2.6, None), (2.6, 4.0)])
def test_a_part_is_written_anew(written, start, end):
    model, processor, first = written
    edited = model.edit_motion(first, "a person waves", processor, start=start, end=end, seed=1, candidates=3)
    begin, stop = round(start * 20), 80 if end is None else round(end * 20)
    outside = np.r_[0:begin, stop:80]
    assert edited.joints.shape == first.joints.shape
    np.testing.assert_allclose(edited.joints[outside], first.joints[outside], atol=1e-4)
    assert np.array_equal(edited.features[outside], first.features[outside])
    assert not np.allclose(edited.features[begin:stop], first.features[begin:stop], atol=1e-2)
    assert (begin / 20, stop / 20, "a person waves") in edited.segments
    assert len(edited.codes) == 20


def test_a_part_of_a_long_motion_from_outside_is_written_anew(written):
    model, processor, _ = written
    features = np.tile(walk(83), (4, 1))[:331]
    edited = model.edit_motion(features, "a person waves", processor, start=10.0, seed=1, candidates=2, end=12.0)
    assert len(edited.features) == 331
    outside = np.r_[0:200, 240:331]
    np.testing.assert_allclose(edited.joints[outside], features_to_joints(features)[outside], atol=1e-3)


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        (-1.0, 2.0, "must lie within the motion, 0 to 4 s, got -1.0 to 2.0"),
        (2.0, 5.0, "must lie within"),
        (3.0, 2.0, "must lie within"),
        (float("nan"), 2.0, "must lie within"),
        ("a", 2.0, "must lie within"),
        (1.0, 1.1, "at least one code, 0.2 s"),
        (0.0, 4.0, "the whole motion"),
        (0.0, None, "the whole motion"),
    ],
)
def test_parts_that_cannot_be_edited_are_refused(written, start, end, message):
    model, processor, first = written
    with pytest.raises(ValueError, match=message):
        model.edit_motion(first, "a person waves", processor, start=start, end=end)


def test_a_gap_is_filled(written):
    model, processor, first = written
    after = walk(50)
    filled = model.fill_motion(first, after, "a person waves", processor, duration=2.0, seed=1, candidates=3)
    assert len(filled.features) == 80 + 40 + 50
    assert np.array_equal(filled.features[:80], first.features) and np.array_equal(filled.features[120:], after)
    assert [segment[:2] for segment in filled.segments] == [(0.0, 4.0), (4.0, 6.0), (6.0, 8.5)]
    alone = features_to_joints(after)
    joined = filled.joints[120:]
    # The motion after the gap is the given one, from where the gap leads: same pose, another place and heading.
    for joints in (alone, joined):
        joints -= joints[:1, :1] * [1, 0, 1]
    distance = [np.linalg.norm(j[:, None] - j[:, :, None], axis=-1) for j in (alone, joined)]
    np.testing.assert_allclose(*distance, atol=1e-4)


def test_given_motions_that_do_not_fit_are_refused(written):
    model, processor, first = written
    other_rate = replace(first, fps=12.5)
    for call in (
        lambda motion: model.continue_motion(motion, "x", processor),
        lambda motion: model.edit_motion(motion, "x", processor, end=1.0),
        lambda motion: model.fill_motion(first, motion, "x", processor),
        lambda motion: model.describe_timeline(motion, processor),
    ):
        for motion, message in (
            (other_rate, "12.5 frames a second and the model 20"),
            (np.zeros((40, 251), np.float32), "must have shape"),
            (np.zeros((40, 21, 3), np.float32), "must have shape"),
            (np.zeros((3, 263), np.float32), "at least 4"),
            (np.full((40, 263), np.nan), "NaN"),
        ):
            with pytest.raises(ValueError, match=message):
                call(motion)
    for duration in (0, 9.8, 100.0, float("nan")):
        with pytest.raises(ValueError, match="seconds"):
            model.continue_motion(first, "x", processor, duration=duration)
        with pytest.raises(ValueError, match="seconds"):
            model.fill_motion(first, first, "x", processor, duration=duration)
    for text in ("", " ", None):
        with pytest.raises(ValueError, match="the text"):
            model.continue_motion(first, text, processor)
    for call in (
        lambda: model.edit_motion(first, "x", processor, end=1.0, candidates=0),
        lambda: model.continue_motion(first, "x", processor, candidates=0),
        lambda: model.generate_timeline([("x", 1.0)], processor, candidates=0),
    ):
        with pytest.raises(ValueError, match="candidates must be >= 1, got 0"):
            call()


def test_a_timeline(written):
    model, processor, _ = written
    plan = [("a person walks", 2.0), ("a person waves", None), ("a person walks", 9.6)]
    line = model.generate_timeline(plan, processor, seed=0)
    assert [text for _, _, text in line.segments] == [text for text, _ in plan]
    (a, b, _), (c, d, _), (e, f, _) = line.segments
    assert a == 0 and b == c == 2.0 and d == e and f - e == pytest.approx(9.6)
    assert len(line.joints) == round(f * 20) == 4 * len(line.codes) and len(line.thought.splitlines()) == 3
    decoded = model.decode_codes([line.codes], processor)[0]
    np.testing.assert_allclose(line.features, smooth_seams(decoded, [40, round(20 * d)]), atol=1e-6)
    again = model.generate_timeline(iter(plan), processor, seed=0)
    assert again.codes == line.codes
    # The first part is what it would be alone.
    for candidates in (1, 2, 3):
        line = model.generate_timeline(plan, processor, seed=0, candidates=candidates)
        alone = model.generate_motion(["a person walks"], processor, duration=2.0, seed=0, candidates=candidates)[0]
        assert line.codes[:10] == alone.codes
    assert len(model.generate_timeline([("a person walks", 9.8)], processor, seed=0).joints) == 196


def noted(monkeypatch, model) -> list[tuple[list, int, list]]:
    """Beginnings, answers each, and the answers themselves of every call of `generate_answers` from now on."""
    calls = []
    plain = model.generate_answers

    def note(*arguments, **options):
        answers = plain(*arguments, **options)
        calls.append((options["beginnings"], options["num_samples"], answers))
        return answers

    monkeypatch.setattr(model, "generate_answers", note)
    monkeypatch.setattr(model, "_warn_unless_read", lambda *_: None)
    return calls


@pytest.mark.parametrize(("candidates", "kinds", "each"), [(1, 1, 1), (2, 2, 1), (3, 2, 2), (4, 2, 2)])
def test_each_part_is_written_after_the_codes_before_it_and_as_a_clip_of_its_own(
    written, monkeypatch, candidates, kinds, each
):
    model, processor, _ = written
    calls = noted(monkeypatch, model)
    line = model.generate_timeline([("x", 2.0), ("y", 1.0), ("z", 9.6)], processor, seed=0, candidates=candidates)
    assert [beginnings for beginnings, _, _ in calls] == [
        [[]],
        [line.codes[10 - PREFIX_CODES : 10], []][:kinds],
        [line.codes[14:15], []][:kinds],
    ]
    assert [count for _, count, _ in calls] == [candidates, each, each]
    # One of them was taken: the second part has 5 codes, which the first kind has behind the given ones.
    (_, _, answers) = calls[1]
    assert line.codes[10:15] in [answer.codes[-5:] for several in answers for answer in several]


def test_nothing_drawn_is_one_candidate_of_each_kind(written, monkeypatch):
    model, processor, _ = written
    calls = noted(monkeypatch, model)
    model.generate_timeline([("x", 1.0), ("y", 1.0)], processor, candidates=8, do_sample=False)
    assert [(len(beginnings), count) for beginnings, count, _ in calls] == [(1, 1), (2, 1)]


@pytest.mark.parametrize("told", [0, 1, 2])
def test_the_candidate_that_the_model_reads_as_the_text_is_taken(written, monkeypatch, told):
    model, processor, _ = written
    calls, read = noted(monkeypatch, model), []

    def score(language_model, of_processor, requests, answers, batch_size):
        read.append((requests, answers))
        return np.array([1000.0 * (place == told) for place in range(len(answers))])

    monkeypatch.setattr(timeline_unimo, "score_answers", score)
    line = model.generate_timeline([("x", 2.0), ("y", 1.0)], processor, seed=0, candidates=3)
    (_, _, (begun, alone)) = calls[1]
    # Those after the codes before and those of their own in turn, without what they were made to begin with.
    new = [begun[0].codes[PREFIX_CODES:], alone[0].codes, begun[1].codes[PREFIX_CODES:]]
    requests, answers = read[1]
    assert requests == [("t2m", "y", None)] * 3 and [answer.codes for answer in answers] == new
    assert line.codes[10:] == new[told]


@pytest.mark.parametrize("smooth", [0, 1, 2])
def test_of_candidates_that_read_alike_the_one_that_jerks_least_is_taken(written, monkeypatch, smooth):
    model, processor, _ = written
    calls, seen = noted(monkeypatch, model), []

    def jerk(features, seams, fps):
        seen.append(seams)
        return 500.0 if len(seen) % 3 == smooth else 1500.0

    monkeypatch.setattr(timeline_unimo, "score_answers", lambda *arguments: np.zeros(len(arguments[3])))
    monkeypatch.setattr(timeline_unimo, "seam_jerk", jerk)
    line = model.generate_timeline([("x", 2.0), ("y", 1.0)], processor, seed=0, candidates=3)
    (_, _, (begun, alone)) = calls[1]
    new = [begun[0].codes[PREFIX_CODES:], alone[0].codes, begun[1].codes[PREFIX_CODES:]]
    # Called for the three of the first part, which meets nothing, then for those of the second.
    assert seen[:3] == [[]] * 3 and all(len(seams) == 1 for seams in seen[3:])
    assert line.codes[10:] == new[(smooth - 1) % 3]


def test_an_invalid_candidate_never_wins(written, monkeypatch):
    model, processor, first = written
    plain, broken = model.generate_answers, {0}

    def write(*arguments, **options):
        return [
            [Answer(False, error="cut off") if place in broken else answer for place, answer in enumerate(several)]
            for several in plain(*arguments, **options)
        ]

    monkeypatch.setattr(model, "generate_answers", write)
    for call in (
        lambda: model.generate_timeline([("x", 1.0), ("y", 1.0)], processor, seed=0, candidates=4),
        lambda: model.continue_motion(first, "x", processor, 1.0, seed=0, candidates=2),
        lambda: model.edit_motion(first, "x", processor, end=1.0, seed=0, candidates=2),
        lambda: model.fill_motion(first, first, "x", processor, 1.0, seed=0, candidates=2),
    ):
        broken = {0}
        assert len(call().codes) >= 10
        broken = {0, 1, 2, 3}
        with pytest.raises(ValueError, match="wrote no motion for 'x': cut off"):
            call()


def test_a_loop_ends_as_it_begins(written):
    model, processor, _ = written
    line = model.generate_timeline([("a person walks", 3.0), ("x", 3.0)], processor, loop=True, seed=0, candidates=3)
    assert len(line.joints) == 120
    # Decoded over the seam: twice in a row it is one motion of twice the codes, but for its very ends.
    twice = smooth_seams(model.decode_codes([line.codes * 2], processor)[0], [60, 120, 180])
    np.testing.assert_allclose(twice[100:140], np.concatenate([line.features[100:], line.features[:20]]), atol=1e-5)
    assert len(model.generate_timeline([("a", 0.2)], processor, loop=True, seed=0).joints) == 4


@pytest.mark.parametrize(
    ("segments", "message"),
    [
        ([], "1 to 200 segments, got none"),
        ([("a", 1.0)] * 1000, "1 to 200 segments, got more"),
        ([("a", 1.0), ("", 1.0)], "segment 1: the text must not be blank"),
        ([("a", 1.0), ("b", 9.8)], "segment 1: .* at most 9.6 seconds, got 9.8"),
        ([("a", 0.0)], "segment 0: duration must be 0.2 to 9.8"),
        ([("a", "long")], "segment 0: duration"),
        (["ab"], "segment 0 must be a"),
        ([("a", 1.0, 2.0)], "segment 0 must be a"),
        ("a person walks", "got a string"),
    ],
)
def test_timelines_that_cannot_be_written_are_refused(written, segments, message):
    model, processor, _ = written
    with pytest.raises(ValueError, match=message):
        model.generate_timeline(segments, processor)
    assert MAX_SEGMENTS == 200


def test_a_long_motion_is_described(written):
    model, processor, _ = written
    parts = model.describe_timeline(np.tile(walk(62), (6, 1)), processor, seed=0)
    assert parts[0][0] == 0.0 and parts[-1][1] == pytest.approx(372 / 20)
    assert all(before[1] == after[0] for before, after in zip(parts, parts[1:], strict=False))
    assert all(start < end and caption for start, end, caption in parts)
    assert len(model.describe_timeline(walk(8), processor, seed=0)) == 1
    with pytest.raises(ValueError, match="at least 0.4 seconds"):
        model.describe_timeline(walk(8), processor, window=0.2)
    with pytest.raises(ValueError, match="0.2 to 9.8"):
        model.describe_timeline(walk(8), processor, window=20)


@pytest.mark.parametrize(("count", "length"), [(1, 20), (20, 20), (21, 20), (100, 20), (301, 20), (7, 2)])
def test_windows_cover_everything(count, length):
    starts = _window_starts(count, length)
    assert starts[0] == 0 and starts[-1] == max(0, count - length)
    assert all(0 < b - a <= max(1, length // 2) for a, b in zip(starts, starts[1:], strict=False))


def test_captions_that_agree_are_merged():
    walks, jumps = "a person walks forward.", "a person jumps twice."
    assert merged_captions([(0, 2, walks), (2, 4, "A person walks forward"), (4, 6, jumps), (6, 8, walks)]) == [
        (0, 4, walks),
        (4, 6, jumps),
        (6, 8, walks),
    ]
    assert merged_captions([(0, 2, walks)]) == [(0, 2, walks)]


def test_the_global_random_state_is_left_alone(written):
    model, processor, first = written
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    model.continue_motion(first, "x", processor, duration=0.2, seed=0)
    model.generate_timeline([("x", 0.2), ("y", 0.2)], processor, seed=0)
    assert torch.equal(torch.rand(3), expected)


def test_words_that_the_model_never_met_are_named(written):
    model, processor, first = written
    processor = copy.copy(processor)
    processor.taught_words = ["person", "walk"]
    for call in (
        lambda: model.continue_motion(first, "a person juggles", processor, duration=0.2, seed=0),
        lambda: model.edit_motion(first, "a person juggles", processor, end=0.4, seed=0, candidates=1),
        lambda: model.fill_motion(first, first, "a person juggles", processor, 0.2, seed=0, candidates=1),
        lambda: model.generate_timeline([("a person juggles", 0.2)], processor, seed=0),
        lambda: model.stream_motion("a person juggles", processor, duration=0.2, seed=0),
    ):
        with pytest.warns(UnknownWordsWarning, match="juggles"):
            call()


def test_a_model_that_was_taught_it_is_asked_to_continue_and_fill(written, monkeypatch):
    model, processor, first = written
    settings = {name: getattr(processor, name) for name in UniMoProcessor.SETTINGS if name != "system_prompts"}
    taught = UniMoProcessor(
        processor.feature_extractor, processor.tokenizer, **settings | {"tasks": ["t2m", "m2t", "continue", "fill"]}
    )
    asked = []
    plain = model.generate_answers

    def note(tasks, texts, codes_list, *arguments, **options):
        asked.append((tasks[0], codes_list[0]))
        return plain(tasks, texts, codes_list, *arguments, **options)

    monkeypatch.setattr(model, "generate_answers", note)
    more = model.continue_motion(first, "x", taught, duration=9.6, seed=0)
    assert len(more.codes) == 68 and asked.pop() == ("continue", Given(first.codes[-CONTEXT_CODES:]))
    edited = model.edit_motion(first, "x", taught, start=1.0, end=2.0, seed=0, candidates=2)
    assert len(edited.codes) == 20 and asked.pop() == ("fill", Given(first.codes[:5], first.codes[10:18], 5))
    tail = model.edit_motion(first, "x", taught, start=1.0, seed=0, candidates=2)
    assert len(tail.codes) == 20 and asked.pop()[0] == "continue"
    model.edit_motion(first, "x", taught, end=1.0, seed=0, candidates=2)
    assert asked.pop() == ("t2m", None)
    with pytest.raises(ValueError, match="read in the other direction"):
        plain("continue", ["x"], [Given([1])], taught, candidates=2)


def test_several_together_are_each_what_it_is_alone(written):
    model, processor, first = written
    other = walk(50)
    both = model.continue_motions([first, other], ["x", "a person waves"], processor, [1.0, None], seed=3)
    alone = [
        model.continue_motion(first, "x", processor, 1.0, seed=3),
        model.continue_motion(other, "a person waves", processor, seed=3),
    ]
    assert [motion.codes for motion in both] == [motion.codes for motion in alone]
    plans = [[("a person walks", 1.0)], [("x", 1.0), ("a person waves", 0.4)]]
    for candidates in (1, 2, 3):
        lines = model.generate_timelines(plans, processor, seed=3, candidates=candidates)
        alone = [model.generate_timeline(plan, processor, seed=3, candidates=candidates) for plan in plans]
        assert [line.codes for line in lines] == [line.codes for line in alone]
    filled = model.fill_motions([first, other], [other, first], ["x", "y"], processor, [1.0, 0.6], 3, candidates=2)
    assert [len(motion.features) for motion in filled] == [80 + 20 + 50, 50 + 12 + 80]
