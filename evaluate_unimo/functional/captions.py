"""Captions of motion against reference captions: BLEU, ROUGE-L, CIDEr and BERTScore."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evaluate_unimo.functional.inputs import check_strings


def three_references(captions: Sequence[str]) -> list[str]:
    """The published reference rule: the first three captions of a motion; two become [a, b, a], one is repeated.

    Raises:
        ValueError: no caption, or something else than a list of strings.

    >>> three_references(["a man walks.", "someone walks."])
    ['a man walks.', 'someone walks.', 'a man walks.']
    """
    captions = check_strings(captions, "captions")
    return [captions[i % min(len(captions), 3)] for i in range(3)]


def check_captions(predictions: Any, references: Any) -> tuple[list[str], list[list[str]]]:
    """N predicted captions and, for each, a list of at least one reference.

    A prediction may be empty; an empty reference is a fault in the data.

    Raises:
        ValueError: strings where lists are needed, other things than strings, no pair at all, different counts, or a
            prediction without references.
    """
    predictions = check_strings(predictions, "predictions", allow_blank=True)
    if isinstance(references, str | bytes) or not isinstance(references, Iterable):
        raise ValueError(
            f"references: got {type(references).__name__}; a list of reference captions for each prediction"
        )
    references = [check_strings(r, f"references[{i}]") for i, r in enumerate(references)]
    if len(predictions) != len(references):
        raise ValueError(f"got {len(predictions)} predictions and {len(references)} lists of references; one each")
    return predictions, references


def bleu(predictions: Sequence[str], references: Sequence[Sequence[str]], sentences: bool = False) -> dict[str, float]:
    """Corpus BLEU@1 and BLEU@4 by `nltk.translate.bleu_score.corpus_bleu` with its smoothing method 4.

    Captions are put in lower case and split by `nltk.word_tokenize`. That function first splits a text into sentences
    where `sentences` is true, for which nltk's "punkt_tab" data must be installed; without, only the last full stop
    of a caption becomes a token of its own.

    Returns:
        {"bleu1": ..., "bleu4": ...}, each in 0..1.
    """
    from nltk.tokenize import word_tokenize
    from nltk.translate.bleu_score import SmoothingFunction, corpus_bleu

    predictions, references = check_captions(predictions, references)

    def split(text: str) -> list[str]:
        return word_tokenize(text.lower(), preserve_line=not sentences)

    hypotheses = [split(text) for text in predictions]
    truths = [[split(text) for text in texts] for texts in references]
    smoothing = SmoothingFunction().method4
    weights = {"bleu1": (1.0, 0.0, 0.0, 0.0), "bleu4": (0.25, 0.25, 0.25, 0.25)}
    return {k: float(corpus_bleu(truths, hypotheses, w, smoothing_function=smoothing)) for k, w in weights.items()}


def rouge_l(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Mean over captions of the best ROUGE-L F over their references, by `rouge_score` with its stemmer; in 0..1."""
    from rouge_score.rouge_scorer import RougeScorer

    predictions, references = check_captions(predictions, references)
    scorer = RougeScorer(["rougeL"], use_stemmer=True)
    best = [
        max(scorer.score(reference, prediction)["rougeL"].fmeasure for reference in texts)
        for prediction, texts in zip(predictions, references, strict=True)
    ]
    return float(np.mean(best))


def cider(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """CIDEr by `pycocoevalcap` on the captions as they are: words between spaces, case and punctuation count.

    Words are weighted by how rare they are in these references, so that a figure holds for its set of captions only
    (and is 0 for a single one); 0..10.
    """
    from pycocoevalcap.cider.cider import Cider

    predictions, references = check_captions(predictions, references)
    truths = dict(enumerate(references))
    score, _ = Cider().compute_score(truths, {i: [text] for i, text in enumerate(predictions)})
    return float(score)


def bertscore_f1(
    predictions: Sequence[str],
    references: Sequence[Sequence[str]],
    encoder: str | Path,
    layers: int = 17,
    baseline: str | Path | None = "roberta-large",
) -> float:
    """Mean BERTScore F1 (best reference each) by `bert_score`, with an encoder from a local folder and no idf.

    The defaults are the published ones for English: layer 17 of roberta-large, rescaled by the library's baseline.

    Args:
        encoder: folder of a transformers encoder with its tokenizer.
        layers: the layer whose states are compared.
        baseline: "roberta-large" for the library's own file, the path of another such file, or None for raw scores.

    Raises:
        ImportError: `bert_score` is not installed.
        FileNotFoundError: no encoder at that folder, or no such baseline.
        ValueError: an empty prediction, fewer layers than asked for, a tokeniser without `model_max_length`, or
            roberta-large's baseline for another encoder.
    """
    try:
        import bert_score
    except ImportError as error:
        raise ImportError("BERTScore needs the bert-score package: pip install 'unimo[bertscore]'") from error

    from transformers import AutoTokenizer

    predictions, references = check_captions(predictions, references)
    if not all(text.strip() for text in predictions):
        raise ValueError("predictions: bert_score cannot read empty captions; use empty_predictions='leave_out'")
    folder = Path(encoder)
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"{folder}: no config.json; the folder of a saved transformers encoder is needed")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    depth = config.get("num_hidden_layers", config.get("n_layers"))
    if depth is not None and not 0 < layers <= depth:
        raise ValueError(f"layers: {layers} asked for, but {folder} has {depth}")
    if baseline == "roberta-large":
        if config.get("model_type") != "roberta" or depth != 24:
            raise ValueError(
                f"{folder} is not roberta-large, so that library baseline does not fit it; "
                "give a baseline file of its own or baseline=None for raw scores"
            )
        baseline = Path(bert_score.__file__).parent / "rescale_baseline" / "en" / "roberta-large.tsv"
    if baseline is not None and not Path(baseline).is_file():
        raise FileNotFoundError(f"{baseline}: no such baseline file")
    # The library hands this number to the tokeniser as it is, and the default for "unknown" overflows there.
    if AutoTokenizer.from_pretrained(folder).model_max_length > 2**31:
        raise ValueError(f"{folder}: its tokeniser has no model_max_length; set it in tokenizer_config.json")
    _, _, scores = bert_score.score(
        predictions,
        references,
        model_type=str(folder),
        num_layers=layers,
        lang="en",
        rescale_with_baseline=baseline is not None,
        baseline_path=None if baseline is None else str(baseline),
    )
    return float(scores.mean())


def captioning(
    predictions: Sequence[str],
    references: Sequence[Sequence[str]],
    reference_rule: str = "published",
    empty_predictions: str = "leave_out",
    sentences: bool = False,
    bertscore_encoder: str | Path | None = None,
    bertscore_layers: int = 17,
    bertscore_baseline: str | Path | None = "roberta-large",
) -> dict[str, float]:
    """Captions against references by the published libraries, tokenisation and reference rule.

    Args:
        predictions: N captions.
        references: for each prediction a list of captions.
        reference_rule: "published" compares with `three_references` of each list, "all" with all that are given.
        empty_predictions: an empty caption is no answer. "leave_out" counts it and scores the others, as the protocol
            does with every invalid answer; "score" keeps it, which the published scripts do.
        sentences: see `bleu`.
        bertscore_encoder, bertscore_layers, bertscore_baseline: see `bertscore_f1`; without an encoder it is left out.

    Returns:
        bleu1, bleu4, rouge_l (0..1), cider (0..10), with an encoder bertscore_f1, and `empty`: how many predictions
        are empty. Where any was left out, state it beside the scores.

    Raises:
        ValueError: see `check_captions`; an unknown rule; or no prediction but empty ones.

    >>> scores = captioning(["a man walks forward."], [["a man walks forward.", "someone walks."]])
    >>> scores["bleu1"], scores["bleu4"], scores["rouge_l"]
    (1.0, 1.0, 1.0)
    """
    predictions, references = check_captions(predictions, references)
    if reference_rule not in ("published", "all"):
        raise ValueError(f"reference_rule: got {reference_rule!r}; 'published' or 'all' is needed")
    if reference_rule == "published":
        references = [three_references(texts) for texts in references]
    if empty_predictions not in ("leave_out", "score"):
        raise ValueError(f"empty_predictions: got {empty_predictions!r}; 'leave_out' or 'score' is needed")
    given = len(predictions)
    answered = [i for i, text in enumerate(predictions) if text.strip()]
    if empty_predictions == "leave_out":
        if not answered:
            raise ValueError(f"predictions: all {given} are empty, so that nothing is left to score")
        predictions, references = [predictions[i] for i in answered], [references[i] for i in answered]
    scores: dict[str, float] = bleu(predictions, references, sentences)
    scores["rouge_l"] = rouge_l(predictions, references)
    scores["cider"] = cider(predictions, references)
    if bertscore_encoder is not None:
        scores["bertscore_f1"] = bertscore_f1(
            predictions, references, bertscore_encoder, bertscore_layers, bertscore_baseline
        )
    scores["empty"] = given - len(answered)
    return scores
