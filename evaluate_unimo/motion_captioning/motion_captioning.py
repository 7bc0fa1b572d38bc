"""Captions of motion against reference captions as an `evaluate` module."""

from typing import Any

import datasets
import evaluate

from evaluate_unimo import functional, streaming_metric

_DESCRIPTION = """\
BLEU@1, BLEU@4, ROUGE-L, CIDEr and, with a local encoder, BERTScore of captions of motion, by one of three published
protocols. The choice moves a figure by several points: name it beside every score.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions: N captions.
    references: for each prediction a list of at least one reference caption.
    reference_tokens: word/POS tokens of each reference, as HumanML3D's text files hold them; only for "tm2t", which
        otherwise reads the references with spaCy.
    protocol: "unimo" (default) as UniMo's scripts: nltk BLEU in lower case, rouge_score, CIDEr of pycocoevalcap, empty
        predictions counted and left out. "coco" as most tables: the scorers of pycocoevalcap on the strings as they
        are, empty predictions kept. "tm2t" as "coco" after TM2T's normalisation of both sides (spaCy lemmas of nouns
        and verbs, alphabetic words, lower case); needs `pip install "unimo[spacy]"` and its English model.
    reference_rule: "published" (default) compares with three references: the first three, two as [a, b, a], one
        repeated. "all" compares with all that are given.
    empty_predictions: "leave_out" counts empty captions and scores the others, "score" keeps them; default None takes
        the protocol's rule.
    sentences: for "unimo": split captions into sentences before BLEU, default False; needs nltk's "punkt_tab" data.
    spacy_model: for "tm2t": name or folder of a spaCy pipeline, default "en_core_web_sm".
    bertscore_encoder: folder of a transformers encoder; needs the bert-score package. Without it no BERTScore.
    bertscore_layers: layer whose states are compared, default 17 (published, for roberta-large).
    bertscore_baseline: "roberta-large" (default, published), the path of a baseline file, or None for raw scores.

Returns:
    bleu1, bleu4, rouge_l: in 0..1. cider: in 0..10. bertscore_f1: with an encoder. empty: number of empty predictions.

Examples:
    >>> import evaluate_unimo
    >>> captioning = evaluate_unimo.load("motion_captioning")
    >>> predictions = ["a man walks forward.", "a person jumps"]
    >>> references = [["a man walks forward.", "someone walks."], ["a person hops up and down.", "someone jumps"]]
    >>> scores = captioning.compute(predictions=predictions, references=references)
    >>> {name: round(score, 3) for name, score in scores.items()}
    {'bleu1': 1.0, 'bleu4': 0.803, 'rouge_l': 0.722, 'cider': 4.089, 'empty': 0}
    >>> scores = captioning.compute(predictions=predictions, references=references, protocol="coco")
    >>> {name: round(score, 3) for name, score in scores.items()}
    {'bleu1': 1.0, 'bleu4': 0.855, 'rouge_l': 0.779, 'cider': 4.089, 'empty': 0}
"""

_CITATION = """\
@inproceedings{papineni2002bleu,
  title = {BLEU: a Method for Automatic Evaluation of Machine Translation},
  author = {Papineni, Kishore and Roukos, Salim and Ward, Todd and Zhu, Wei-Jing},
  booktitle = {Annual Meeting of the Association for Computational Linguistics},
  year = {2002}
}
@inproceedings{lin2004rouge,
  title = {ROUGE: A Package for Automatic Evaluation of Summaries},
  author = {Lin, Chin-Yew},
  booktitle = {Text Summarization Branches Out},
  year = {2004}
}
@inproceedings{vedantam2015cider,
  title = {CIDEr: Consensus-based Image Description Evaluation},
  author = {Vedantam, Ramakrishna and Zitnick, C. Lawrence and Parikh, Devi},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition},
  year = {2015}
}
"""


class MotionCaptioning(streaming_metric.StreamingMetric):
    """Keeps the captions: CIDEr weighs words by their rarity in all references."""

    def _info(self) -> evaluate.MetricInfo:
        caption = datasets.Value("string")
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features(
                {
                    "predictions": caption,
                    "references": datasets.Sequence(caption),
                    "reference_tokens": datasets.Sequence(datasets.Sequence(caption)),
                }
            ),
            reference_urls=[
                "https://www.nltk.org/api/nltk.translate.bleu_score.html",
                "https://github.com/google-research/google-research/tree/master/rouge",
                "https://github.com/salaniz/pycocoevalcap",
            ],
        )

    def _start(self) -> None:
        self._predictions: list[str] = []
        self._references: list[list[str]] = []
        self._tokens: list[list[list[str]]] = []

    def _add(self, predictions, references, reference_tokens=None) -> int:
        predictions, references = functional.check_captions(predictions, references)
        tokens = [] if reference_tokens is None else [[list(words) for words in texts] for texts in reference_tokens]
        if self._predictions and bool(tokens) != bool(self._tokens):
            raise ValueError("reference_tokens must come with every batch or with none")
        self._predictions += predictions
        self._references += references
        self._tokens += tokens
        return len(predictions)

    def _state(self) -> dict[str, Any]:
        return {"predictions": self._predictions, "references": self._references, "tokens": self._tokens}

    def _join(self, state) -> None:
        self._predictions += state["predictions"]
        self._references += state["references"]
        self._tokens += state["tokens"]

    def _result(
        self,
        protocol="unimo",
        reference_rule="published",
        empty_predictions=None,
        sentences=False,
        spacy_model="en_core_web_sm",
        bertscore_encoder=None,
        bertscore_layers=17,
        bertscore_baseline="roberta-large",
    ) -> dict[str, float]:
        return functional.captioning(
            self._predictions,
            self._references,
            protocol=protocol,
            reference_tokens=self._tokens or None,
            reference_rule=reference_rule,
            empty_predictions=empty_predictions,
            sentences=sentences,
            spacy_model=spacy_model,
            bertscore_encoder=bertscore_encoder,
            bertscore_layers=bertscore_layers,
            bertscore_baseline=bertscore_baseline,
        )
