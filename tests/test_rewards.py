"""Rewards: the right task, the right order, the floor for what is invalid, and the same alone as in a batch."""

import math

import numpy as np
import pytest
import torch
from tiny_data import TEXTS, entries, tiny_judge
from tiny_unimo import feature_extractor, plain_processor, tiny_vqvae

from train.rewards import FLOOR, MotionScorer, grpo_rows, has_words, make_rewards

PROCESSOR = plain_processor("qwen")
NAMES = ("format_reward", "motion_similarity", "semantic_similarity", "caption_similarity")
REFERENCE = [3, 4, 4, 9, 500]


@pytest.fixture(scope="module")
def scorer():
    return MotionScorer(tiny_vqvae(), feature_extractor(), tiny_judge())


@pytest.fixture(scope="module")
def rewards(scorer):
    functions = make_rewards(PROCESSOR, scorer)
    assert tuple(function.__name__ for function in functions) == NAMES  # what the logs are labelled with
    return dict(zip(NAMES, functions, strict=True))


def encoded(text: str) -> list[int]:
    return PROCESSOR.tokenizer(text, add_special_tokens=False)["input_ids"]


def motion(codes) -> list[int]:
    return encoded(PROCESSOR.completion("t2m", "first this", codes=codes))


def description(caption) -> list[int]:
    return encoded(PROCESSOR.completion("m2t", "first this", caption=caption))


def row(task, ids, caption=TEXTS[0], references=(TEXTS[0], TEXTS[1]), codes=REFERENCE) -> dict:
    return {
        "completion_ids": ids,
        "task": task,
        "caption": caption,
        "references": list(references),
        "reference_codes": list(codes),
    }


ROWS = [
    row("t2m", motion(REFERENCE)),
    row("m2t", description(TEXTS[1])),
    row("t2m", motion([7, 8, 9, 10, 11, 12]), caption=TEXTS[2]),
    row("t2m", motion([7])[:-1]),  # does not end
    row("m2t", description(TEXTS[4])),
    row("m2t", motion(REFERENCE)),  # the other task's answer
    row("t2m", description(TEXTS[0])),
    row("t2m", motion([511] * 49), caption=TEXTS[3]),
    row("m2t", description("?! 42 ...")),
    row("m2t", []),
]
VALID = [1, 1, 1, 0, 1, 0, 0, 1, 1, 0]


def score(function, rows) -> list[float | None]:
    columns = {name: [one[name] for one in rows] for name in rows[0]}
    return function(**columns, prompts=[""] * len(rows), completions=[""] * len(rows), trainer_state=None)


def test_format_covers_both_tasks(rewards):
    assert score(rewards["format_reward"], ROWS) == VALID


@pytest.mark.parametrize("name, task", list(zip(NAMES[1:], ("t2m", "t2m", "m2t"), strict=True)))
def test_a_similarity_covers_its_task_and_floors_what_is_invalid(rewards, name, task):
    for one, valid, value in zip(ROWS, VALID, score(rewards[name], ROWS), strict=True):
        if one["task"] != task:
            assert value is None
        elif not valid or one["completion_ids"] == description("?! 42 ..."):
            assert value == FLOOR
        else:
            assert isinstance(value, float) and FLOOR < value <= 1 + 1e-6


def test_ground_truth_is_as_similar_as_can_be(rewards):
    assert score(rewards["motion_similarity"], ROWS)[0] == pytest.approx(1.0, abs=1e-5)
    assert score(rewards["caption_similarity"], ROWS)[1] == pytest.approx(1.0, abs=1e-5)


def test_the_nearest_reference_counts(rewards, scorer):
    value = score(rewards["caption_similarity"], [row("m2t", description(TEXTS[4]), references=TEXTS[:4])])[0]
    answer, others = scorer.embed_texts([TEXTS[4]])[0], scorer.embed_texts(TEXTS[:4])
    assert value == pytest.approx(float((others @ answer).max()), abs=1e-6)


def test_motion_and_caption_are_compared_by_cosine(rewards, scorer):
    decoded = scorer.vqvae.decode(torch.tensor([[7, 8, 9, 10, 11, 12]]))[0].detach().numpy()
    embedded = tiny_judge().get_motion_features([feature_extractor().denormalize(decoded)])
    text = tiny_judge().get_text_features(
        [["someone/PRON", "wave/VERB", "with/ADP", "the/DET", "left/ADJ", "hand/NOUN"]]
    )
    expected = torch.cosine_similarity(embedded, text).item()
    assert score(rewards["semantic_similarity"], ROWS)[2] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_alone_as_in_a_batch_and_in_any_order(name):
    def fresh():  # no cache to hide behind
        scorer = MotionScorer(tiny_vqvae(), feature_extractor(), tiny_judge())
        return dict(zip(NAMES, make_rewards(PROCESSOR, scorer), strict=True))[name]

    together = score(fresh(), ROWS)
    function = fresh()
    alone = [score(function, [one])[0] for one in ROWS]
    order = np.random.default_rng(0).permutation(len(ROWS)).tolist()
    shuffled = score(fresh(), [ROWS[i] for i in order])
    for place, i in enumerate(order):
        for value in (alone[i], shuffled[place]):
            assert (value is None) == (together[i] is None)
            assert value is None or math.isclose(value, together[i], abs_tol=1e-5)


def test_batches_without_the_task(rewards):
    assert score(rewards["motion_similarity"], ROWS[1:2]) == [None]
    assert score(rewards["caption_similarity"], ROWS[:1]) == [None]


def test_nothing_is_embedded_twice():
    scorer = MotionScorer(tiny_vqvae(), feature_extractor(), tiny_judge())
    calls = {"decode": 0, "get_motion_features": 0, "get_text_features": 0}

    class Counting:
        def __init__(self, inner):
            self.inner = inner

        def __getattr__(self, name):
            value = getattr(self.inner, name)
            if name not in calls:
                return value

            def counted(*arguments, **settings):
                calls[name] += 1
                return value(*arguments, **settings)

            return counted

    scorer.vqvae, scorer.evaluator = Counting(scorer.vqvae), Counting(scorer.evaluator)
    first = [score(function, ROWS) for function in make_rewards(PROCESSOR, scorer)]
    made = dict(calls)
    assert [score(function, ROWS) for function in make_rewards(PROCESSOR, scorer)] == first
    assert calls == made


def test_a_full_cache_starts_again():
    small = MotionScorer(tiny_vqvae(), feature_extractor(), tiny_judge(), capacity=3)
    large = MotionScorer(tiny_vqvae(), feature_extractor(), tiny_judge())
    rows = [[i] * (1 + i) for i in range(6)]
    for begin in (0, 2, 1, 3):
        wanted = rows[begin : begin + 2] + rows[:1]
        torch.testing.assert_close(small.embed_codes(wanted), large.embed_codes(wanted), atol=1e-5, rtol=0)
    # More at once than fit is no reason to fail.
    torch.testing.assert_close(small.embed_codes(rows), large.embed_codes(rows), atol=1e-5, rtol=0)


def test_embeddings_have_length_one(scorer):
    for embedded in (scorer.embed_codes([[1, 2], [3]]), scorer.embed_texts(TEXTS)):
        torch.testing.assert_close(embedded.norm(dim=-1), torch.ones(len(embedded)))


@pytest.mark.parametrize(
    "text, words", [("a walk", True), ("走", True), ("", False), ("42 ...", False), ("😀", False)]
)
def test_has_words(text, words):
    assert has_words(text) == words


# ------------------------------------------------------------------------------------------------------- prompts


def test_prompts_carry_what_their_rewards_compare_with():
    motions = entries(5)
    codes = [np.arange(i + 1) for i in range(5)]
    rows = grpo_rows(PROCESSOR, motions, codes, 23, 0.5, seed=1)
    assert len(rows) == 23 and {one["task"] for one in rows} == {"t2m", "m2t"}
    for one in rows:
        i = len(one["reference_codes"]) - 1
        assert one["reference_codes"] == codes[i].tolist() and one["references"] == motions[i].texts
        assert one["caption"] in motions[i].texts
        assert one["prompt"] == PROCESSOR.messages(one["task"], text=one["caption"], codes=one["reference_codes"])
    for begin in range(0, 20, 5):  # pass after pass over all
        assert len({len(one["reference_codes"]) for one in rows[begin : begin + 5]}) == 5


@pytest.mark.parametrize("share, tasks", [(0.0, {"m2t"}), (1.0, {"t2m"})])
def test_prompts_depend_on_seed_and_share_alone(share, tasks):
    motions, codes = entries(5), [np.arange(i + 1) for i in range(5)]
    rows = grpo_rows(PROCESSOR, motions, codes, 12, share, seed=1)
    assert {one["task"] for one in rows} == tasks
    assert rows == grpo_rows(PROCESSOR, motions, codes, 12, share, seed=1)
    assert rows != grpo_rows(PROCESSOR, motions, codes, 12, share, seed=2)
    assert rows[:6] == grpo_rows(PROCESSOR, motions, codes, 6, share, seed=1)
