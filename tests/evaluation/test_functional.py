"""The metrics' numerics: against the published arrays, against plain formulas, and with unfit input."""

import doctest
import importlib
import json
import pkgutil
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import linalg
from scipy.ndimage import uniform_filter1d

from evaluate_unimo import functional

RNG = np.random.default_rng(0)
PREDICTIONS = ["a man walks forward.", "a person jumps", "someone sits down slowly."]
REFERENCES = [["a man walks forward.", "someone walks."], ["a person hops."], ["someone sits.", "a man sits down."]]


@pytest.mark.parametrize("name", [module.name for module in pkgutil.iter_modules(functional.__path__)])
def test_examples_in_docstrings(name):
    assert doctest.testmod(importlib.import_module(f"evaluate_unimo.functional.{name}")).failed == 0


# The published figures -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["small", "b32", "n700"])
def test_published_retrieval(case, golden, agrees):
    arrays = golden("metrics")
    texts, motions = arrays[f"{case}/emb1"], arrays[f"{case}/emb2"]
    if f"{case}/dist" in arrays:
        expected = arrays[f"{case}/dist"]
        agrees("metrics", functional.distance_matrix(texts, motions) / expected.max(), expected / expected.max(), 1e-6)
    scores = functional.r_precision(texts, motions, top_k=3, pool_size=len(texts))
    assert [round(score * len(texts)) for score in scores.values()] == arrays[f"{case}/topk_counts"].tolist()
    agrees("metrics", functional.mm_dist(texts, motions) * len(texts) / arrays[f"{case}/matching_sum"], 1.0, 1e-4)


@pytest.mark.parametrize(("case", "rtol"), [("small", 1e-4), ("n700", 1e-4), ("deficient", 1e-2)])
def test_published_fid(case, rtol, golden, agrees):
    arrays = golden("metrics")
    value = functional.fid(arrays[f"{case}/emb1"], arrays[f"{case}/emb2"])
    agrees(
        "metrics (fid, singular)" if case == "deficient" else "metrics (fid)", value / arrays[f"{case}/fid"], 1.0, rtol
    )


def test_published_covariance_and_normalised_fid(golden, agrees):
    arrays = golden("metrics")
    gaussian = functional.Gaussian().add(arrays["n700/emb1"])
    agrees("metrics (fid)", gaussian.mean, arrays["n700/mu1"], 1e-6)
    agrees("metrics (fid)", gaussian.covariance, arrays["n700/cov1"], 1e-6)
    mean, deviation = arrays["ffd/feat1"].mean(0), arrays["ffd/feat1"].std(0) + 1e-10
    value = functional.fid((arrays["ffd/feat1"] - mean) / deviation, (arrays["ffd/feat2"] - mean) / deviation)
    agrees("metrics (fid)", value / arrays["ffd/value"], 1.0, 1e-4)


def test_published_draws(golden, agrees):
    arrays = golden("metrics")
    seed = int(arrays["n700/div_np_seed"])
    value = functional.diversity(arrays["n700/emb1"], times=300, seed=seed)
    agrees("metrics", value / arrays["n700/diversity300"], 1.0, 1e-4)
    np.random.seed(seed)
    assert functional.diversity(arrays["n700/emb1"], times=300) == value
    seed = int(arrays["mm/np_seed"])
    first, second = functional.multimodality_pairs(30, 10, seed)
    assert first.tolist() == arrays["mm/idx1"].tolist() and second.tolist() == arrays["mm/idx2"].tolist()
    agrees("metrics", functional.multimodality(arrays["mm/emb"], 10, seed) / arrays["mm/value"], 1.0, 1e-4)


def test_published_captioning(golden, agrees):
    arrays = golden("m2t_metrics")
    predictions, references = json.loads(str(arrays["hyps"])), json.loads(str(arrays["refs"]))
    results = json.loads(str(arrays["results"]))
    assert sum(not text for text in predictions) == 1
    cases = {
        "full": functional.captioning(predictions, references),
        "with_empty": functional.captioning(predictions, references, empty_predictions="score"),
        "one": functional.captioning(predictions[:2], references[:2]),
    }
    for case, scores in cases.items():
        for name, expected in results[case].items():
            agrees("m2t_metrics", scores[name], expected, 1e-9)
    assert cases["full"]["empty"] == cases["with_empty"]["empty"] == 1


# Distances and retrieval ---------------------------------------------------------------------------------------------


def test_distances_of_equal_rows_are_zero_not_nan():
    rows = (1000 + RNG.standard_normal((200, 512))).astype(np.float32)
    distances = functional.distance_matrix(rows, rows)
    assert np.isfinite(distances).all()
    # The bare formula, in float32, does turn NaN here.
    squares = np.square(rows).sum(1)
    with np.errstate(invalid="ignore"):
        assert np.isnan(np.sqrt(-2 * rows @ rows.T + squares[:, None] + squares)).any()


def test_ranks_by_sorting():
    texts, motions = RNG.standard_normal((2, 50, 8))
    order = np.argsort(functional.distance_matrix(texts, motions), axis=1)
    expected = np.argmax(order == np.arange(50)[:, None], axis=1)
    assert functional.retrieval_ranks(texts, motions).tolist() == expected.tolist()


def test_collapsed_embeddings_score_chance():
    scores = functional.r_precision(np.ones((64, 4)), np.ones((64, 4)), top_k=3, pool_size=32)
    assert list(scores.values()) == [1 / 32, 2 / 32, 3 / 32]


def test_pools_are_contiguous_and_the_rest_is_dropped():
    texts, motions = RNG.standard_normal((2, 70, 4))
    pools = [functional.retrieval_ranks(texts[i : i + 32], motions[i : i + 32]) for i in (0, 32)]
    scores = functional.r_precision(texts, motions)
    assert scores == {f"r_precision_top{k}": float(np.mean(np.concatenate(pools) < k)) for k in (1, 2, 3)}


def test_shuffled_pools_follow_the_seed():
    texts, motions = RNG.standard_normal((2, 320, 4))
    scores = [functional.r_precision(texts, motions, shuffle=True, seed=seed) for seed in (0, 0, 1)]
    assert scores[0] == scores[1] != scores[2]
    order = np.random.RandomState(0).permutation(320)
    assert scores[0] == functional.r_precision(texts[order], motions[order])


# FID -----------------------------------------------------------------------------------------------------------------


def plain_fid(predictions, references):
    cov1, cov2 = np.cov(predictions, rowvar=False), np.cov(references, rowvar=False)
    root = linalg.sqrtm(cov1 @ cov2)
    return np.square(predictions.mean(0) - references.mean(0)).sum() + np.trace(cov1 + cov2 - 2 * root.real)


def test_fid_of_correlated_embeddings_of_unequal_counts():
    mixing = RNG.standard_normal((20, 20)) * np.geomspace(1, 1e-3, 20)
    first, second = RNG.standard_normal((300, 20)) @ mixing + 5, RNG.standard_normal((500, 20)) @ mixing
    assert functional.fid(first, second) == pytest.approx(plain_fid(first, second), rel=1e-9)
    assert functional.fid(first, second) == pytest.approx(functional.fid(second, first), rel=1e-9)


def test_fid_with_fewer_samples_than_dimensions():
    # A block of zeros puts the same numbers into more dimensions than samples: the value may not change.
    first, second = RNG.standard_normal((30, 10)), 2 + RNG.standard_normal((40, 10))
    wide = [np.concatenate([rows, np.zeros((len(rows), 90))], axis=1) for rows in (first, second)]
    rotation = np.linalg.qr(RNG.standard_normal((100, 100)))[0]
    expected = plain_fid(first, second)
    assert functional.fid(wide[0] @ rotation, wide[1] @ rotation) == pytest.approx(expected, rel=1e-6)
    deficient = RNG.standard_normal((32, 512))
    assert functional.fid(deficient, deficient) == pytest.approx(0, abs=1e-5)
    assert np.isfinite(functional.fid(deficient, RNG.standard_normal((700, 512))))


def test_fid_of_constant_embeddings_is_their_distance():
    assert functional.fid(np.zeros((5, 3)), np.ones((4, 3))) == pytest.approx(3)


def test_gaussian_batch_by_batch_far_from_the_origin():
    rows = 1e6 + RNG.standard_normal((500, 6))
    gaussian = functional.Gaussian()
    for batch in np.split(rows, [1, 3, 40, 200]):
        gaussian.add(batch)
    assert gaussian.count == 500
    np.testing.assert_allclose(gaussian.mean, rows.mean(0), rtol=1e-12)
    np.testing.assert_allclose(gaussian.covariance, np.cov(rows, rowvar=False), rtol=1e-7, atol=1e-9)


# Draws ---------------------------------------------------------------------------------------------------------------


def test_draws_follow_numpys_seed_and_leave_its_state_alone():
    rows = RNG.standard_normal((400, 3))
    np.random.seed(7)
    first, second = (np.random.choice(400, 300, replace=False) for _ in range(2))
    state = np.random.get_state()[1].copy()
    expected = np.linalg.norm(rows[first] - rows[second], axis=1).mean()
    assert functional.diversity(rows, 300, seed=7) == pytest.approx(expected, rel=1e-12)
    assert (np.random.get_state()[1] == state).all()


def test_published_number_of_pairs():
    assert [functional.published_diversity_times(n) for n in (101, 300, 301)] == [100, 100, 300]


# Skating -------------------------------------------------------------------------------------------------------------


def published_skating_ratio(clip, fps=20.0):
    """GMD's measure in its own terms, for a clip (T, 22, 3)."""
    feet = clip[:, [10, 11]]
    speed = np.linalg.norm(feet[1:, :, [0, 2]] - feet[:-1, :, [0, 2]], axis=2) * fps
    average = uniform_filter1d(speed, axis=0, size=5, mode="constant", origin=0)
    contact = (feet[:-1, :, 1] < 0.05) & (feet[1:, :, 1] < 0.05)
    return (contact & (speed > 0.5) & (average > 0.5)).any(1).mean()


def test_skating_as_published():
    clips = [RNG.uniform(0, 0.08, (frames, 22, 3)) for frames in (2, 3, 40, 90)]
    scores = functional.foot_skating(clips)
    assert scores["skating_ratio"] == pytest.approx(np.mean([published_skating_ratio(clip) for clip in clips]))
    assert 0 < scores["skating_ratio"] < 1


def test_skating_of_known_motion():
    clip = np.zeros((21, 22, 3))
    clip[:, 10, 0] = 0.1 * np.arange(21)  # the left foot slides 10 cm a frame,
    clip[:, 11, 1] = 1.0  # the right one is in the air
    assert functional.foot_skating(clip) == {"skating_ratio": 1.0, "mean_slide_m": pytest.approx(0.1)}
    clip[:, :, 1] += 2.0
    assert functional.foot_skating(clip) == {"skating_ratio": 0.0, "mean_slide_m": 0.0}
    assert functional.foot_skating(clip, floor=None)["skating_ratio"] == 1.0
    assert functional.foot_skating(clip, feet=[11], floor=None) == {"skating_ratio": 0.0, "mean_slide_m": 0.0}


@pytest.mark.parametrize("form", ["array", "list", "nested", "torch", "torch list"])
def test_skating_of_any_form_of_clips(form):
    clips = RNG.uniform(0, 0.08, (3, 12, 22, 3))
    given = {
        "array": clips,
        "list": list(clips),
        "nested": clips.tolist(),
        "torch": torch.tensor(clips),
        "torch list": [torch.tensor(clip) for clip in clips],
    }[form]
    assert functional.foot_skating(given) == functional.foot_skating(clips)
    assert functional.foot_skating(clips[0].tolist()) == functional.foot_skating(clips[0])


# Captions ------------------------------------------------------------------------------------------------------------


def test_three_references():
    assert functional.three_references(["a", "b", "c", "d"]) == ["a", "b", "c"]
    assert functional.three_references(["a", "b"]) == ["a", "b", "a"]
    assert functional.three_references(["a"]) == ["a", "a", "a"]


def test_reference_rules_differ():
    four = [["a man runs.", "he runs.", "someone runs.", "a man walks forward."]]
    published = functional.captioning(["a man walks forward."], four)
    assert published == functional.captioning(["a man walks forward."], [four[0][:3]])
    assert (
        functional.captioning(["a man walks forward."], four, reference_rule="all")["bleu4"]
        == 1.0
        > published["bleu4"]
    )


def test_bleu_ignores_case_and_cider_does_not():
    shouted = [text.upper() for text in PREDICTIONS]
    assert functional.bleu(shouted, REFERENCES) == functional.bleu(PREDICTIONS, REFERENCES)
    assert functional.cider(shouted, REFERENCES) < functional.cider(PREDICTIONS, REFERENCES)


def test_every_prediction_empty():
    with pytest.raises(ValueError, match="all 3 are empty"):
        functional.captioning(["", " ", "\n"], REFERENCES)
    scores = functional.captioning(["", " ", "\n"], REFERENCES, empty_predictions="score")
    assert {name: scores[name] for name in ("bleu1", "bleu4", "rouge_l", "cider")} == dict.fromkeys(
        ("bleu1", "bleu4", "rouge_l", "cider"), 0.0
    )


def test_captions_of_any_script():
    text = "一个人走路 🚶 ходит </think> <Motion_3>"
    assert functional.captioning([text, "b c d e"], [[text], ["b c d e"]])["bleu4"] == 1.0


def test_coco_takes_strings_as_they_are_and_keeps_empty_ones():
    scores = functional.captioning(["A man walks.", ""], [["a man walks", "he walks."], ["someone runs"]], "coco")
    # Of three words "man" alone occurs as it is, and the closest references have 3 + 2 words.
    assert scores["bleu1"] == pytest.approx((2 / 3) * np.exp(1 - 5 / 3))  # "man" and, of the other one, "walks."
    assert scores["empty"] == 1
    assert functional.captioning(["a man walks"], [["a man walks."]], "unimo")["bleu1"] < 1


@pytest.mark.parametrize("protocol", ["unimo", "coco"])
def test_counts_of_captions_add_up_to_corpus_bleu(protocol):
    predictions = ["a man walks forward slowly and stops", "someone jumps up and down", "he sits down on a chair"]
    references = [
        ["a man walks forward and stops"],
        ["someone jumps up", "he jumps up and down"],
        ["he sits on a chair"],
    ]
    scores = functional.caption_scores(predictions, references, protocol)
    total = scores.per_caption["bleu"].sum(0)
    for n in (1, 4):
        assert functional.bleu_from_counts(total, n) == pytest.approx(scores.corpus[f"bleu{n}"], rel=1e-6)
    assert functional.bleu_from_counts(np.zeros((2, 10)), 4).tolist() == [0, 0]
    for name in ("rouge_l", "cider"):
        assert scores.per_caption[name].mean() == pytest.approx(scores.corpus[name])


class Pipeline:
    """A spaCy pipeline of five words, for machines without spaCy."""

    TAGS = {"walks": ("walk", "VERB"), "hands": ("hand", "NOUN"), "Men": ("man", "NOUN"), "left": ("leave", "VERB")}

    def pipe(self, texts):
        for text in texts:
            words = text.replace(".", " .").split()
            tagged = [(word, *self.TAGS.get(word, (word, "X"))) for word in words]
            yield [SimpleNamespace(text=word, lemma_=lemma, pos_=tag) for word, lemma, tag in tagged]


def test_tm2t_compares_lemmas_of_both_sides():
    predictions, references = ["Men walks for-ward left."], [["man walk forward left 2"]]
    scores = functional.captioning(predictions, references, "tm2t", spacy_model=Pipeline())
    assert scores["bleu1"] == pytest.approx(1.0) and scores["rouge_l"] == pytest.approx(1.0)
    tokens = [[["man/NOUN", "Walk/VERB"]]]
    own = functional.captioning(predictions, references, "tm2t", tokens, spacy_model=Pipeline())
    assert own["bleu1"] == pytest.approx(0.5)
    with pytest.raises(ValueError, match=r"references\[0\] after normalisation"):
        functional.captioning(["a"], [["123"]], "tm2t", spacy_model=Pipeline())


@pytest.mark.skipif(find_spec("spacy") is not None, reason="spaCy is installed")
def test_tm2t_without_spacy_says_how_to_install_it():
    with pytest.raises(ImportError, match=r"pip install 'unimo\[spacy\]'"):
        functional.captioning(["a man walks"], [["a man walks"]], "tm2t")


M2T_OUTPUTS = Path(__file__).resolve().parents[3] / "shared" / "data" / "m2t_outputs"


@pytest.mark.skipif(not M2T_OUTPUTS.is_dir(), reason=f"{M2T_OUTPUTS} is not there")
def test_coco_reproduces_a_published_system():
    cases = [json.loads(line) for line in (M2T_OUTPUTS / "cases.jsonl").read_text(encoding="utf-8").splitlines()]
    published = json.loads((M2T_OUTPUTS / "published.json").read_text())["systems"]["motiongpt3"]["coco"]
    cases = [case for case in cases if "motiongpt3" in case["outputs"]]
    predictions = [case["outputs"]["motiongpt3"] for case in cases]
    assert "" in predictions
    scores = functional.captioning(predictions, [case["references"] for case in cases], "coco")
    for ours, theirs in {"bleu1": "bleu1", "bleu4": "bleu4", "rouge_l": "rougeL", "cider": "cider"}.items():
        assert scores[ours] == pytest.approx(published[theirs], abs=1e-6)


@pytest.mark.parametrize("baseline", [None, "file"])
def test_bertscore_with_a_local_encoder(baseline, tmp_path):
    pytest.importorskip("bert_score", reason="the bertscore extra is not installed")
    from transformers import BertConfig, BertModel, BertTokenizer

    words = "[PAD] [UNK] [CLS] [SEP] [MASK] a man person walks jumps forward . someone sits down slowly".split()
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    BertTokenizer(str(tmp_path / "vocab.txt"), model_max_length=64).save_pretrained(tmp_path)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64}
    config = BertConfig(vocab_size=len(words), **sizes)
    BertModel(config).save_pretrained(tmp_path)
    if baseline is not None:
        baseline = tmp_path / "baseline.tsv"
        baseline.write_text("LAYER,P,R,F\n0,0,0,0\n1,0,0,0\n2,0.5,0.5,0.5\n3,0,0,0\n")
    settings = {"bertscore_encoder": tmp_path, "bertscore_layers": 2, "bertscore_baseline": baseline}
    perfect = functional.captioning(PREDICTIONS, [[text] for text in PREDICTIONS], **settings)["bertscore_f1"]
    other = functional.captioning(PREDICTIONS, REFERENCES, **settings)["bertscore_f1"]
    assert perfect == pytest.approx(1.0, abs=1e-5) and other < 1.0
    # Strings as they are, of captions that are not empty, whatever the protocol.
    with_empty = functional.caption_scores([*PREDICTIONS, " "], [*REFERENCES, ["a man"]], "coco", **settings)
    assert with_empty.corpus["bertscore_f1"] == pytest.approx(other, abs=1e-6)
    per_caption = with_empty.per_caption["bertscore_f1"]
    assert np.isnan(per_caption[-1]) and per_caption[:-1].mean() == pytest.approx(other, abs=1e-6)
    for changed, message in [
        ({"bertscore_baseline": "roberta-large"}, "is not roberta-large"),
        ({"bertscore_layers": 9}, "has 3"),
    ]:
        with pytest.raises(ValueError, match=message):
            functional.captioning(PREDICTIONS, REFERENCES, **settings | changed)
    with pytest.raises(FileNotFoundError, match="config.json"):
        functional.captioning(PREDICTIONS, REFERENCES, bertscore_encoder=tmp_path / "none")


# Intervals and tags --------------------------------------------------------------------------------------------------


def test_interval():
    values = RNG.standard_normal(20)
    published = 1.96 * np.std(values) / np.sqrt(20)
    student = 2.093024054 * np.std(values, ddof=1) / np.sqrt(20)  # t table, 19 degrees of freedom
    for interval, half_width in {"published": published, "student": student}.items():
        found = functional.mean_ci95(values, interval)
        assert found == {"mean": pytest.approx(values.mean()), "ci95": pytest.approx(half_width)}
    assert functional.mean_ci95([3]) == {"mean": 3.0}  # nothing is known of its spread


def test_protocol_tag_tells_things_apart(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "mean.npy").write_bytes(b"mean")
    settings = {
        "evaluator": tmp_path,
        "statistics": np.zeros(263, np.float32),
        "caption_set": ["a man walks."],
        "tokeniser": "spaCy",
    }
    tag = functional.protocol_tag(**settings, repeats=20)
    assert json.loads(json.dumps(tag)) == tag
    assert tag["repeats"] == 20 and tag["libraries"]["numpy"] == np.__version__
    assert functional.protocol_tag(**settings, repeats=20) == tag
    assert functional.protocol_tag(**settings | {"evaluator": str(tmp_path)}, repeats=20) == tag
    changes = {
        "statistics": np.ones(263, np.float32),
        "caption_set": ["a man walks"],
        "tokeniser": "table",
        "evaluator": "published evaluator",
    }
    for name, value in changes.items():
        other = functional.protocol_tag(**settings | {name: value}, repeats=20)
        assert [key for key in tag if tag[key] != other[key]] == [name]
    assert functional.protocol_tag("x", statistics=tmp_path / "mean.npy")["statistics"].startswith("mean.npy, sha256 ")
    assert (
        functional.protocol_tag("x", libraries=["no-such-library"])["libraries"]["no-such-library"] == "not installed"
    )
    (tmp_path / "model.safetensors").write_bytes(b"others")
    assert functional.protocol_tag(**settings)["evaluator"] != tag["evaluator"]


def test_fingerprint_of_nothing(tmp_path):
    for path in (tmp_path, tmp_path / "none.npy"):
        with pytest.raises(FileNotFoundError):
            functional.fingerprint(path)
    with pytest.raises(ValueError, match="dict"):
        functional.fingerprint({})


# Unfit input ---------------------------------------------------------------------------------------------------------

ROWS = np.zeros((40, 4))
NAN = np.where(np.arange(40)[:, None] == 3, np.nan, ROWS)
CLIP = np.zeros((5, 22, 3))

UNFIT = {
    "NaN": (lambda: functional.fid(NAN, ROWS), "predictions must be finite, got NaN or infinity first in row 3"),
    "infinite": (lambda: functional.fid(ROWS, ROWS + np.inf), "references must be finite"),
    "one dimension": (lambda: functional.fid(ROWS[0], ROWS), r"predictions must have 2 dimensions, got shape \(4,\)"),
    "empty": (lambda: functional.fid(ROWS[:0], ROWS), "predictions must not be empty"),
    "empty list": (lambda: functional.fid([], ROWS), r"predictions must have 2 dimensions, got shape \(0,\)"),
    "ragged": (
        lambda: functional.fid([[1.0], [1.0, 2.0]], ROWS),
        "predictions must have rows of one shape",
    ),
    "ragged tensors": (
        lambda: functional.fid([torch.zeros(1), torch.zeros(2)], ROWS),
        "predictions must have rows of one shape",
    ),
    "text": (lambda: functional.fid("embeddings", ROWS), "2 dimensions, got a string"),
    "list of text": (lambda: functional.fid([["a"]], ROWS), "predictions must hold real"),
    "complex": (lambda: functional.fid(ROWS + 1j, ROWS), "predictions must hold real numbers, got complex128"),
    "None": (lambda: functional.fid(None, ROWS), "predictions must hold real numbers, got object"),
    "one embedding": (lambda: functional.fid(ROWS[:1], ROWS), "predictions must hold at least 2"),
    "widths": (lambda: functional.fid(ROWS, ROWS[:, :3]), "4 dimensions and references 3"),
    "counts": (lambda: functional.mm_dist(ROWS, ROWS[:3]), r"\(40, 4\) and motion_embeddings \(3, 4\)"),
    "widths of pairs": (lambda: functional.r_precision(ROWS, ROWS[:, :3]), "must be one pair"),
    "widths of matrix": (lambda: functional.distance_matrix(ROWS, ROWS[:, :3]), "4 dimensions and columns 3"),
    "pool": (lambda: functional.r_precision(ROWS, ROWS, pool_size=64), "40 pairs do not fill one pool of 64"),
    "no pool": (lambda: functional.r_precision(ROWS, ROWS, pool_size=0), "pool_size must be an integer >= 1, got 0"),
    "k beyond pool": (lambda: functional.r_precision(ROWS, ROWS, top_k=5, pool_size=4), "top_k must be <= 4"),
    "half a k": (lambda: functional.r_precision(ROWS, ROWS, top_k=1.5), "top_k must be an integer >= 1, got 1.5"),
    "seed": (lambda: functional.r_precision(ROWS, ROWS, shuffle=True, seed=-1), "seed must be None or an integer"),
    "pairs": (lambda: functional.diversity(ROWS, times=40), "must be below the number of embeddings, got 40 for 40"),
    "no pairs": (lambda: functional.diversity(ROWS, times=0), "times must be an integer >= 1, got 0"),
    "samples": (lambda: functional.multimodality(np.zeros((2, 10, 4))), "for 10 "),
    "no samples": (lambda: functional.multimodality(ROWS), "must have 3 dimensions"),
    "no clip": (lambda: functional.foot_skating([]), "list of clips, got 1 dimensions"),
    "no clips": (lambda: functional.foot_skating(np.zeros((0, 5, 22, 3))), "at least one clip"),
    "features": (lambda: functional.foot_skating(np.zeros((5, 263))), "got 2 dimensions"),
    "at least 2 frames, got 1": (lambda: functional.foot_skating(CLIP[:1]), "at least 2 frames, got 1"),
    "two coordinates": (lambda: functional.foot_skating(CLIP[:, :, :2]), r"\(frames, joints, 3\)"),
    "21 joints": (lambda: functional.foot_skating(CLIP[:, 1:]), "has 21 joints instead of 22"),
    "unknown foot": (lambda: functional.foot_skating(CLIP, feet=[22]), r"got \[22\]"),
    "NaN joint": (lambda: functional.foot_skating([CLIP, CLIP + np.nan]), r"joints\[1\] must be finite"),
    "fps": (lambda: functional.foot_skating(CLIP, fps=0), "fps must be > 0, got 0"),
    "one string": (
        lambda: functional.captioning("a man", [["a"]]),
        "predictions must be a list of strings",
    ),
    "strings as references": (
        lambda: functional.captioning(["a"], ["a man"]),
        r"references\[0\] must be a list of",
    ),
    "references as string": (lambda: functional.captioning(["a"], "a man"), "references: got str"),
    "no captions": (lambda: functional.captioning([], []), "predictions must not be empty"),
    "no references": (lambda: functional.captioning(["a"], [[]]), r"references\[0\] must not be empty"),
    "empty reference": (
        lambda: functional.captioning(["a"], [["b", " "]]),
        r"references\[0\]\[1\] is an empty caption",
    ),
    "numbers": (lambda: functional.captioning([1], [["a"]]), r"predictions\[0\] must be a string, got 1"),
    "bytes": (lambda: functional.captioning(["a"], [[b"a"]]), r"references\[0\]\[0\] must be a string, got b'a'"),
    "caption counts": (lambda: functional.captioning(["a"], [["a"], ["b"]]), "1 predictions and 2 lists"),
    "rule": (lambda: functional.captioning(["a"], [["a"]], reference_rule="best"), "reference_rule must be"),
    "empties": (lambda: functional.captioning(["a"], [["a"]], empty_predictions="no"), "empty_predictions must be"),
    "protocol": (lambda: functional.captioning(["a"], [["a"]], "meteor"), "protocol must be one of unimo, coco, tm2t"),
    "coco sentences": (
        lambda: functional.captioning(["a"], [["a"]], "coco", sentences=True),
        "sentences has no effect",
    ),
    "coco tokens": (lambda: functional.captioning(["a"], [["a"]], "coco", [[["a/DET"]]]), "reference_tokens has no"),
    "token counts": (
        lambda: functional.captioning(["a"], [["a", "b"]], "tm2t", [[["a/DET"]]], spacy_model=Pipeline()),
        "one list of word/POS tokens for each reference",
    ),
    "no repeats": (lambda: functional.mean_ci95([]), "values must not be empty"),
    "interval": (lambda: functional.mean_ci95([1.0, 2.0], "normal"), "interval must be one of student, published"),
    "NaN repeat": (lambda: functional.mean_ci95([1.0, float("nan")]), "values must be finite"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_unfit_input_is_refused(case):
    call, message = UNFIT[case]
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_tensors_of_any_type_with_gradients(dtype):
    rows = torch.tensor(RNG.integers(-4, 5, (20, 3)), dtype=dtype, requires_grad=True)
    expected = functional.mm_dist(rows.detach().double().numpy(), np.zeros((20, 3)))
    assert functional.mm_dist(rows, torch.zeros(20, 3)) == expected
    assert functional.mm_dist(list(rows), np.zeros((20, 3), dtype=int)) == expected
