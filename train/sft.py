"""Supervised fine-tuning on chain-of-thought data: text-to-motion first, then jointly with motion-to-text.

`accelerate launch train/sft.py --config train/configs/quickstart/sft.yaml`
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from modeling_unimo.command_line import command
from train.engine.arguments import answer_help, parse_arguments, require_range
from train.guards.arguments import GuardArguments


@dataclass
class SFTArguments:
    """Data, codec and backbone, and how the two tasks are mixed."""

    dataset: str = field(metadata={"help": "Dataset folder with thoughts: `python -m datasets_scripts.build`."})
    vqvae: str = field(metadata={"help": "Folder of the trained motion VQ-VAE."})
    base_model: str = field(default="", metadata={"help": "Folder or Hub name of a causal LM; empty: a new Qwen2."})
    new_model: dict[str, Any] = field(
        default_factory=dict, metadata={"help": "Qwen2Config settings of the new LM when base_model is empty."}
    )
    new_vocab_size: int = field(default=1024, metadata={"help": "Text vocabulary of the new LM's tokenizer."})
    thoughts: bool = field(
        default=True, metadata={"help": "Think before answering; false trains the comparison without thoughts."}
    )
    no_thought_share: float = field(
        default=0.0,
        metadata={"help": "Share of examples that are answered without a thought, for a model that can do both."},
    )
    thought_weight: float = field(
        default=1.0, metadata={"help": "Weight of a thought's token in the loss, beside 1 for one of the answer."}
    )
    embedding_init: Literal["sampled", "mean", "codebook"] = field(
        default="sampled", metadata={"help": "How the rows of the new tokens are initialised."}
    )
    t2m_only_fraction: float = field(
        default=0.5, metadata={"help": "Share of the run at its start that trains text-to-motion alone."}
    )
    t2m_share: float = field(default=0.5, metadata={"help": "Share of text-to-motion in the rest of the run."})
    m2t_captions: int = field(
        default=0, metadata={"help": "Captions of each motion that motion-to-text learns, from the first; 0: all."}
    )
    added_rows: str = field(
        default="",
        metadata={
            "help": "JSON Lines file of caption, thought and codes that text-to-motion learns beside the dataset, "
            "as train/self_train.py writes them."
        },
    )
    added_copies: int = field(default=1, metadata={"help": "Times that each added row is in a pass over the data."})
    continue_share: float = field(
        default=0.0,
        metadata={"help": "Share of the joint training that learns to continue a clip that is cut; 0: not taught."},
    )
    fill_share: float = field(
        default=0.0,
        metadata={"help": "Share of the joint training that learns to fill a gap cut into a clip; 0: not taught."},
    )
    position_gaps: float = field(
        default=0.0,
        metadata={"help": "Mean positions skipped per token, at most; lets a new model read longer captions."},
    )
    attention: Literal["sdpa", "eager", "flash_attention_2"] = field(
        default="sdpa", metadata={"help": "Attention implementation; on a CPU eager is faster for 200 tokens."}
    )
    muon: bool = field(default=False, metadata={"help": "Muon for the matrices instead of AdamW."})
    lora_rank: int = field(
        default=0, metadata={"help": "0: train every weight; else LoRA of this rank, and the rows of new tokens."}
    )
    lora_alpha: int = field(default=32, metadata={"help": "Adapters are scaled by lora_alpha / lora_rank."})
    base_dtype: Literal["float32", "bfloat16"] = field(
        default="float32",
        metadata={"help": "Precision of base_model's weights; bfloat16 needs LoRA, which freezes them."},
    )

    def __post_init__(self) -> None:
        shares = ("t2m_only_fraction", "t2m_share", "continue_share", "fill_share", "no_thought_share")
        require_range(self, *shares, least=0, most=1)
        if self.continue_share + self.fill_share > 1:
            raise ValueError(
                f"continue_share and fill_share are shares of one whole, got {self.continue_share:g} and "
                f"{self.fill_share:g}"
            )
        require_range(self, "thought_weight", least=0, most=100)
        require_range(self, "position_gaps", least=0, most=10)
        require_range(self, "m2t_captions", least=0)
        require_range(self, "new_vocab_size", "lora_alpha", "added_copies", least=1)


@command
def main(argv: list[str] | None = None) -> None:
    """Run the script.

    Args:
        argv: Arguments; None takes those of the process.
    """
    own = (SFTArguments, GuardArguments)
    answer_help(own, "trl.SFTConfig", "Supervised fine-tuning on chain-of-thought data.", argv)
    from trl import SFTConfig

    from train.supervised.sft_training import train_sft

    train_sft(*parse_arguments((*own, SFTConfig), argv))


if __name__ == "__main__":
    main()
