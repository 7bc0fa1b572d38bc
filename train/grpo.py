"""Reinforcement learning on both tasks: `accelerate launch train/grpo.py --config Y.yaml [--algorithm grpo]`.

GRPO, PPO, GSPO, RLOO or DPO on the same prompts and rewards.
"""

from dataclasses import dataclass, field
from typing import Literal

from modeling_unimo.command_line import command
from train.engine.arguments import answer_help, parse_arguments, require_range
from train.guards.arguments import GuardArguments


@dataclass
class GRPOArguments:
    """The policy to start from, the algorithm, and the rewards with the frozen networks they use."""

    dataset: str = field(metadata={"help": "Dataset folder made by `python -m datasets_scripts.build`."})
    sft_model: str = field(metadata={"help": "Folder of the supervised model (train/sft.py)."})
    vqvae: str = field(metadata={"help": "Folder of the motion VQ-VAE."})
    evaluator: str = field(metadata={"help": "Folder of the evaluator that rewards (never the held-out one)."})
    unimo_output_dir: str = field(default="", metadata={"help": "Also assemble LM and VQ-VAE into this UniMo folder."})
    t2m_share: float = field(default=0.5, metadata={"help": "Share of text-to-motion prompts."})
    algorithm: Literal["grpo", "ppo", "gspo", "rloo", "dpo"] = field(
        default="grpo", metadata={"help": "How the policy learns from the rewards."}
    )
    reference_model: str = field(
        default="", metadata={"help": "Reference policy of the KL term (beta > 0); empty: sft_model."}
    )
    rewards: str = field(
        default="",
        metadata={"help": "Weights by name over the defaults: length_closeness=0.5,format_reward=0 (0: only logged)."},
    )
    caption_references: Literal["best", "mean"] = field(
        default="best",
        metadata={"help": "Compare a caption with the nearest of several references, or average over them."},
    )
    caption_encoder: str = field(
        default="", metadata={"help": "Folder of a sentence encoder or CLIP that compares captions; empty: evaluator."}
    )
    caption_pooling: Literal["mean", "pooled"] = field(
        default="mean", metadata={"help": "Of caption_encoder: mean over tokens, or the model's own pooled output."}
    )
    reward_dtype: Literal["float32", "bfloat16"] = field(
        default="float32", metadata={"help": "bfloat16: mixed precision in the networks of the rewards (within 0.01)."}
    )
    lora_rank: int = field(
        default=0, metadata={"help": "0: train every weight; else LoRA of this rank, and the motion tokens' rows."}
    )
    lora_alpha: int = field(default=32, metadata={"help": "Adapters are scaled by lora_alpha / lora_rank."})
    base_dtype: Literal["float32", "bfloat16"] = field(
        default="float32",
        metadata={"help": "Precision of sft_model's weights; bfloat16 needs LoRA, which freezes them."},
    )
    dpo_beta: float = field(default=0.1, metadata={"help": "DPO: the temperature beta of its loss."})
    dpo_margin: float = field(
        default=0.1,
        metadata={"help": "DPO: least difference of total reward between a prompt's best and worst answer."},
    )
    gae_lambda: float = field(
        default=0.95,
        metadata={"help": "PPO: 1 compares an answer's reward with each token's value, 0 each value with the next."},
    )
    value_learning_rate: float = field(default=1e-3, metadata={"help": "PPO: learning rate of the critic, constant."})

    def __post_init__(self) -> None:
        require_range(self, "t2m_share", "gae_lambda", least=0, most=1)
        require_range(self, "value_learning_rate", above=0)
        require_range(self, "lora_alpha", least=1)
        require_range(self, "dpo_beta", above=0)
        require_range(self, "dpo_margin", least=0)


@command
def main(argv: list[str] | None = None) -> None:
    """Run the script.

    Args:
        argv: Arguments; None takes those of the process.
    """
    own = (GRPOArguments, GuardArguments)
    answer_help(own, "trl.GRPOConfig", "Reinforcement learning on both tasks: GRPO, PPO, GSPO, RLOO or DPO.", argv)
    from train.reinforcement.algorithms import PolicyConfig
    from train.reinforcement.grpo_training import train_grpo

    train_grpo(*parse_arguments((*own, PolicyConfig), argv))


if __name__ == "__main__":
    main()
