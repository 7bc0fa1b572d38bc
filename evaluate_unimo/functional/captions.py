"""Captions of motion against reference captions, by three published protocols.

`PROTOCOLS` says what each does. The choice moves a figure by several points (docs/captioning-protocols.md), so name it
beside every score.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from datasets_scripts.captions import SPACY_MODEL, spacy_tokens
from evaluate_unimo.functional.inputs import check_strings

PROTOCOLS = {
    "unimo": "UniMo's scripts: BLEU nltk word_tokenize in lower case, ROUGE-L rouge_score stemmed, CIDEr "
    "pycocoevalcap on words between spaces; empty predictions counted and left out",
    "coco": "most tables: BLEU, ROUGE-L and CIDEr pycocoevalcap on words between spaces, the strings as they are; "
    "empty predictions kept",
    "tm2t": "as coco, after TM2T's normalisation of both sides: spaCy lemmas of nouns and verbs, alphabetic words, "
    "lower case; references from the dataset's own tokens where given",
}


@dataclass(frozen=True)
class CaptionScores:
    """Scores of a set of captions.

    Attributes:
        corpus: {"bleu1", "bleu4", "rouge_l", "cider"} of the whole set, with `empty` and, where asked for,
            `bertscore_f1`.
        per_caption: Of each scored caption "rouge_l", "cider" and, where asked for, "bertscore_f1" (NaN for an empty
            one), (N,), and "bleu", (N, 10): the counts that `bleu_from_counts` makes corpus BLEU of.
        rows: Index of each scored caption among the given predictions.
    """

    corpus: dict[str, float]
    per_caption: dict[str, np.ndarray]
    rows: list[int]


def three_references(captions: Sequence[str]) -> list[str]:
    """The published reference rule: the first three captions of a motion; two become [a, b, a], one is repeated.

    >>> three_references(["a man walks.", "someone walks."])
    ['a man walks.', 'someone walks.', 'a man walks.']

    Args:
        captions: At least one caption.

    Returns:
        Three captions.

    Raises:
        ValueError: No caption, or not a list of strings.
    """
    captions = check_strings(captions, "captions")
    return [captions[i % min(len(captions), 3)] for i in range(3)]


def check_captions(predictions: Any, references: Any) -> tuple[list[str], list[list[str]]]:
    """Check predictions and references. A prediction may be empty; an empty reference is an error in the data.

    Args:
        predictions: N captions.
        references: For each prediction, a list of at least one caption.

    Returns:
        Both, as lists.

    Raises:
        ValueError: Strings instead of lists, elements that are not strings, no pair, different counts, or a prediction
            without references.
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


def _word_tokenize(text: str, sentences: bool) -> list[str]:
    from nltk.tokenize import word_tokenize

    return word_tokenize(text.lower(), preserve_line=not sentences)


def bleu(predictions: Sequence[str], references: Sequence[Sequence[str]], sentences: bool = False) -> dict[str, float]:
    """Corpus BLEU@1 and BLEU@4 by `nltk.translate.bleu_score.corpus_bleu` with its smoothing method 4.

    Captions are put in lower case and split by `nltk.word_tokenize`. That function first splits a text into sentences
    where `sentences` is true, for which nltk's "punkt_tab" data must be installed; without, only the last full stop
    of a caption becomes a token of its own.

    Args:
        predictions: N captions.
        references: Captions of each prediction.
        sentences: Split into sentences first.

    Returns:
        {"bleu1": ..., "bleu4": ...}, each in 0..1.
    """
    from nltk.translate.bleu_score import SmoothingFunction, corpus_bleu

    predictions, references = check_captions(predictions, references)
    hypotheses = [_word_tokenize(text, sentences) for text in predictions]
    truths = [[_word_tokenize(text, sentences) for text in texts] for texts in references]
    smoothing = SmoothingFunction().method4
    weights = {"bleu1": (1.0, 0.0, 0.0, 0.0), "bleu4": (0.25, 0.25, 0.25, 0.25)}
    return {k: float(corpus_bleu(truths, hypotheses, w, smoothing_function=smoothing)) for k, w in weights.items()}


def bleu_counts(
    predictions: Sequence[str], references: Sequence[Sequence[str]], split: Callable[[str], list[str]] = str.split
) -> np.ndarray:
    """Counts that corpus BLEU sums over captions.

    Args:
        predictions: N captions.
        references: Captions of each prediction.
        split: Splits a caption into words.

    Returns:
        (N, 10): length of the prediction, length of the closest reference, then for n = 1..4 the matched n-grams and
        for
        n = 1..4 the n-grams of the prediction.
    """
    counts = np.zeros((len(predictions), 10), np.int64)
    for row, (prediction, texts) in enumerate(zip(predictions, references, strict=True)):
        words, truths = split(prediction), [split(text) for text in texts]
        counts[row, 0] = len(words)
        counts[row, 1] = min((len(truth) for truth in truths), key=lambda size: (abs(size - len(words)), size))
        for n in range(1, 5):
            grams, most = _ngrams(words, n), Counter[tuple[str, ...]]()
            for truth in truths:
                most |= _ngrams(truth, n)
            counts[row, 1 + n], counts[row, 5 + n] = (grams & most).total(), grams.total()
    return counts


def _ngrams(words: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def bleu_from_counts(counts: np.ndarray, n: int) -> np.ndarray:
    """Corpus BLEU@n, without smoothing, from sums of counts.

    Args:
        counts: Sums of `bleu_counts`, (..., 10).
        n: 1 to 4.

    Returns:
        (...) in 0..1; 0 where no n-gram matches.
    """
    matched, guessed = counts[..., 2 : 2 + n], counts[..., 6 : 6 + n]
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.exp(np.log(matched / guessed).mean(-1))
        brevity = np.exp(np.minimum(0, 1 - counts[..., 1] / counts[..., 0]))
    return np.nan_to_num(precision * brevity)


def rouge_l(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Mean over captions of the best ROUGE-L F over their references, by `rouge_score` with its stemmer.

    Args:
        predictions: N captions.
        references: Captions of each prediction.

    Returns:
        The score, in 0..1.
    """
    return float(np.mean(_rouge_l(*check_captions(predictions, references))))


def _rouge_l(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"], use_stemmer=True)
    return [
        max(scorer.score(reference, prediction)["rougeL"].fmeasure for reference in texts)
        for prediction, texts in zip(predictions, references, strict=True)
    ]


def cider(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """CIDEr by `pycocoevalcap` on the captions as they are: words between spaces, case and punctuation count.

    Words are weighted by their rarity in these references, so a score is valid for its set of captions only (and is 0
    for a single caption).

    Args:
        predictions: N captions.
        references: Captions of each prediction.

    Returns:
        The score, in 0..10.
    """
    return float(_coco("cider", *check_captions(predictions, references))[0])


def _coco(name: str, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[Any, Any]:
    """A scorer of pycocoevalcap: its score of the corpus (BLEU: of each order), and of each caption."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    given = dict(enumerate(references)), {i: [text] for i, text in enumerate(predictions)}
    if name == "bleu":
        return Bleu(4).compute_score(*given, verbose=0)
    return {"cider": Cider, "rouge_l": Rouge}[name]().compute_score(*given)


def tm2t_normalised(tokens: Iterable[str]) -> str:
    """Normalise a caption as TM2T does.

    >>> tm2t_normalised(["a/DET", "Man/NOUN", "walk/VERB"])
    'a man walk'

    Args:
        tokens: word/POS tokens as in HumanML3D's text files.

    Returns:
        The normalised caption.
    """
    return " ".join(token.rpartition("/")[0] for token in tokens).lower()


def bertscore_f1(
    predictions: Sequence[str],
    references: Sequence[Sequence[str]],
    encoder: str | Path,
    layers: int = 17,
    baseline: str | Path | None = "roberta-large",
) -> float:
    """Mean BERTScore F1.

    Args:
        predictions, references, encoder, layers, baseline: See `bertscores`.

    Returns:
        The mean.

    Raises:
        ImportError, FileNotFoundError, ValueError: See `bertscores`.
    """
    return float(bertscores(predictions, references, encoder, layers, baseline).mean())


def bertscores(
    predictions: Sequence[str],
    references: Sequence[Sequence[str]],
    encoder: str | Path,
    layers: int = 17,
    baseline: str | Path | None = "roberta-large",
) -> np.ndarray:
    """BERTScore F1 of each caption with its best reference, by `bert_score` without idf.

    The defaults are the published ones for English: layer 17 of roberta-large, rescaled by the library's baseline.

    Args:
        predictions: N captions.
        references: for each prediction a list of captions.
        encoder: folder of a transformers encoder with its tokenizer.
        layers: the layer whose states are compared.
        baseline: "roberta-large" for the library's own file, the path of another such file, or None for raw scores.

    Returns:
        (N,) scores.

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
    return np.asarray(scores.tolist())


def captioning(
    predictions: Sequence[str],
    references: Sequence[Sequence[str]],
    protocol: str = "unimo",
    reference_tokens: Sequence[Sequence[Sequence[str]]] | None = None,
    **options: Any,
) -> dict[str, float]:
    """Captions against references by a published protocol: `caption_scores` of the whole set.

    Args:
        predictions: N captions.
        references: For each prediction a list of captions.
        protocol, reference_tokens, options: See `caption_scores`.

    Returns:
        bleu1, bleu4, rouge_l (0..1), cider (0..10), with an encoder bertscore_f1, and `empty`: how many predictions
        are empty. Where any was left out, state it beside the scores.

    Raises:
        ValueError: See `caption_scores`.

    >>> scores = captioning(["a man walks forward."], [["a man walks forward.", "someone walks."]])
    >>> scores["bleu1"], scores["bleu4"], scores["rouge_l"]
    (1.0, 1.0, 1.0)
    """
    return caption_scores(predictions, references, protocol, reference_tokens, **options).corpus


def caption_scores(
    predictions: Sequence[str],
    references: Sequence[Sequence[str]],
    protocol: str = "unimo",
    reference_tokens: Sequence[Sequence[Sequence[str]]] | None = None,
    reference_rule: str = "published",
    empty_predictions: str | None = None,
    sentences: bool = False,
    spacy_model: Any = SPACY_MODEL,
    bertscore_encoder: str | Path | None = None,
    bertscore_layers: int = 17,
    bertscore_baseline: str | Path | None = "roberta-large",
) -> CaptionScores:
    """Captions against references by a published protocol, for the set and for each caption.

    Args:
        predictions: N captions.
        references: For each prediction a list of captions.
        protocol: "unimo", "coco" or "tm2t"; `PROTOCOLS` says what each does.
        reference_tokens: For "tm2t": the word/POS tokens of each reference, which save spaCy from reading it.
        reference_rule: "published" compares with `three_references` of each list, "all" with all that are given.
        empty_predictions: An empty caption is no answer. "leave_out" counts it and scores the others; "score" keeps
            it; None takes the protocol's own rule.
        sentences: For "unimo", see `bleu`.
        spacy_model: For "tm2t": name, folder or loaded pipeline of spaCy.
        bertscore_encoder, bertscore_layers, bertscore_baseline: See `bertscore_f1`; without an encoder it is left out.
            It compares the strings as they are, of captions that are not empty, under every protocol.

    Returns:
        Scores of the set, and values of each caption.

    Raises:
        ImportError: "tm2t" without spaCy or its English model, or BERTScore without `bert_score`.
        ValueError: See `check_captions`; an unknown protocol or rule; an option that the protocol does not use; or no
            prediction but empty ones.
    """
    predictions, references = check_captions(predictions, references)
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol must be one of {', '.join(PROTOCOLS)}, got {protocol!r}")
    if reference_rule not in ("published", "all"):
        raise ValueError(f"reference_rule must be 'published' or 'all', got {reference_rule!r}")
    if empty_predictions not in ("leave_out", "score", None):
        raise ValueError(f"empty_predictions must be 'leave_out' or 'score', got {empty_predictions!r}")
    if sentences and protocol != "unimo":
        raise ValueError(f"sentences has no effect under protocol {protocol!r}; it belongs to 'unimo'")
    if reference_tokens is not None and protocol != "tm2t":
        raise ValueError(f"reference_tokens has no effect under protocol {protocol!r}; it belongs to 'tm2t'")
    rows = [i for i, text in enumerate(predictions) if text.strip()]
    empty = len(predictions) - len(rows)
    if (empty_predictions or ("leave_out" if protocol == "unimo" else "score")) == "score":
        rows = list(range(len(predictions)))
    if not rows:
        raise ValueError(f"predictions: all {empty} are empty, so nothing is left to score")
    by_encoder = np.full(len(predictions), np.nan)
    answered = [i for i, text in enumerate(predictions) if text.strip()]
    if bertscore_encoder is not None and answered:
        # Its encoder has a tokeniser of its own: strings as they are, whatever the protocol does to them.
        given = [three_references(texts) for texts in references] if reference_rule == "published" else references
        pairs = [predictions[i] for i in answered], [given[i] for i in answered]
        by_encoder[answered] = bertscores(*pairs, bertscore_encoder, bertscore_layers, bertscore_baseline)
    if protocol == "tm2t":
        predictions, references = _normalise(predictions, references, reference_tokens, spacy_model)
    if reference_rule == "published":
        references = [three_references(texts) for texts in references]
    predictions, references = [predictions[i] for i in rows], [references[i] for i in rows]

    per_caption: dict[str, Any] = {}
    if protocol == "unimo":
        corpus = bleu(predictions, references, sentences)
        per_caption["bleu"] = bleu_counts(predictions, references, lambda text: _word_tokenize(text, sentences))
        per_caption["rouge_l"] = np.array(_rouge_l(predictions, references))
    else:
        orders = _coco("bleu", predictions, references)[0]
        corpus = {"bleu1": float(orders[0]), "bleu4": float(orders[3])}
        per_caption["bleu"] = bleu_counts(predictions, references)
        per_caption["rouge_l"] = _coco("rouge_l", predictions, references)[1]
    per_caption["cider"] = _coco("cider", predictions, references)[1]
    corpus |= {name: float(np.mean(per_caption[name])) for name in ("rouge_l", "cider")}
    if bertscore_encoder is not None and answered:
        corpus["bertscore_f1"] = float(by_encoder[answered].mean())
        per_caption["bertscore_f1"] = by_encoder[rows]
    corpus["empty"] = empty
    return CaptionScores(corpus, per_caption, rows)


def _normalise(
    predictions: list[str],
    references: list[list[str]],
    reference_tokens: Sequence[Sequence[Sequence[str]]] | None,
    spacy_model: Any,
) -> tuple[list[str], list[list[str]]]:
    """Both sides by `tm2t_normalised`."""
    read = predictions if reference_tokens is not None else [*predictions, *(r for texts in references for r in texts)]
    normalised = dict(zip(read, map(tm2t_normalised, spacy_tokens(read, spacy_model)), strict=True))
    if reference_tokens is None:
        truths = [[normalised[text] for text in texts] for texts in references]
    else:
        if [len(texts) for texts in references] != [len(tokens) for tokens in reference_tokens]:
            raise ValueError("reference_tokens must hold one list of word/POS tokens for each reference")
        truths = [[tm2t_normalised(tokens) for tokens in texts] for texts in reference_tokens]
    for row, texts in enumerate(truths):
        check_strings(texts, f"references[{row}] after normalisation")
    return [normalised[text] for text in predictions], truths
