"""One repeat of the protocol, with answers given: who is compared with whom, and what becomes of invalid ones."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny_data import entries, tiny_judge
from tiny_unimo import tiny_unimo

from datasets_scripts.sources.synthetic.motion import Plan, Segment, animate
from evaluate_unimo import functional
from evaluate_unimo.distributed import ProcessGroup
from evaluate_unimo.protocol import (
    RealSide,
    Sampler,
    attribute_pools_repeat,
    embedding_scores,
    free_validity,
    instruction_accuracy,
    motion_to_text_repeat,
    multimodality_repeat,
    text_to_motion_repeat,
)
from modeling_unimo import Answer
from modeling_unimo.motion_representation import joints_to_features

ENTRIES = entries(24)
JUDGES = {"main": tiny_judge(), "held_out": tiny_judge(1)}
MODEL, PROCESSOR = tiny_unimo()
INVALID = Answer(False, error="planned")


class Given:
    """A sampler whose answers are made by a function of the request; it notes what it was asked."""

    def __init__(self, answer):
        self.answer, self.asked = answer, []
        self.model = SimpleNamespace(decode_codes=self.decode)
        self.processor, self.decoded = None, []

    def decode(self, codes, processor):
        self.decoded.append(codes)
        return [np.full((4 * len(row), 263), 0.01 * sum(row), np.float32) for row in codes]

    def samples(self, task, count, texts=None, codes=None, seed=0, grammar=True):
        self.asked.append((task, list(texts), seed, grammar))
        return [[self.answer(count * i + s, text) for s in range(count)] for i, text in enumerate(texts)]

    def answers(self, task, texts=None, codes=None, seed=0, grammar=True):
        requests = texts if texts is not None else codes
        self.asked.append((task, list(requests), seed, grammar))
        return [self.answer(place, request) for place, request in enumerate(requests)]


def by_length(place, request):
    return Answer(True, "so", [len(request), place % 7, 3])


# ------------------------------------------------------------------------------------------------------ text to motion


def test_halves_ask_one_and_compare_with_the_other(monkeypatch):
    seen = []

    def noted(self_name):
        original = functional.fid

        def fid(motions, references):
            seen.append((self_name, np.array(motions), np.array(references)))
            return original(motions, references)

        return fid

    monkeypatch.setattr(functional, "fid", noted("main"))
    sampler = Given(by_length)
    result = text_to_motion_repeat(sampler, ENTRIES, {"main": JUDGES["main"]}, seed=5, halves=True, pool_size=32)
    order = np.random.default_rng(5).permutation(24)
    asked, other = [ENTRIES[i] for i in order[:12]], [ENTRIES[i] for i in order[12:]]
    [(task, texts, seed, grammar)] = sampler.asked
    assert (task, seed, grammar) == ("t2m", 5, True)
    assert all(text in entry.texts for text, entry in zip(texts, asked, strict=True))
    real = tiny_judge().get_motion_features([entry.motion for entry in asked]).numpy()
    references = tiny_judge().get_motion_features([entry.motion for entry in other]).numpy()
    for (_, motions, compared), expected in zip(seen, (real, None), strict=True):
        np.testing.assert_allclose(compared, references, atol=1e-5)
        assert expected is None or np.allclose(motions, expected, atol=1e-5)
    assert result["real"]["n"] == result["generated"]["n"] == 12
    assert result["real"]["fid"] > 0  # two halves are never the same


def test_published_mode_asks_everything_and_compares_with_the_same_motions():
    sampler = Given(by_length)
    result = text_to_motion_repeat(sampler, ENTRIES, {"main": JUDGES["main"]}, seed=0, halves=False, pool_size=8)
    assert len(sampler.asked[0][1]) == result["real"]["n"] == 24
    assert result["real"]["fid"] == pytest.approx(0.0, abs=1e-6)


def test_scores_pair_each_motion_with_its_own_caption():
    """A perfect generator (the real motions, as asked) scores what real motion does."""
    sampler = Given(by_length)
    order = np.random.default_rng(2).permutation(24)
    sampler.model.decode_codes = lambda codes, processor: [ENTRIES[i].motion for i in order[:12]]
    result = text_to_motion_repeat(sampler, ENTRIES, JUDGES, seed=2, halves=True, pool_size=4)
    assert result["generated"].pop("valid") == 1.0
    assert result["generated"] == result["real"]


def test_an_invalid_answer_is_counted_and_left_out():
    def answer(place, request):
        return INVALID if place % 3 == 0 else by_length(place, request)

    sampler = Given(answer)
    result = text_to_motion_repeat(sampler, ENTRIES, JUDGES, seed=0, halves=False, pool_size=8)
    assert result["generated"]["valid"] == pytest.approx(2 / 3)
    assert result["generated"]["n"] == 16 and result["real"]["n"] == 24
    assert len(sampler.decoded[0]) == 16
    # What is scored are the texts of the valid ones beside their motions.
    texts = sampler.asked[0][1]
    kept = [text for place, text in enumerate(texts) if place % 3]
    order = np.random.default_rng(0).permutation(24)
    tokens = [e.tokens[e.texts.index(t)] for e, t in zip([ENTRIES[i] for i in order], texts, strict=True)]
    tokens = [token for place, token in enumerate(tokens) if place % 3]
    embedded = tiny_judge().get_text_features(tokens).numpy()
    motions = tiny_judge().get_motion_features(sampler.decode(sampler.decoded[0], None)).numpy()
    assert result["generated"]["mm_dist"] == pytest.approx(functional.mm_dist(embedded, motions), rel=1e-5)
    assert len(kept) == 16


def test_too_few_valid_answers_are_an_error_that_says_so():
    sampler = Given(lambda place, request: by_length(place, request) if place == 0 else INVALID)
    with pytest.raises(ValueError, match="1 of 24 answers are valid"):
        text_to_motion_repeat(sampler, ENTRIES, JUDGES, seed=0, halves=False, pool_size=8)


def test_repeats_draw_anew_and_one_seed_draws_alike():
    def texts(seed):
        sampler = Given(by_length)
        result = text_to_motion_repeat(sampler, ENTRIES, JUDGES, seed=seed, halves=True, pool_size=4)
        return sampler.asked[0][1], result

    assert texts(1) == texts(1)
    assert texts(1)[0] != texts(2)[0]


def test_every_judge_scores_both_sides():
    result = text_to_motion_repeat(Given(by_length), ENTRIES, JUDGES, seed=0, halves=True, pool_size=4)
    names = {"r_precision_top1", "r_precision_top2", "r_precision_top3", "mm_dist", "fid", "diversity", "n"}
    figures = {side: set(scores) - {"consistency"} for side, scores in result.items()}
    assert figures == {"real": names | {"held_out"}, "generated": names | {"held_out", "valid"}}
    for side in result.values():
        assert set(side["held_out"]) == names and side["held_out"]["mm_dist"] != side["mm_dist"]


def test_instruction_accuracy_is_of_the_captions_that_were_asked():
    walk, bow = (animate(Plan((Segment(action, count=4),), tail=9)).joints for action in ("walk", "bow"))
    features = [joints_to_features(joints) for joints in (walk, bow)]
    assert instruction_accuracy(["a person walks forward.", "a person bows."], features) == {"consistency": 1.0}
    assert instruction_accuracy(["a person jumps.", "a person bows."], features) == {"consistency": 0.5}
    # Nothing to settle, another skeleton, and motions without a body make no figure, nor do they spoil one.
    assert instruction_accuracy(["a person hums."], features[:1]) == {}
    assert instruction_accuracy(["a person walks."], [np.zeros((9, 251))]) == {}
    assert instruction_accuracy(["he walks.", "he bows."], [np.zeros((9, 263)), features[1]]) == {"consistency": 1.0}


def test_a_pool_larger_than_the_data_shrinks_and_says_so():
    texts, motions = np.random.default_rng(0).normal(size=(2, 2, 6))
    scores = embedding_scores(texts, motions, motions, pool_size=32)
    ranks = {name for name in scores if name.startswith("r_precision")}
    assert ranks == {"r_precision_top1", "r_precision_top2"} and scores["pool_size"] == 2
    assert "pool_size" not in embedding_scores(texts, motions, motions, pool_size=2)


# -------------------------------------------------------------------------------------------------- attribute pools


def test_a_pool_with_an_invalid_answer_is_left_out_whole():
    sampler = Given(lambda place, request: INVALID if place in (5, 18) else by_length(place, request))
    result = attribute_pools_repeat(sampler, ENTRIES, JUDGES, seed=3, pool_size=4)
    assert len(sampler.asked[0][1]) == 24
    assert result["real"]["n"] == result["generated"]["n"] == 16  # pools 1 and 4 of six are gone
    assert set(result["generated"]) == {"r_precision_top1", "r_precision_top2", "r_precision_top3", "n", "held_out"}


def test_multimodality_is_of_captions_whose_samples_are_all_valid():
    sampler = Given(lambda place, text: INVALID if place == 4 else by_length(place, text))
    result = multimodality_repeat(sampler, ENTRIES[:3], JUDGES, seed=2, samples=4, times=2)
    assert sampler.asked[0][0] == "t2m" and len(sampler.decoded[0]) == 8 and result["multimodality_n"] == 2
    decoded = sampler.decode(sampler.decoded[0], None)
    for judge, score in (("main", result), ("held_out", result["held_out"])):
        embedded = JUDGES[judge].get_motion_features(decoded).numpy().reshape(2, 4, -1)
        assert score["multimodality"] == functional.multimodality(embedded, times=2, seed=2)
    with pytest.raises(ValueError, match="not one of 3 captions has valid answers alone"):
        multimodality_repeat(Given(lambda place, text: INVALID), ENTRIES[:3], JUDGES, seed=2, samples=4, times=2)


def test_pools_are_consecutive():
    """Real motions against captions, pool by pool, as computed by hand."""
    sampler = Given(by_length)
    result = attribute_pools_repeat(sampler, ENTRIES[:8], {"main": JUDGES["main"]}, seed=3, pool_size=4)
    texts = sampler.asked[0][1]
    tokens = [e.tokens[e.texts.index(t)] for e, t in zip(ENTRIES, texts, strict=False)]
    a, b = (
        tiny_judge().get_text_features(tokens).numpy(),
        tiny_judge().get_motion_features([e.motion for e in ENTRIES[:8]]).numpy(),
    )
    hits = [np.linalg.norm(a[i] - b[4 * (i // 4) :][:4], axis=1).argmin() == i % 4 for i in range(8)]
    assert result["real"]["r_precision_top1"] == pytest.approx(np.mean(hits))


def test_no_pool_left():
    sampler = Given(lambda place, request: INVALID)
    with pytest.raises(ValueError, match="not one of 6 pools"):
        attribute_pools_repeat(sampler, ENTRIES, JUDGES, seed=0, pool_size=4)


# ------------------------------------------------------------------------------------------------- motion to text


def test_captions_are_compared_with_the_motions_own():
    codes = [[i] for i in range(24)]
    sampler = Given(lambda place, request: Answer(True, "so", [], ENTRIES[request[0]].texts[0]))
    scores = motion_to_text_repeat(sampler, ENTRIES, codes, seed=4)
    assert sampler.asked == [("m2t", codes, 4, True)]
    assert scores["bleu1"] == pytest.approx(1.0) and scores["rouge_l"] == pytest.approx(1.0)
    assert (scores["valid"], scores["n"]) == (1.0, 24)


def test_invalid_descriptions_are_counted_and_left_out():
    codes = [[i] for i in range(24)]

    def answer(place, request):
        return INVALID if place % 2 else Answer(True, "so", [], ENTRIES[request[0]].texts[0])

    scores = motion_to_text_repeat(Given(answer), ENTRIES, codes, seed=0)
    assert (scores["valid"], scores["n"]) == (0.5, 12) and scores["bleu1"] == pytest.approx(1.0)


def test_free_validity():
    sampler = Given(lambda place, request: by_length(place, request) if place < 3 else INVALID)
    assert free_validity(sampler, "t2m", ["a"] * 4, seed=7) == 0.75
    assert sampler.asked == [("t2m", ["a"] * 4, 7, False)]
    sampler = Given(lambda place, request: INVALID)
    assert free_validity(sampler, "m2t", [[1]] * 4, seed=7) == 0.0
    assert sampler.asked[0][0] == "m2t"


# --------------------------------------------------------------------------------------------------- a real sampler


REQUESTS = ["a person walks", "jump", "a person waves with the left hand, then turns around"]


def test_a_sampler_keeps_order_settings_and_seed():
    sampler = Sampler(MODEL, PROCESSOR, batch_size=4, generate_kwargs={"temperature": 0.5})
    answers = sampler.answers("t2m", texts=REQUESTS, seed=3)
    direct = MODEL.generate_answers("t2m", REQUESTS, None, PROCESSOR, seed=3, batch_size=4, temperature=0.5)
    assert answers == [one for [one] in direct] and all(answer.valid for answer in answers)
    described = sampler.answers("m2t", codes=[[1, 2], [3]], seed=3)
    assert all(answer.valid and answer.caption and not answer.codes for answer in described)
    assert sampler.answers("t2m", texts=REQUESTS, seed=3) == answers
    assert sampler.answers("t2m", texts=REQUESTS, seed=4) != answers


class Recorded(ProcessGroup):
    """One of several processes, whose others have said beforehand what they have."""

    def __init__(self, rank, size, others=()):
        super().__init__(rank, size)
        self.others, self.sent = list(others), []

    def broadcast(self, message=None):
        return message

    def gather(self, value):
        self.sent.append(value)
        return [value, *self.others]


def test_batches_are_shared_out_and_the_answers_are_those_of_one_process():
    texts = REQUESTS * 3
    request = {"task": "t2m", "count": 2, "texts": texts, "codes": None, "seed": 5, "grammar": True}
    other = Recorded(1, 2)
    Sampler(MODEL, PROCESSOR, batch_size=4, group=other)._share(request)
    sampler = Sampler(MODEL, PROCESSOR, batch_size=4, group=Recorded(0, 2, other.sent))
    together = sampler.samples("t2m", 2, texts=texts, seed=5)
    assert together == Sampler(MODEL, PROCESSOR, batch_size=4).samples("t2m", 2, texts=texts, seed=5)
    assert 2 < len(other.sent[0]) < 7
    # No batch repeats the draws of another.
    assert len({answer.thought for samples in together for answer in samples}) == 18


def test_a_process_that_fails_is_named():
    sampler = Sampler(MODEL, PROCESSOR, group=Recorded(0, 2, [RuntimeError("process 1: MemoryError: full")]))
    with pytest.raises(RuntimeError, match="process 1: MemoryError: full"):
        sampler.answers("t2m", texts=["jump"])
    with pytest.raises(ValueError, match="blank|empty|text"):
        Sampler(MODEL, PROCESSOR).answers("t2m", texts=[""])


def test_a_model_that_learned_nothing_is_hardly_valid_when_free():
    sampler = Sampler(MODEL, PROCESSOR, batch_size=8)
    assert free_validity(sampler, "t2m", ["a person walks"] * 4, seed=0) == 0.0


@pytest.mark.parametrize("task", ["t2m", "t2m_attributes"])
def test_what_repeats_share_changes_no_figure(task):
    def repeat(seed, *shared):
        if task == "t2m":
            return text_to_motion_repeat(Given(by_length), ENTRIES, JUDGES, seed, True, 4, *shared)
        # An invalid answer leaves a pool out, so that the rows are not those of the entries.
        some = Given(lambda place, request: INVALID if place == 5 else by_length(place, request))
        return attribute_pools_repeat(some, ENTRIES, JUDGES, seed, 4, *shared)

    real_side = RealSide(ENTRIES, JUDGES)
    for seed in (0, 1):
        shared, alone = repeat(seed, real_side), repeat(seed)
        for side in ("real", "generated"):
            for judge in (lambda scores: scores, lambda scores: scores["held_out"]):
                numbers = {k: v for k, v in judge(shared[side]).items() if k != "held_out"}
                assert numbers == pytest.approx({k: judge(alone[side])[k] for k in numbers}, abs=1e-5)
    calls = []
    judge = SimpleNamespace(get_motion_features=lambda motions: calls.append(len(motions)) or torch.zeros(24, 2))
    real_side = RealSide(ENTRIES, {"main": judge})
    assert [real_side.embeddings("main", [3, 1]).shape for _ in range(3)] == [(2, 2)] * 3 and calls == [24]


class Counted:
    """A judge that counts the motions it embeds."""

    def __init__(self, judge):
        self.judge, self.embedded = judge, 0
        self.get_text_features = judge.get_text_features

    def get_motion_features(self, motions):
        self.embedded += len(motions)
        return self.judge.get_motion_features(motions)


def test_real_motion_of_pools_is_embedded_once_for_all_repeats():
    judge = Counted(JUDGES["main"])
    real_side = RealSide(ENTRIES, {"main": judge})
    for seed in range(3):
        attribute_pools_repeat(Given(by_length), ENTRIES, {"main": judge}, seed, 4, real_side)
    assert judge.embedded == 24 + 3 * 24  # the real ones, and what each repeat generates
