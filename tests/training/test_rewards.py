"""Rewards: the right task, the right order, the floor for what is invalid, and the same alone as in a batch."""

import doctest
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_data import TEXTS, entries, features, tiny_judge
from tiny_unimo import feature_extractor, plain_processor, qwen_tokenizer, tiny_lm, tiny_unimo, tiny_vqvae
from transformers import BertConfig, BertModel, CLIPConfig, CLIPModel

from modeling_unimo.candidates_unimo import score_answers
from train import rewards as rewards_module
from train.reinforcement.caption_encoder import CaptionEncoder
from train.reinforcement.motion_scorer import MotionScorer, tokens_of
from train.reinforcement.plausibility import Physics, measure, plausibility
from train.reinforcement.prompts import draw_prompts
from train.rewards import LOWEST_COSINE, PAPER, READING_NATS, REWARDS, has_words, make_rewards, parse_weights

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
        "caption_tokens": tokens_of(caption),
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


def test_examples_in_the_docstrings():
    assert doctest.testmod(rewards_module).failed == 0


def test_a_caption_is_the_words_of_the_dataset_as_in_evaluation(rewards, scorer):
    """Another tagger's tokens count, not ours of the same text: evaluation reads those of the dataset."""
    tokens = [["man/NOUN", "wave/VERB"], ["person/NOUN"]]
    rows = [row("t2m", motion(REFERENCE)) | {"caption_tokens": words} for words in tokens]
    evaluated = torch.nn.functional.normalize(tiny_judge().get_text_features(tokens), dim=-1)
    expected = evaluated @ scorer.embed_codes([REFERENCE])[0]
    assert score(rewards["semantic_similarity"], rows) == pytest.approx(expected.tolist(), abs=1e-5)


def test_format_covers_both_tasks(rewards):
    assert score(rewards["format_reward"], ROWS) == VALID


@pytest.mark.parametrize("name, task", list(zip(NAMES[1:], ("t2m", "t2m", "m2t"), strict=True)))
def test_a_similarity_covers_its_task_and_floors_what_is_invalid(rewards, name, task):
    for one, valid, value in zip(ROWS, VALID, score(rewards[name], ROWS), strict=True):
        if one["task"] != task:
            assert value is None
        elif not valid or one["completion_ids"] == description("?! 42 ..."):
            assert value == LOWEST_COSINE
        else:
            assert isinstance(value, float) and LOWEST_COSINE < value <= 1 + 1e-6


def test_ground_truth_is_as_similar_as_can_be(rewards):
    assert score(rewards["motion_similarity"], ROWS)[0] == pytest.approx(1.0, abs=1e-5)
    assert score(rewards["caption_similarity"], ROWS)[1] == pytest.approx(1.0, abs=1e-5)


def test_the_nearest_reference_counts(rewards, scorer):
    value = score(rewards["caption_similarity"], [row("m2t", description(TEXTS[4]), references=TEXTS[:4])])[0]
    answer, others = scorer.embed_captions([TEXTS[4]])[0], scorer.embed_captions(TEXTS[:4])
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


def test_the_frozen_model_reads_what_candidates_are_chosen_by(scorer):
    model = tiny_lm(PROCESSOR.tokenizer).train()
    (function,) = make_rewards(PROCESSOR, scorer, ["self_consistency"], reader=model)
    assert not any(parameter.requires_grad for parameter in model.parameters()) and not model.training
    values = score(function, [*ROWS, ROWS[0]])
    assert [value is None for value in values] == [one["task"] != "t2m" for one in [*ROWS, ROWS[0]]]
    asked = [i for i, one in enumerate(ROWS) if one["task"] == "t2m"]
    requests = [("t2m", ROWS[i]["caption"], None) for i in asked]
    nats = score_answers(
        model, PROCESSOR, requests, [PROCESSOR.parse(ROWS[i]["completion_ids"], "t2m") for i in asked]
    )
    for i, expected in zip(asked, nats, strict=True):
        assert values[i] == pytest.approx(math.exp(expected / READING_NATS) if VALID[i] else 0.0, rel=1e-4, abs=1e-30)
    assert values[-1] == pytest.approx(values[0], rel=1e-6) and 0 < values[0] < 1 and values[0] != values[2]
    with pytest.raises(ValueError, match="self_consistency needs a reader"):
        make_rewards(PROCESSOR, scorer, ["self_consistency"])


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
    for embedded in (scorer.embed_codes([[1, 2], [3]]), scorer.embed_captions(TEXTS)):
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
    rows = draw_prompts(PROCESSOR, motions, codes, 23, 0.5, seed=1)
    assert len(rows) == 23 and {one["task"] for one in rows} == {"t2m", "m2t"}
    for one in rows:
        i = len(one["reference_codes"]) - 1
        assert one["reference_codes"] == codes[i].tolist() and one["references"] == motions[i].texts
        assert one["caption_tokens"] == motions[i].tokens[motions[i].texts.index(one["caption"])]
        assert one["prompt"] == PROCESSOR.messages(one["task"], text=one["caption"], codes=one["reference_codes"])
    for begin in range(0, 20, 5):  # pass after pass over all
        assert len({len(one["reference_codes"]) for one in rows[begin : begin + 5]}) == 5


@pytest.mark.parametrize("share, tasks", [(0.0, {"m2t"}), (1.0, {"t2m"})])
def test_prompts_depend_on_seed_and_share_alone(share, tasks):
    motions, codes = entries(5), [np.arange(i + 1) for i in range(5)]
    rows = draw_prompts(PROCESSOR, motions, codes, 12, share, seed=1)
    assert {one["task"] for one in rows} == tasks
    assert rows == draw_prompts(PROCESSOR, motions, codes, 12, share, seed=1)
    assert rows != draw_prompts(PROCESSOR, motions, codes, 12, share, seed=2)
    assert rows[:6] == draw_prompts(PROCESSOR, motions, codes, 6, share, seed=1)


# ---------------------------------------------------------------- the rewards that are off unless asked for


def test_the_usual_rewards_are_the_papers():
    assert tuple(parse_weights("")) == PAPER == NAMES
    assert set(parse_weights("").values()) == {1.0}


def test_weights_go_by_name():
    weights = parse_weights(" length_closeness = 0.5,format_reward=0 ")
    assert list(weights) == [*NAMES, "length_closeness"]
    assert weights["length_closeness"] == 0.5 and weights["format_reward"] == 0 and weights["motion_similarity"] == 1
    every = make_rewards(
        PROCESSOR,
        MotionScorer(tiny_vqvae(), feature_extractor(), tiny_judge()),
        REWARDS,
        reader=tiny_unimo()[0].language_model,
    )
    assert [reward.__name__ for reward in every] == list(REWARDS)


@pytest.mark.parametrize(
    "words, message",
    [
        ("lenght_closeness=1", "did you mean 'length_closeness'"),
        ("format_reward", "expected name=weight, like format_reward=0.5, got 'format_reward'"),
        ("format_reward=much", "name=weight"),
        ("format_reward=inf", "finite"),
        ("format_reward=1,format_reward=2", "twice"),
        (",".join(f"{name}=0" for name in NAMES), "nothing would be learned"),
    ],
)
def test_weights_that_make_no_sense(words, message):
    with pytest.raises(ValueError, match=message):
        parse_weights(words)


def extra(name, rows, **settings) -> list[float | None]:
    scorer = MotionScorer(tiny_vqvae(), feature_extractor(), tiny_judge(), physics=True)
    return score(make_rewards(PROCESSOR, scorer, [name], **settings)[0], rows)


def test_length_closeness():
    values = extra("length_closeness", [*ROWS, row("t2m", motion([1] * 10)), row("t2m", motion([1]))])
    assert values[:8] == [1.0, None, 5 / 6, 0.0, None, None, 0.0, 5 / 49]
    assert values[-2:] == [0.5, 0.2]


def test_physical_plausibility():
    values = extra("physical_plausibility", ROWS)
    assert values[0] == pytest.approx(1.0) and values[1] is None and values[3] == values[6] == 0.0
    assert 0 < values[2] <= 1 and 0 < values[7] <= 1
    assert [extra("physical_plausibility", [one])[0] for one in ROWS] == pytest.approx(values, abs=1e-4)


def test_figures_of_the_body_grow_with_the_fault():
    sound = features(3)
    shaken, sunk = sound.copy(), sound.copy()
    shaken[:, 3] += 0.5 * np.random.default_rng(0).random(len(sound), dtype=np.float32)  # root height
    sunk[:, 3] -= 1.5
    of_sound, of_shaken, of_sunk = measure(sound), measure(shaken), measure(sunk)
    assert of_shaken.jerk > 3 * of_sound.jerk
    assert of_sunk.penetration > of_sound.penetration + 0.2 and of_sunk.jerk == pytest.approx(of_sound.jerk, rel=1e-3)
    for worse in (of_shaken, of_sunk):
        assert plausibility(worse, of_sound) < 0.9 < plausibility(of_sound, worse) == 1.0
    sliding = np.zeros((20, 263), dtype=np.float32)
    sliding[:, 2] = 0.1  # the root is dragged along, 2 m/s, and all joints with it
    assert measure(sliding).skating == pytest.approx(1.0, abs=0.15)
    assert plausibility(Physics(0.5, 0.0, 0.0), Physics(0.0, 0.0, 900.0)) == pytest.approx((1 / 6 + 2) / 3)


def test_the_mean_over_references():
    rows = [row("m2t", description(TEXTS[4]), references=TEXTS[:3])]
    scorer = MotionScorer(tiny_vqvae(), feature_extractor(), tiny_judge())
    cosines = scorer.embed_captions(TEXTS[:3]) @ scorer.embed_captions([TEXTS[4]])[0]
    assert extra("caption_similarity", rows, references_by="mean")[0] == pytest.approx(float(cosines.mean()), abs=1e-6)
    assert extra("caption_similarity", rows)[0] == pytest.approx(float(cosines.max()), abs=1e-6)


@pytest.fixture(scope="module")
def encoders(tmp_path_factory) -> dict[str, str]:
    """A sentence encoder and a CLIP, random."""
    root = tmp_path_factory.mktemp("encoders")
    tokenizer = qwen_tokenizer()
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    torch.manual_seed(0)
    text = sizes | {"vocab_size": len(tokenizer), "max_position_embeddings": 32, "projection_dim": 6}
    clip = CLIPConfig(text_config=text, vision_config=sizes | {"image_size": 8, "patch_size": 4}, projection_dim=6)
    bare = BertModel(BertConfig(**text), add_pooling_layer=False)
    for name, model in (("bert", BertModel(BertConfig(**text))), ("clip", CLIPModel(clip)), ("bare", bare)):
        model.save_pretrained(root / name)
        tokenizer.save_pretrained(root / name)
    return {name: str(root / name) for name in ("bert", "clip", "bare")}


@pytest.mark.parametrize(
    "kind, pooling, width", [("bert", "mean", 16), ("bert", "pooled", 16), ("clip", "pooled", 6), ("clip", "mean", 16)]
)
def test_another_encoder_compares_captions(encoders, kind, pooling, width):
    encoder = CaptionEncoder(encoders[kind], pooling)
    embedded = encoder.embed([*TEXTS, "word " * 200], batch_size=2)
    assert embedded.shape == (len(TEXTS) + 1, width)
    alone = torch.cat([encoder.embed([text]) for text in TEXTS])
    torch.testing.assert_close(embedded[:-1], alone, atol=1e-5, rtol=0)
    scorer = MotionScorer(tiny_vqvae(), feature_extractor(), tiny_judge(), caption_encoder=encoder)
    function = make_rewards(PROCESSOR, scorer, ["caption_similarity"])[0]
    rows = [row("m2t", description(TEXTS[1])), row("m2t", description(TEXTS[4]), references=[TEXTS[2]])]
    same, other = score(function, rows)
    assert same == pytest.approx(1.0, abs=1e-5)
    assert other == pytest.approx(float(torch.cosine_similarity(alone[4], alone[2], dim=0)), abs=1e-5)


def test_an_encoder_that_cannot_is_refused(encoders, tmp_path):
    CaptionEncoder(encoders["bare"], "mean")
    with pytest.raises(ValueError, match="weights are missing.*caption_pooling: mean"):
        CaptionEncoder(encoders["bare"], "pooled")
    with pytest.raises(FileNotFoundError, match="no config.json"):
        CaptionEncoder(str(tmp_path))
    (tmp_path / "config.json").write_text((Path(encoders["bert"]) / "config.json").read_text())
    with pytest.raises(FileNotFoundError, match="caption_encoder"):
        CaptionEncoder(str(tmp_path))


def test_bfloat16_changes_rewards_by_less_than_a_hundredth():
    def scored(dtype):
        return MotionScorer(tiny_vqvae(), feature_extractor(), tiny_judge(), dtype=dtype)

    for name in NAMES[1:]:
        exact, rough = (
            score(make_rewards(PROCESSOR, scored(dtype), [name])[0], ROWS) for dtype in (torch.float32, torch.bfloat16)
        )
        given = [(a, b) for a, b in zip(exact, rough, strict=True) if a is not None]
        assert given and all(abs(a - b) < 0.01 for a, b in given)


def test_one_decode_a_step():
    scorer = MotionScorer(tiny_vqvae(), feature_extractor(), tiny_judge(), physics=True)
    calls = []
    decode = scorer.decode
    scorer.decode = lambda rows: calls.append(len(rows)) or decode(rows)
    for function in make_rewards(PROCESSOR, scorer, [name for name in REWARDS if name != "self_consistency"]):
        score(function, ROWS)
    assert calls == [3]  # three different motions; the first answer is the ground truth itself
