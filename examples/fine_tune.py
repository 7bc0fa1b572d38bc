"""Fine-tune on your own clips: build a dataset, continue supervised training, assemble the model.

    python examples/fine_tune.py my_bvh --run runs/quickstart --output runs/mine --steps 500

The folder holds BVH files and captions.jsonl. The VQ-VAE of the run stays as it is, and the language model continues
from its supervised stage. To train every stage on your clips: `unimo quickstart --source bvh --data_dir my_bvh`.
"""

import argparse
from pathlib import Path

import torch

from datasets_scripts import build
from modeling_unimo import convert_checkpoint
from train import sft

RECIPE = Path(sft.__file__).parent / "configs" / "quickstart" / "sft.yaml"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", help="folder of BVH files and captions.jsonl")
    parser.add_argument("--run", type=Path, default=Path("runs/quickstart"), help="a finished run: sft/ and vqvae/")
    parser.add_argument("--output", type=Path, required=True, help="folder for data/, sft/ and unimo/")
    parser.add_argument("--steps", type=int, default=500)
    arguments = parser.parse_args()
    data, tuned, vqvae = arguments.output / "data", arguments.output / "sft", arguments.run / "vqvae"

    # Thoughts that captions.jsonl does not have are written from the measured motion.
    if build.main(["--source", "bvh", "--data_dir", arguments.clips, "--output", str(data), "--quiet"]):
        raise SystemExit("the dataset could not be built")

    # AdamW at a small learning rate, because the weights have learned already; the recipe's Muon is for new ones.
    settings = {
        "config": RECIPE,
        "dataset": data,
        "vqvae": vqvae,
        "base_model": arguments.run / "sft",
        "output_dir": tuned,
        "max_steps": arguments.steps,
        "learning_rate": 1e-4,
        "muon": "false",
        "t2m_only_fraction": 0,
        "use_cpu": "false" if torch.cuda.is_available() else "true",
    }
    sft.main([word for key, value in settings.items() for word in (f"--{key}", str(value))])

    model = arguments.output / "unimo"
    convert_checkpoint.main(["--kind", "unimo", "--input", str(tuned), "--vqvae", str(vqvae), "--output", str(model)])


if __name__ == "__main__":
    main()
