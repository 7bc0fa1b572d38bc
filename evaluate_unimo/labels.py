"""What metrics and tasks are called wherever they are shown: results, reports, studies and model cards."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """How a metric is shown.

    Attributes:
        name: in full, as on model cards.
        better: +1 if higher is better, -1 if lower is, 0 if neither.
        decimals: digits after the point; of a percentage for shares.
        share: a value from 0 to 1 that is shown as a percentage.
        short: name in tables with little room; by default the full one.
    """

    name: str
    better: int = 0
    decimals: int = 3
    share: bool = False
    short: str = ""

    @property
    def column(self) -> str:
        """The name for a table."""
        return self.short or self.name


@dataclass(frozen=True)
class Task:
    """How a task of an evaluation is shown.

    Attributes:
        kind: task type of the Hub's `model-index`.
        name: in full.
        split: of the dataset it is scored on.
        short: what it is called beside the others.
    """

    kind: str
    name: str
    split: str
    short: str


METRICS = {
    "r_precision_top1": Metric("R-Precision top-1", +1, short="R@1"),
    "r_precision_top2": Metric("R-Precision top-2", +1, short="R@2"),
    "r_precision_top3": Metric("R-Precision top-3", +1, short="R@3"),
    "consistency": Metric("Instruction accuracy", +1, 1, share=True),
    "consistency_decided": Metric("of it: claims decided", 0, 1, share=True),
    "consistency_unread": Metric("of it: sentences unread", 0, 1, share=True),
    "consistency_claims": Metric("of it: number of claims", 0, 0),
    "admissible": Metric("Does what the caption admits", +1, 1, share=True),
    "admissible_other": Metric("of it: what another caption admits", 0, 1, share=True),
    "fid": Metric("FID", -1),
    "mm_dist": Metric("MM-Dist", -1),
    "diversity": Metric("Diversity"),
    "multimodality": Metric("MultiModality"),
    "bleu1": Metric("BLEU@1", +1),
    "bleu4": Metric("BLEU@4", +1),
    "rouge_l": Metric("ROUGE-L", +1),
    "cider": Metric("CIDEr", +1),
    "bertscore_f1": Metric("BERTScore F1", +1),
    "valid": Metric("Valid answers", +1, 1, share=True, short="Valid under the grammar"),
    "valid_free": Metric("Valid answers without grammar", +1, 1, share=True, short="Valid sampled free"),
    "mpjpe_mm": Metric("Joint error (MPJPE), mm", -1, 1),
    "root_drift_m": Metric("Root drift at the end, m", -1),
    "codes_used": Metric("Codes used", +1, 1, share=True),
    "perplexity": Metric("Perplexity of the codes", +1, 0),
    "n": Metric("N", 0, 0),
    "pool_size": Metric("Pool size, where smaller", 0, 0),
    "diversity_times": Metric("Diversity pairs, where fewer", 0, 0),
}
TASKS = {
    "t2m": Task("text-to-motion", "Text to motion", "test", "test split"),
    "t2m_hard": Task("text-to-motion", "Text to motion, hard split", "test_hard", "hard split"),
    "t2m_attributes": Task(
        "text-to-motion", "Text to motion, pools that differ in one attribute", "test_attributes", "attribute pools"
    ),
    "t2m_vague": Task("text-to-motion", "Text to motion, captions that tell goals", "test_vague", "vague captions"),
    "m2t": Task("motion-to-text", "Motion to text", "test", "motion to text"),
}
MODELS = {"real": "real motion", "sft": "after SFT", "grpo": "after GRPO"}
HELD_OUT = "held-out judge"
_ANSWERED = re.compile(r"(?P<model>.+?)(_best_of_(?P<candidates>\d+)|(?P<plain>_without_thought))")


def model_name(name: str) -> str:
    """What a model is called in a table, and how it answers where that is not as usual.

    >>> model_name("grpo"), model_name("grpo_best_of_8"), model_name("sft_without_thought"), model_name("mine")
    ('after GRPO', 'after GRPO, best of 8', 'after SFT, without thought', 'mine')

    Args:
        name: Name of the model in `metrics.json`.

    Returns:
        The label.
    """
    found = _ANSWERED.fullmatch(name)
    if found is None:
        return MODELS.get(name, name)
    how = "without thought" if found["plain"] else f"best of {found['candidates']}"
    return f"{model_name(found['model'])}, {how}"


def variant(name: str) -> str:
    """Describe what scores nested under a name are by: the held-out judge, or another captioning protocol.

    Args:
        name: The key.

    Returns:
        The description.
    """
    return HELD_OUT if name == "held_out" else f"{name} protocol"


def metric(name: str) -> Metric:
    """Label of a metric.

    Args:
        name: Key of the metric.

    Returns:
        Its label; a metric without one is shown by its key.
    """
    return METRICS.get(name) or Metric(name.replace("_", " "))
