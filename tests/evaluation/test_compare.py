"""Comparing evaluations: the paired bootstrap, what is bold, and what is refused."""

import json

import numpy as np
import pytest

from evaluate_unimo import functional
from evaluate_unimo.compare import compare, load, main, markdown, paired_difference, statistics
from evaluate_unimo.embeddings import Embeddings, comparable, paired_spread, path_of
from evaluate_unimo.embeddings import load as load_embeddings
from evaluate_unimo.results import sum_clips

RNG = np.random.default_rng(0)
CLIPS = 200
TAG = {"evaluator": "judge", "caption_protocols": {"unimo": ""}, "model": "a"}


def evaluation(folder, hits, distance, model="a", **tag):
    """Files of an evaluation whose clips have these values of two metrics."""
    clips = {"ids": [str(i) for i in range(len(hits))], "r_precision_top1": list(hits), "mm_dist": list(distance)}
    generated = {"r_precision_top1": {"mean": float(np.mean(hits))}, "mm_dist": {"mean": float(np.mean(distance))}}
    generated |= {"fid": {"mean": 1.0}, "held_out": {"mm_dist": {"mean": 2.0}}}
    results = {"t2m": {"real": {}, "generated": generated}, "protocol": TAG | tag | {"model": model}}
    folder.mkdir(exist_ok=True)
    (folder / "results.json").write_text(json.dumps(results))
    (folder / "clips.json").write_text(json.dumps({"t2m": sum_clips([clips])}))
    return folder


@pytest.fixture
def pair(tmp_path):
    hits, distance = (RNG.random(CLIPS) < 0.5).astype(float), RNG.normal(3, 1, CLIPS)
    first = evaluation(tmp_path / "first", hits, distance)
    return first, evaluation(tmp_path / "second", hits, distance + 0.1 + RNG.normal(0, 0.1, CLIPS), model="b")


def test_a_difference_is_bold_where_its_interval_excludes_zero(pair, tmp_path, capsys):
    main([*map(str, pair), "--output", str(tmp_path / "c.json")])
    text = capsys.readouterr().out
    [line] = [line for line in text.splitlines() if line.startswith("| mm_dist")]
    assert "**+0." in line  # ten times smaller than the spread over clips, and seen for being paired
    [line] = [line for line in text.splitlines() if line.startswith("| r_precision_top1")]
    assert "+0 [+0, +0]" in line and "**" not in line
    [line] = [line for line in text.splitlines() if line.startswith("| fid")]
    assert line.endswith("|  |")  # no embeddings were kept
    rows = {row["metric"]: row for row in json.loads((tmp_path / "c.json").read_text())["rows"]}
    assert rows["mm_dist"]["differences"][0]["clips"] == CLIPS and rows["held_out/mm_dist"]["differences"] == [None]


def test_the_interval_is_that_of_a_paired_mean():
    first, change = RNG.normal(0, 5, 1000), RNG.normal(0.05, 0.3, 1000)
    sides = [np.stack([values, np.ones(1000)], axis=1) for values in (first, first + change)]
    whole, low, high = paired_difference("mm_dist", *sides)
    assert whole == pytest.approx(change.mean())
    half_width = 1.96 * change.std() / np.sqrt(1000)
    assert [low, high] == pytest.approx([whole - half_width, whole + half_width], abs=0.1 * half_width)
    # Weights are shared, not drawn per side: clips in another order are other pairs.
    _, low, high = paired_difference("mm_dist", sides[0], sides[1][::-1])
    assert high - low > 10 * half_width


def test_statistics_add_up_to_the_figures():
    predictions = ["a man walks", "a man runs fast", "he sits"]
    references = [["a man walks on"], ["a man runs"], ["he stands"]]
    counts = functional.bleu_counts(predictions, references).tolist()
    clips = {"ids": ["a", "b", "c"], "bleu": counts, "coco/bleu": counts, "mm_dist": [1.0, None, 3.0]}
    clips |= {"claims_held": [1, 2, None], "claims_decided": [2, 2, None]}
    found = statistics(sum_clips([clips, clips]), ["a", "b", "c"])
    assert set(found) == {"bleu1", "bleu4", "coco/bleu1", "coco/bleu4", "mm_dist", "consistency"}
    assert found["mm_dist"].sum(0).tolist() == [8, 4] and found["consistency"].sum(0).tolist() == [6, 8]
    bleu1 = functional.captioning(predictions, references, "coco")["bleu1"]
    assert functional.bleu_from_counts(found["bleu1"].sum(0), 1) == pytest.approx(bleu1, rel=1e-6)


REAL = RNG.normal(size=(CLIPS, 6))


def embeddings(made, valid=None, compared=None):
    """Embeddings of one repeat that asked for every clip; FID compares with the same clips."""
    ids = np.array([f"clip-{i}" for i in range(CLIPS)])
    valid = np.ones(CLIPS, bool) if valid is None else valid
    compared = ids if compared is None else compared
    return Embeddings(ids, valid, compared, {"main": made[valid]}, {"main": REAL})


def fid_of(one):
    return functional.fid(one.generated["main"], one.real["main"])


def test_fid_has_an_interval_where_embeddings_were_kept(pair):
    near, far = REAL + RNG.normal(0, 0.1, REAL.shape), REAL * 1.6 + 0.4
    shown = []
    for second in (far, near + RNG.normal(0, 0.001, REAL.shape)):
        for folder, made in zip(pair, (near, second), strict=True):
            embeddings(made).save(folder, "t2m")
            results = json.loads((folder / "results.json").read_text())
            results["t2m"]["generated"] |= {"fid": {"mean": fid_of(embeddings(made))}, "diversity": 2.0}
            (folder / "results.json").write_text(json.dumps(results))
        rows = {row["metric"]: row for row in compare(["a", "b"], [load(folder) for folder in pair])}
        [fid], [diversity] = (rows[name]["differences"] for name in ("fid", "diversity"))
        assert fid["low"] < fid["difference"] < fid["high"] and fid["clips"] == CLIPS
        assert fid["difference"] == rows["fid"]["values"][1]["mean"] - rows["fid"]["values"][0]["mean"]
        assert diversity["low"] <= 0 <= diversity["high"]
        shown.append(fid["low"] > 0 or fid["high"] < 0)
    assert shown == [True, False]


def test_the_spread_is_that_of_new_samples():
    """The interval of the bootstrap is about as wide as the differences of samples drawn anew."""

    def sample(seed):
        random = np.random.default_rng(seed)
        real = random.normal(size=(CLIPS, 4))
        return [Embeddings(np.arange(CLIPS).astype(str), np.ones(CLIPS, bool), np.arange(CLIPS).astype(str),
                           {"main": real * scale + random.normal(0, 0.2, real.shape)}, {"main": real})
                for scale in (1.1, 1.4)]  # fmt: skip

    anew = [fid_of(second) - fid_of(first) for first, second in map(sample, range(200))]
    half_width = paired_spread(*sample(1000), "main")["fid"]
    assert half_width == pytest.approx(1.96 * np.std(anew), rel=0.35)


def test_embeddings_of_other_clips_are_not_compared(pair, tmp_path):
    whole = embeddings(REAL)
    some = np.arange(CLIPS) % 3 > 0
    invalid = embeddings(REAL, valid=some)
    assert comparable(whole, invalid) and set(paired_spread(whole, invalid, "main", 20)) == {"fid", "diversity"}
    assert not comparable(whole, None) and not comparable(whole, embeddings(REAL, compared=whole.ids[::2]))
    none = embeddings(REAL, valid=np.arange(CLIPS) < 1)
    assert paired_spread(whole, none, "main", 20) == {}
    invalid.save(tmp_path, "t2m_hard")
    read = load_embeddings(tmp_path, "t2m_hard")
    assert read.ids.tolist() == invalid.ids.tolist() and read.valid.tolist() == some.tolist()
    np.testing.assert_allclose(read.generated["main"], REAL[some], rtol=1e-6)
    path_of(tmp_path, "t2m_hard").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"embeddings_t2m_hard.npz: cannot be read .* evaluate again"):
        load_embeddings(tmp_path, "t2m_hard")


def test_multimodality_is_compared_by_caption(pair):
    evaluations = [load(folder) for folder in pair]
    for k, one in enumerate(evaluations):
        one["t2m"]["generated"]["multimodality"] = {"mean": 2.0 + k}
        clips = {"ids": ["1", "2", "3"], "multimodality": [1.0 + k, None, 3.0 + k]}
        one["clips"]["t2m_multimodality"] = sum_clips([clips])
    [row] = [row for row in compare(["a", "b"], evaluations) if row["metric"] == "multimodality"]
    [difference] = row["differences"]
    assert [difference[name] for name in ("difference", "low", "high")] == pytest.approx([1.0] * 3)
    assert difference["clips"] == 3


def test_other_protocols_are_refused_with_what_differs(pair, tmp_path, capsys):
    other = evaluation(tmp_path / "other", np.ones(3), np.ones(3), evaluator="another", pool_size=8)
    with pytest.raises(SystemExit) as raised:
        main([str(pair[0]), str(pair[1]), str(other)])
    message = str(raised.value)
    assert "first and other differ" in message and "evaluator: 'judge' and 'another'" in message
    assert "pool_size: None and 8" in message and "model" not in message


def test_other_input_is_refused(pair, tmp_path):
    with pytest.raises(ValueError, match="two evaluations or more are needed, got 1"):
        compare(["a"], [load(pair[0])])
    with pytest.raises(FileNotFoundError, match="no such file; run and score with --output write it"):
        load(tmp_path)
    only_m2t = load(pair[0]) | {"t2m": None}
    del only_m2t["t2m"]
    with pytest.raises(ValueError, match="no task in common"):
        compare(["a", "b"], [load(pair[0]), only_m2t])


def test_what_accuracy_rests_on_stands_beside_it(pair):
    evaluations = [load(folder) for folder in pair]
    for one in evaluations:
        one["t2m"]["generated"] |= {"consistency": {"mean": 0.75}, "consistency_claims": 40}
        one["t2m"]["generated"] |= {"consistency_decided": {"mean": 0.5}, "consistency_unread": {"mean": 0.25}}
    text = markdown(["a", "b"], compare(["a", "b"], evaluations))
    assert text.count("0.75 (50% of 40 claims decided, 25% of sentences unread)") == 2
    assert "consistency_claims" not in text
