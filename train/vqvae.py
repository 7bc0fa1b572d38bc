"""Train the motion VQ-VAE: `accelerate launch train/vqvae.py --config train/configs/quickstart/vqvae.yaml`."""

from dataclasses import dataclass, field
from typing import Any

from modeling_unimo.command_line import command
from train.engine.arguments import answer_help, parse_arguments, require_range


@dataclass
class VQVAEArguments:
    """What to train on and the shape of the network."""

    dataset: str = field(metadata={"help": "Dataset folder made by `python -m datasets_scripts.build`."})
    model: dict[str, Any] = field(default_factory=dict, metadata={"help": "MotionVQVAEConfig settings."})
    window: int = field(default=64, metadata={"help": "Frames of the random training window."})
    window_step: int = field(
        default=1,
        metadata={"help": "Windows start at multiples of this many frames; 4 aligns them with the codes."},
    )
    feat_bias: float = field(
        default=5.0, metadata={"help": "Divide the std of root and contact features by this, which weights them up."}
    )
    autoencoder_fraction: float = field(
        default=0.0,
        metadata={"help": "Share of the steps trained without quantisation, before k-means initialises the codebook."},
    )
    muon: bool = field(default=False, metadata={"help": "Muon for the weights instead of AdamW alone."})
    kmeans_latents: int = field(default=16_000, metadata={"help": "Latent vectors for k-means."})

    def __post_init__(self) -> None:
        require_range(self, "window", "window_step", "kmeans_latents", least=1)
        require_range(self, "feat_bias", above=0)
        # All of the steps would leave none for the codes.
        require_range(self, "autoencoder_fraction", least=0, below=1)


@command
def main(argv: list[str] | None = None) -> None:
    """Run the script.

    Args:
        argv: Arguments; None takes those of the process.
    """
    answer_help((VQVAEArguments,), "transformers.TrainingArguments", "Train the motion VQ-VAE.", argv)
    from transformers import TrainingArguments

    from train.representation.vqvae_training import train_vqvae

    train_vqvae(*parse_arguments((VQVAEArguments, TrainingArguments), argv))


if __name__ == "__main__":
    main()
