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
from evaluate_unimo.instruction_accuracy import check_features, count_claims, headline
from evaluate_unimo.protocol import RealSide, embedding_scores, score_captions
from evaluate_unimo.sampling import (
    Sampler,
    attribute_pools_repeat,
    free_validity,
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


REAL_SIDE, ONE_JUDGE = RealSide(ENTRIES, JUDGES), RealSide(ENTRIES, {"main": JUDGES["main"]})


class Given(Sampler):
    """A sampler whose answers are made by a function of the request; it notes what it was asked."""

    def __init__(self, answer):
        super().__init__(SimpleNamespace(decode_codes=self.decode), None)
        self.answer, self.asked, self.decoded = answer, [], []

    def decode(self, codes, processor, return_tensors="np"):
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
    result = text_to_motion_repeat(sampler, ONE_JUDGE, seed=5, halves=True, pool_size=32).scores
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
    result = text_to_motion_repeat(sampler, ONE_JUDGE, seed=0, halves=False, pool_size=8).scores
    assert len(sampler.asked[0][1]) == result["real"]["n"] == 24
    assert result["real"]["fid"] == pytest.approx(0.0, abs=1e-6)


def test_scores_pair_each_motion_with_its_own_caption():
    """A perfect generator (the real motions, as asked) scores what real motion does."""
    sampler = Given(by_length)
    order = np.random.default_rng(2).permutation(24)
    sampler.model.decode_codes = lambda codes, processor, return_tensors: [ENTRIES[i].motion for i in order[:12]]
    result = text_to_motion_repeat(sampler, REAL_SIDE, seed=2, halves=True, pool_size=4).scores
    assert result["generated"].pop("valid") == 1.0
    assert result["generated"] == result["real"]


def test_an_invalid_answer_is_counted_and_left_out():
    def answer(place, request):
        return INVALID if place % 3 == 0 else by_length(place, request)

    sampler = Given(answer)
    result = text_to_motion_repeat(sampler, REAL_SIDE, seed=0, halves=False, pool_size=8).scores
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


@pytest.mark.parametrize("valid", [0, 1])
def test_a_model_without_valid_answers_is_scored_as_such(valid):
    sampler = Given(lambda place, request: by_length(place, request) if place < valid else INVALID)
    result = text_to_motion_repeat(sampler, REAL_SIDE, seed=0, halves=False, pool_size=8).scores
    scores = {name: value for name, value in result["generated"].items() if not name.startswith("consistency")}
    assert scores == {"valid": valid / 24, "n": valid, "held_out": {"n": valid}}
    assert result["real"]["n"] == 24 and "fid" in result["real"]
    described = motion_to_text_repeat(sampler, ENTRIES, [[1]] * 24, seed=0, protocols=["unimo", "coco"]).scores
    if not valid:
        assert described == {"valid": 0.0, "n": 0, "empty": 0, "coco": {"empty": 24}}


def test_repeats_draw_anew_and_one_seed_draws_alike():
    def texts(seed):
        sampler = Given(by_length)
        result = text_to_motion_repeat(sampler, REAL_SIDE, seed=seed, halves=True, pool_size=4).scores
        return sampler.asked[0][1], result

    assert texts(1) == texts(1)
    assert texts(1)[0] != texts(2)[0]


def test_every_judge_scores_both_sides():
    result = text_to_motion_repeat(Given(by_length), REAL_SIDE, seed=0, halves=True, pool_size=4).scores
    names = {"r_precision_top1", "r_precision_top2", "r_precision_top3", "mm_dist", "fid", "diversity", "n"}
    names |= {"diversity_times"}  # of so few motions
    figures = {side: {n for n in scores if not n.startswith("consistency")} for side, scores in result.items()}
    assert figures == {"real": names | {"held_out"}, "generated": names | {"held_out", "valid"}}
    for side in result.values():
        assert set(side["held_out"]) == names and side["held_out"]["mm_dist"] != side["mm_dist"]


def accuracy(texts, motions, exclude_kinds=()):
    pairs = zip(texts, motions, strict=True)
    return headline([one for text, motion in pairs for one in check_features([text], motion)], exclude_kinds)


def test_instruction_accuracy_says_what_it_rests_on():
    walk, bow = (animate(Plan((Segment(action, count=4),), tail=9)).joints for action in ("walk", "bow"))
    features = [joints_to_features(joints) for joints in (walk, bow)]
    assert accuracy(["a person walks forward.", "a person bows."], features)["consistency"] == 1.0
    half = accuracy(["a person jumps.", "a person bows. It is cold."], features)
    assert half == {
        "consistency": 0.5,
        "consistency_decided": 1.0,
        "consistency_unread": 1 / 3,
        "consistency_claims": 2,
    }
    # Nothing to settle, another skeleton, and motions without a body make no figure, nor do they spoil one.
    assert accuracy(["a person hums."], features[:1]) == {}
    assert accuracy(["a person walks."], [np.zeros((9, 251))]) == {}
    assert accuracy(["he walks.", "he bows."], [np.zeros((9, 263)), features[1]])["consistency"] == 1.0


def test_excluded_kinds_are_no_part_of_the_figure():
    walk = joints_to_features(animate(Plan((Segment("wave", "left", 2),))).joints)
    [checked] = check_features(["a person waves the right hand twice."], walk)
    kinds = {claim.kind for claim in checked.claims}
    assert len(kinds) > 1
    for kind in kinds:
        assert (
            count_claims(checked, {kind})[2]
            == sum(claim.kind != kind for claim in checked.claims)
            < len(checked.claims)
        )
    assert headline([checked], kinds) == {}


def test_a_pool_larger_than_the_data_shrinks_and_says_so():
    texts, motions = np.random.default_rng(0).normal(size=(2, 2, 6))
    scores, rows = embedding_scores(texts, motions, motions, pool_size=32)
    assert (
        rows["mm_dist"].mean() == scores["mm_dist"] and rows["r_precision_top1"].mean() == scores["r_precision_top1"]
    )
    ranks = {name for name in scores if name.startswith("r_precision")}
    assert ranks == {"r_precision_top1", "r_precision_top2"} and scores["pool_size"] == 2
    assert "pool_size" not in embedding_scores(texts, motions, motions, pool_size=2)[0]


@pytest.mark.parametrize("count, times", [(400, 300), (250, 100), (101, 100), (60, 59)])
def test_diversity_draws_the_published_number_of_pairs(count, times):
    rows = np.random.default_rng(0).normal(size=(count, 3))
    scores, _ = embedding_scores(rows, rows, rows, pool_size=4)
    assert scores["diversity"] == functional.diversity(rows, times=times, seed=0)
    assert scores.get("diversity_times") == (times if count <= 100 else None)


# -------------------------------------------------------------------------------------------------- attribute pools


def test_a_pool_with_an_invalid_answer_is_left_out_whole():
    sampler = Given(lambda place, request: INVALID if place in (5, 18) else by_length(place, request))
    result = attribute_pools_repeat(sampler, REAL_SIDE, seed=3, pool_size=4).scores
    assert len(sampler.asked[0][1]) == 24
    assert result["real"]["n"] == result["generated"]["n"] == 16  # pools 1 and 4 of six are gone
    assert set(result["generated"]) == {"r_precision_top1", "r_precision_top2", "r_precision_top3", "n", "held_out"}


def test_multimodality_is_of_captions_whose_samples_are_all_valid():
    sampler = Given(lambda place, text: INVALID if place == 4 else by_length(place, text))
    result = multimodality_repeat(sampler, ENTRIES[:3], JUDGES, seed=2, samples=4, times=2).scores
    assert sampler.asked[0][0] == "t2m" and len(sampler.decoded[0]) == 11 and result["multimodality_n"] == 2
    decoded = [*sampler.decode(sampler.decoded[0], None)[:4], *sampler.decode(sampler.decoded[0], None)[7:]]
    for judge, score in (("main", result), ("held_out", result["held_out"])):
        embedded = JUDGES[judge].get_motion_features(decoded).numpy().reshape(2, 4, -1)
        assert score["multimodality"] == functional.multimodality(embedded, times=2, seed=2)
    nothing = multimodality_repeat(Given(lambda place, text: INVALID), ENTRIES[:3], JUDGES, seed=2, samples=4, times=2)
    assert nothing.scores == {"multimodality_n": 0}


def test_pools_are_consecutive():
    """Real motions against captions, pool by pool, as computed by hand."""
    sampler = Given(by_length)
    result = attribute_pools_repeat(sampler, RealSide(ENTRIES[:8], JUDGES), seed=3, pool_size=4).scores
    texts = sampler.asked[0][1]
    tokens = [e.tokens[e.texts.index(t)] for e, t in zip(ENTRIES, texts, strict=False)]
    a, b = (
        tiny_judge().get_text_features(tokens).numpy(),
        tiny_judge().get_motion_features([e.motion for e in ENTRIES[:8]]).numpy(),
    )
    hits = [np.linalg.norm(a[i] - b[4 * (i // 4) :][:4], axis=1).argmin() == i % 4 for i in range(8)]
    assert result["real"]["r_precision_top1"] == pytest.approx(np.mean(hits))


def test_no_pool_left():
    scores = attribute_pools_repeat(Given(lambda place, request: INVALID), REAL_SIDE, seed=0, pool_size=4).scores
    assert scores["generated"] == {"n": 0, "held_out": {"n": 0}}


# ------------------------------------------------------------------------------------------------- motion to text


def test_captions_are_compared_with_the_motions_own():
    codes = [[i] for i in range(24)]
    sampler = Given(lambda place, request: Answer(True, "so", [], ENTRIES[request[0]].texts[0]))
    scores = motion_to_text_repeat(sampler, ENTRIES, codes, seed=4).scores
    assert sampler.asked == [("m2t", codes, 4, True)]
    assert scores["bleu1"] == pytest.approx(1.0) and scores["rouge_l"] == pytest.approx(1.0)
    assert (scores["valid"], scores["n"]) == (1.0, 24)


def test_invalid_descriptions_are_counted_and_left_out():
    codes = [[i] for i in range(24)]

    def answer(place, request):
        return INVALID if place % 2 else Answer(True, "so", [], ENTRIES[request[0]].texts[0])

    scores = motion_to_text_repeat(Given(answer), ENTRIES, codes, seed=0).scores
    assert (scores["valid"], scores["n"]) == (0.5, 12) and scores["bleu1"] == pytest.approx(1.0)


def test_captioning_protocols_stand_side_by_side():
    captions = [None, "", *(entry.texts[0] for entry in ENTRIES[2:])]
    scored = score_captions(ENTRIES, captions, ["unimo", "coco"])
    assert (scored.scores["n"], scored.scores["empty"], scored.scores["coco"]["empty"]) == (23, 1, 2)
    assert scored.scores["bleu1"] == pytest.approx(1.0)  # without the empty ones
    assert scored.scores["coco"]["rouge_l"] == pytest.approx(22 / 24)  # with them
    assert scored.clips["rouge_l"][:2] == [None, None] and scored.clips["coco/rouge_l"][:2] == [0.0, 0.0]
    assert [len(values) for values in scored.clips.values()] == [24] * len(scored.clips)


def test_free_validity():
    sampler = Given(lambda place, request: by_length(place, request) if place < 3 else INVALID)
    assert free_validity(sampler, "t2m", ["a"] * 4, seed=7).scores == {"valid_free": 0.75}
    assert sampler.asked == [("t2m", ["a"] * 4, 7, False)]
    sampler = Given(lambda place, request: INVALID)
    assert free_validity(sampler, "m2t", [[1]] * 4, seed=7).scores == {"valid_free": 0.0}
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
    assert free_validity(sampler, "t2m", ["a person walks"] * 4, seed=0).scores["valid_free"] == 0.0


@pytest.mark.parametrize("task", ["t2m", "t2m_attributes"])
def test_what_repeats_share_changes_no_figure(task):
    def repeat(seed, real_side):
        if task == "t2m":
            return text_to_motion_repeat(Given(by_length), real_side, seed, True, 4).scores
        # An invalid answer leaves a pool out, so that the rows are not those of the entries.
        some = Given(lambda place, request: INVALID if place == 5 else by_length(place, request))
        return attribute_pools_repeat(some, real_side, seed, 4).scores

    for seed in (0, 1):
        shared, alone = repeat(seed, REAL_SIDE), repeat(seed, RealSide(ENTRIES, JUDGES))
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
        attribute_pools_repeat(Given(by_length), real_side, seed, 4)
    assert judge.embedded == 24 + 3 * 24  # the real ones, and what each repeat generates
