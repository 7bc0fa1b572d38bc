"""Candidates: read in the other direction as teacher forcing reads them, and the best of them chosen."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_unimo import TOKENIZERS, feature_extractor, plain_processor, tiny_lm, tiny_unimo

from modeling_unimo import Answer, UniMoProcessor, candidates_unimo, extend_vocabulary
from modeling_unimo.candidates_unimo import PROBES, Reading, read_completions, recognised_share, score_answers

TEXTS = ["a person walks", "x", "a person walks forward and waves with the left hand, then turns"]
THOUGHTS = ["one step", "first this, then that and more of it", "the arm"]
CODES = [[1, 2, 3], list(range(40)), [511]]


def by_hand(model, processor, task, thought, caption, codes):
    """Log-probabilities of the thought's and the answer's tokens, one after the other."""
    example = processor.encode_example(task, thought, caption, codes)
    ids = torch.tensor(example["input_ids"])
    start = example["completion_mask"].index(1)
    with torch.no_grad():
        log_probs = model(input_ids=ids[None]).logits[0].log_softmax(-1)
    values = [float(log_probs[place - 1, ids[place]]) for place in range(start, len(ids))]
    split = example["input_ids"].index(processor.vocabulary.think_end) + 1 - start if processor.thoughts else 0
    return sum(values[:split]), sum(values[split:]), split, len(values) - split


@pytest.mark.parametrize("worth", [1, 10**9], ids=["beginning read once", "read with every row"])
@pytest.mark.parametrize("task", ["t2m", "m2t"])
@pytest.mark.parametrize("family", sorted(TOKENIZERS))
def test_reading_is_teacher_forcing_alone_and_in_a_batch(family, task, worth, monkeypatch):
    monkeypatch.setattr(candidates_unimo, "_WORTH_SHARING", worth)
    model, processor = tiny_unimo(family)
    model = copy.deepcopy(model.language_model).double()
    columns = (THOUGHTS, TEXTS, CODES)
    together = read_completions(model, processor, task, *columns, batch_size=3)
    for row, reading in enumerate(together):
        thought, answer, thought_tokens, answer_tokens = by_hand(model, processor, task, *(c[row] for c in columns))
        assert reading.thought == pytest.approx(thought, abs=1e-9)
        assert reading.answer == pytest.approx(answer, abs=1e-9)
        assert (reading.thought_tokens, reading.answer_tokens) == (thought_tokens, answer_tokens)
        assert reading.score == reading.thought + reading.answer
        (alone,) = read_completions(model, processor, task, *([c[row]] for c in columns))
        assert alone.score == pytest.approx(reading.score, abs=1e-9)


def test_logits_of_a_batch_are_bounded(monkeypatch):
    model, processor = tiny_unimo()
    expected = read_completions(model.language_model, processor, "m2t", THOUGHTS, TEXTS, CODES)
    monkeypatch.setattr("modeling_unimo.candidates_unimo._MOST_LOGITS", 1)
    rows = []
    hook = model.language_model.register_forward_pre_hook(
        lambda module, args, kwargs: rows.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    found = read_completions(model.language_model, processor, "m2t", THOUGHTS, TEXTS, CODES)
    hook.remove()
    assert rows == [1, 1, 1]
    assert [reading.score for reading in found] == pytest.approx([reading.score for reading in expected], rel=1e-5)


def test_the_beginning_is_read_once_and_a_cpu_reads_little_at_once(monkeypatch):
    monkeypatch.setattr(candidates_unimo, "_WORTH_SHARING", 1)
    model, processor = tiny_unimo()
    shapes = []
    hook = model.language_model.register_forward_pre_hook(
        lambda module, args, kwargs: shapes.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    read_completions(model.language_model, processor, "m2t", THOUGHTS * 2, TEXTS * 2, CODES * 2)
    # The template and the tag before the first code, which differs.
    beginning = processor.prompt_ids("m2t", None, [7]).index(processor.code_ids([7])[0])
    assert shapes[0] == (1, beginning) and [rows for rows, _ in shapes[1:]] == [6]
    longest = beginning + shapes[1][1]
    del shapes[:]
    monkeypatch.setattr(candidates_unimo, "_TOKENS_ON_CPU", 2 * longest)
    read_completions(model.language_model, processor, "m2t", THOUGHTS * 2, TEXTS * 2, CODES * 2)
    hook.remove()
    assert [rows for rows, _ in shapes] == [1, 2, 2, 2]


def test_answers_of_both_tasks_are_scored_in_their_places():
    model, processor = tiny_unimo()
    requests = [("t2m", TEXTS[0], None), ("m2t", None, CODES[1]), ("t2m", TEXTS[2], None), ("m2t", None, CODES[0])]
    answers = [
        Answer(True, THOUGHTS[0], CODES[2]),
        Answer(True, THOUGHTS[1], caption="someone turns"),
        Answer(False, error="the thought is blank"),
        Answer(True, THOUGHTS[2], caption="a" * 2001),
    ]
    scores = score_answers(model.language_model, processor, requests, answers)
    assert scores[0] == pytest.approx(
        sum(by_hand(model.language_model, processor, "m2t", THOUGHTS[0], TEXTS[0], CODES[2])[:2]), rel=1e-5
    )
    assert scores[1] == pytest.approx(
        sum(by_hand(model.language_model, processor, "t2m", THOUGHTS[1], "someone turns", CODES[1])[:2]), rel=1e-5
    )
    assert scores[2] == scores[3] == -np.inf
    assert score_answers(model.language_model, processor, [], []).shape == (0,)


def test_without_thoughts_the_caption_alone_is_read():
    processor = plain_processor("qwen", thoughts=False)
    tokenizer = TOKENIZERS["qwen"]()
    model = tiny_lm(tokenizer)
    extend_vocabulary(tokenizer, model)
    (reading,) = read_completions(model, processor, "m2t", [""], TEXTS[:1], CODES[:1])
    assert (reading.thought, reading.thought_tokens) == (0.0, 0)
    assert reading.answer == pytest.approx(by_hand(model, processor, "m2t", "", TEXTS[0], CODES[0])[1], rel=1e-5)


# ---------------------------------------------------------------- whether the reading means anything


@pytest.mark.parametrize("task", ["t2m", "m2t"])
@pytest.mark.parametrize(("known", "share"), [(1.0, 1.0), (0.0, 0.0), (-1.0, 0.0)])
def test_what_is_likely_by_itself_makes_no_pair_recognised(task, known, share, monkeypatch):
    """Readings that know the motions of their captions to some degree, beside much larger priors of both."""

    def read(model, processor, task, thoughts, captions, codes_list, batch_size):
        whose = thoughts
        assert whose == (captions if task == "m2t" else [str(codes[0]) for codes in codes_list])
        pairs = zip(captions, codes_list, strict=True)
        return [Reading(100.0 * int(t), 30.0 * codes[0] + known * (int(t) == codes[0]), 1, 1) for t, codes in pairs]

    monkeypatch.setattr(candidates_unimo, "read_completions", read)
    names = [str(number) for number in range(5)]
    assert recognised_share(None, None, task, names, names, [[number] for number in range(5)]) == share


def test_a_model_that_has_not_learned_to_read_is_warned_of_once(monkeypatch):
    model, processor = tiny_unimo()
    model = copy.deepcopy(model)
    model._read_tasks.clear()
    measured = []

    def share(language_model, processor, task, thoughts, captions, codes_list, batch_size):
        measured.append((task, list(captions)))
        return recognised_share(language_model, processor, task, thoughts, captions, codes_list, batch_size)

    monkeypatch.setattr("modeling_unimo.modeling_unimo.recognised_share", share)
    settings = {"candidates": 2, "seed": 0, "max_thought_tokens": 2, "max_motion_codes": 2}
    with pytest.warns(UserWarning, match="of pairs of motions apart .* has learned too little motion-to-text"):
        model.generate_answers("t2m", TEXTS, None, processor, **settings)
    model.generate_answers("t2m", TEXTS, None, processor, **settings)
    assert measured == [("m2t", list(PROBES))]  # three texts are too few to measure by
    model._read_tasks.clear()
    texts = [f"text {number}" for number in range(9)]
    model.generate_answers("t2m", texts, None, processor, **settings)
    assert measured[1:] == [("m2t", texts[:8])]


def test_a_model_that_reads_is_not_warned_of(monkeypatch, recwarn):
    model, processor = tiny_unimo()
    model = copy.deepcopy(model)
    model._read_tasks.clear()
    monkeypatch.setattr("modeling_unimo.modeling_unimo.recognised_share", lambda *arguments: 0.75)
    model.describe_motion(np.zeros((8, 263)), processor, candidates=2, seed=0)
    assert not [warning for warning in recwarn if "own reading" in str(warning.message)]


# ---------------------------------------------------------------- the best of them


@pytest.fixture(scope="module", autouse=True)
def reading_is_known():
    """Random weights read nothing, which is not what the tests of the choice are about."""
    for family in TOKENIZERS:
        tiny_unimo(family)[0]._read_tasks.update(("t2m", "m2t"))


def test_the_best_of_the_samples_come_back_with_their_scores():
    model, processor = tiny_unimo()
    samples = model.generate_answers("t2m", TEXTS, None, processor, num_samples=5, seed=3)
    everyone = model.generate_answers("t2m", TEXTS, None, processor, num_samples=5, candidates=5, seed=3)
    best = model.generate_answers("t2m", TEXTS, None, processor, num_samples=2, candidates=5, seed=3)
    for text, written, ranked, two in zip(TEXTS, samples, everyone, best, strict=True):
        assert all(answer.score is None for answer in written)
        unscored = [replace(answer, score=None) for answer in ranked]
        assert sorted(map(str, unscored)) == sorted(map(str, written))
        scores = score_answers(model.language_model, processor, [("t2m", text, None)] * 5, written)
        assert unscored == [written[place] for place in np.argsort(-scores)]
        assert [answer.score for answer in ranked] == pytest.approx(sorted(scores, reverse=True), rel=1e-5)
        assert two == ranked[:2]


@pytest.mark.parametrize("task", ["t2m", "m2t"])
def test_the_choice_is_the_same_alone_and_in_any_batch(task):
    model, processor = tiny_unimo()
    model = copy.deepcopy(model).double()
    requests = (TEXTS, None) if task == "t2m" else (None, CODES)
    settings = {"candidates": 3, "seed": 1, "max_thought_tokens": 5, "max_motion_codes": 6, "max_answer_tokens": 4}
    together = model.generate_answers(task, *requests, processor, **settings)
    small = model.generate_answers(task, *requests, processor, **settings, batch_size=2)
    alone = [
        model.generate_answers(task, *(c and [c[row]] for c in requests), processor, **settings)[0] for row in range(3)
    ]
    for other in (small, alone):
        for ours, theirs in zip(together, other, strict=True):
            assert replace(ours[0], score=None) == replace(theirs[0], score=None)
            assert ours[0].score == pytest.approx(theirs[0].score, abs=1e-6)


def test_motions_and_descriptions_have_their_score():
    model, processor = tiny_unimo()
    one = model.generate_motion(TEXTS[0], processor, seed=0)
    assert one[0].score is None
    best = model.generate_motion(TEXTS[0], processor, seed=0, candidates=3, duration=1.0)
    assert len(best) == 1 and len(best[0].codes) == 5 and np.isfinite(best[0].score)
    ranked = model.generate_motion(TEXTS[0], processor, seed=0, num_samples=3, candidates=3)
    assert [m.score for m in ranked] == sorted((m.score for m in ranked), reverse=True)
    assert one[0].codes in [m.codes for m in ranked]
    assert model.describe_motion(best[0], processor, seed=0)[0].score is None
    assert np.isfinite(model.describe_motion(best[0], processor, seed=0, candidates=3)[0].score)


def test_an_invalid_candidate_wins_only_where_none_is_valid(monkeypatch):
    model, processor = tiny_unimo()
    (answers,) = model.generate_answers(
        "t2m", TEXTS[:1], None, processor, grammar=False, candidates=3, num_samples=2, max_thought_tokens=5, seed=0
    )
    assert not any(answer.valid for answer in answers) and [answer.score for answer in answers] == [-np.inf] * 2
    parsed = iter([Answer(False, error="no"), Answer(True, "t", [3]), Answer(False, error="no")])
    monkeypatch.setattr(type(processor), "parse", lambda self, ids, task: next(parsed))
    ((best,),) = model.generate_answers("t2m", TEXTS[:1], None, processor, grammar=False, candidates=3, seed=0)
    assert best.valid and best.codes == [3]


def test_many_candidates_are_written_and_read_in_batches(monkeypatch):
    model, processor = tiny_unimo()
    rows = []
    hook = model.language_model.register_forward_pre_hook(
        lambda module, args, kwargs: rows.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    settings = {"max_thought_tokens": 2, "max_motion_codes": 2, "seed": 0}
    model.generate_answers("t2m", TEXTS[:1], None, processor, candidates=50, batch_size=8, **settings)
    hook.remove()
    assert max(rows) == 8


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"candidates": 0}, "candidates must be >= 1, got 0"),
        ({"candidates": -3}, "candidates must be >= 1, got -3"),
        ({"candidates": 2.5}, "candidates must be an integer"),
        ({"candidates": 2, "num_samples": 3}, "candidates must be >= num_samples, 3, or 1, got 2"),
        ({"candidates": 4, "num_beams": 4}, "got 4 of them with num_beams above 1"),
    ],
)
def test_candidates_that_cannot_be_are_refused(settings, message):
    model, processor = tiny_unimo()
    with pytest.raises(ValueError, match=message):
        model.generate_motion(TEXTS[0], processor, **settings)


def test_without_sampling_there_is_one_candidate():
    model, processor = tiny_unimo()
    with pytest.warns(UserWarning, match="the same answer each time: 1 a request instead of 4"):
        (best,) = model.generate_motion(TEXTS[0], processor, candidates=4, do_sample=False)
    assert best.codes == model.generate_motion(TEXTS[0], processor, do_sample=False)[0].codes
    assert np.isfinite(best.score)


# ---------------------------------------------------------------- with a thought or without


def test_a_model_that_was_taught_both_thinks_as_asked():
    model, _ = tiny_unimo()
    processor = UniMoProcessor(
        feature_extractor(), tiny_unimo()[1].tokenizer, optional_thoughts=True, max_thought_tokens=5
    )
    for candidates in (1, 2):
        settings = {"seed": 0, "candidates": candidates}
        thinking, plain = (
            model.generate_motion(TEXTS[0], processor, think=think, **settings)[0] for think in (None, False)
        )
        assert thinking.thought and not plain.thought and plain.codes
        assert (plain.score is None) == (candidates == 1)
    motion = np.zeros((8, 263))
    assert model.describe_motion(motion, processor, think=False, seed=0)[0].thought == ""
    assert model.describe_motion(motion, processor, think=True, seed=0)[0].thought
    # A score without a thought is that of the caption.
    (answer,) = model.generate_answers("t2m", TEXTS[:1], None, processor, think=False, candidates=2, seed=0)[0]
    plain = processor.thinking(False)
    expected = by_hand(model.language_model, plain, "m2t", "", TEXTS[0], answer.codes)
    assert expected[0] == 0 and answer.score == pytest.approx(expected[1], rel=1e-5)


def test_what_was_not_taught_is_refused():
    model, processor = tiny_unimo()
    with pytest.raises(ValueError, match="think=False: this model was taught to answer with a thought alone"):
        model.generate_motion(TEXTS[0], processor, think=False)
