"""Train the text-motion evaluator, and a second one as held-out judge that no reward ever sees.

`accelerate launch train/evaluator.py --config train/configs/quickstart/evaluator.yaml`
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from modeling_unimo.command_line import command
from train.engine.arguments import answer_help, parse_arguments, require_range


@dataclass
class EvaluatorArguments:
    """What to train on, the two networks and where they go."""

    dataset: str = field(metadata={"help": "Dataset folder made by `python -m datasets_scripts.build`."})
    model: dict[str, Any] = field(default_factory=dict, metadata={"help": "TextMotionEvaluatorConfig settings."})
    held_out_model: dict[str, Any] = field(
        default_factory=dict,
        metadata={"help": "TextMotionEvaluatorConfig settings of the held-out judge that differ from `model`."},
    )
    held_out_output_dir: str = field(
        default="", metadata={"help": "Folder of the held-out judge (default: output_dir + '_held_out')."}
    )
    judges: Literal["both", "main", "held_out"] = field(default="both", metadata={"help": "Which to train."})
    held_out_fraction: float = field(
        default=0.5, metadata={"help": "Share of the clips that the held-out judge is trained on."}
    )
    feat_bias: float = field(default=5.0, metadata={"help": "Divide the std of root and contact features by this."})
    min_word_count: int = field(default=2, metadata={"help": "Rarer words become the unknown word."})

    def __post_init__(self) -> None:
        require_range(self, "held_out_fraction", above=0, most=1)
        require_range(self, "feat_bias", above=0)
        require_range(self, "min_word_count", least=0)


@command
def main(argv: list[str] | None = None) -> None:
    """Run the script: the judge, the held-out judge, or both.

    Args:
        argv: Arguments; None takes those of the process.
    """
    description = "Train the text-motion evaluator and the held-out judge."
    answer_help((EvaluatorArguments,), "transformers.TrainingArguments", description, argv)
    from transformers import TrainingArguments

    from train.representation.evaluator_training import train_judges

    train_judges(*parse_arguments((EvaluatorArguments, TrainingArguments), argv))


if __name__ == "__main__":
    main()
