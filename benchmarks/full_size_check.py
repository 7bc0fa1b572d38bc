"""SFT and GRPO with the vocabulary and the networks of the paper's size, for a few steps: time and memory.

Without a GPU the language model has two layers, and everything else its full size: 151,665 text tokens and the motion
vocabulary, in 152,192 rows of 896; the VQ-VAE of 512 codes of 512 numbers; the evaluator of the field. All weights are
random: this is about what runs, how fast, and in how much memory.

    python -m benchmarks.full_size_check --output runs/full_size
    python -m benchmarks.full_size_check --output runs/full_size_gpu --layers 24 --steps 200 --batch 16 --bf16

Figures are printed and written to `full_size_check.json`. The second is for a GPU; its 24 layers are Qwen2.5-0.5B.
TFLOP/s counts six operations a parameter and token of the training pass (GRPO's sampling and reference come on top,
inside the same seconds). A random policy answers nothing valid, so that GRPO's rewards decode nothing here:
`python -m benchmarks.run --only reward` times them.
"""

import argparse
import json
import multiprocessing
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml

from benchmarks.networks import Setting, codec, full_tokenizer, judge
from datasets_scripts import build
from datasets_scripts.captioned_motions import captioned_motions
from datasets_scripts.schema import load_motion_dataset
from modeling_unimo import UniMoProcessor
from modeling_unimo.files_unimo import write_json
from train import grpo, sft
from train.engine.stages import peak_memory_mb
from train.supervised.backbone import new_causal_lm

CLIPS = 64


def _make_folders(root: Path, hidden_size: int, layers: int) -> int:
    """Dataset, base model, VQ-VAE and evaluator under `root`; the parameters of the base model."""
    counts = {"num_train": CLIPS, "num_validation": 4, "num_test": 4, "num_hard": 4, "attribute_pools": 1}
    words = [word for name, count in counts.items() for word in (f"--{name}", str(count))]
    build.main(["--source", "synthetic", "--output", str(root / "data"), *words])
    entries = captioned_motions(load_motion_dataset(str(root / "data"))["train"])

    torch.manual_seed(0)
    tokenizer = full_tokenizer(
        [line for e in entries for line in (*e.texts, *e.thoughts)] + UniMoProcessor.template_texts()
    )
    heads = max(1, hidden_size // 64)
    shape = {
        "hidden_size": hidden_size,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": 2 if heads % 2 == 0 else 1,
        "intermediate_size": hidden_size * 38 // 7,  # Qwen2.5-0.5B: 896 and 4,864
        "max_position_embeddings": 4096,
    }
    base = new_causal_lm(tokenizer, shape)
    base.save_pretrained(root / "base")
    tokenizer.save_pretrained(root / "base")

    setting = Setting(torch.device("cpu"))
    for part in codec(setting):
        part.save_pretrained(root / "vqvae")
    spoken = [text for e in entries for text in e.texts]
    judge(setting, spoken, learned_word_embeddings=True).save_pretrained(root / "evaluator")
    return sum(p.numel() for p in base.parameters())


def _run_stage(stage: str, recipe: str, pipe: Any) -> None:
    """One stage in this (fresh) process; sends its summary, curves, seconds and peak memory."""
    started = time.perf_counter()
    {"sft": sft.main, "grpo": grpo.main}[stage](["--config", recipe])
    seconds = time.perf_counter() - started
    folder = Path(yaml.safe_load(Path(recipe).read_text(encoding="utf-8"))["output_dir"])
    if torch.cuda.is_available():
        memory = torch.cuda.max_memory_allocated() / 2**20
    else:
        memory = peak_memory_mb()
    curves = json.loads((folder / "curves.json").read_text(encoding="utf-8"))
    pipe.send({"seconds": seconds, "peak_memory_mb": memory, "curves": curves})


def _measure(stage: str, root: Path, settings: dict[str, Any], parameters: int) -> dict[str, float]:
    """Run a stage in a process of its own, so that its peak is its own; prints and returns what it took."""
    recipe = root / f"{stage}.yaml"
    recipe.write_text(yaml.safe_dump(settings | {"output_dir": str(root / stage)}), encoding="utf-8")
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run_stage, args=(stage, str(recipe), theirs))
    process.start()
    theirs.close()
    try:
        told = ours.recv()
    except EOFError:
        raise SystemExit(f"error: {stage} ended without a result; see above") from None
    process.join()
    steps = [entry for entry in told["curves"] if "loss" in entry]
    runtime = next(entry["train_runtime"] for entry in told["curves"] if "train_runtime" in entry)
    tokens = max(entry.get("num_tokens", 0) for entry in told["curves"])
    figures = {
        "steps": len(steps),
        "seconds_per_step": runtime / len(steps),
        "tokens_per_second": tokens / runtime,
        "tflops": 6 * parameters * tokens / runtime / 1e12,
        "peak_memory_mb": told["peak_memory_mb"],
        "first_loss": steps[0]["loss"],
        "last_loss": steps[-1]["loss"],
        "seconds": told["seconds"],  # with loading and saving
    }
    print(f"{stage}: " + "  ".join(f"{name} {value:,.4g}" for name, value in figures.items()), flush=True)
    return figures


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Run both stages, print their figures and write them.

    Args:
        argv: Arguments; None takes those of the process.

    Returns:
        What `full_size_check.json` holds.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="New folder for everything this makes.")
    parser.add_argument("--hidden_size", type=int, default=896)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--grpo_steps", type=int, default=None, help="As --steps; 0 leaves GRPO out.")
    parser.add_argument("--batch", type=int, default=4, help="Sequences a step of SFT; GRPO: answers, 8 a prompt.")
    parser.add_argument("--completion", type=int, default=64, help="Tokens of a GRPO answer.")
    parser.add_argument("--bf16", action="store_true", help="bfloat16 products over float32 weights.")
    parser.add_argument("--gradient_checkpointing", action="store_true")
    parser.add_argument("--torch_compile", action="store_true")
    arguments = parser.parse_args(argv)
    if arguments.output.exists():
        raise SystemExit(f"error: {arguments.output} exists; name a new folder")
    arguments.output.mkdir(parents=True)
    parameters = _make_folders(arguments.output, arguments.hidden_size, arguments.layers)
    common = {
        "dataset": str(arguments.output / "data"),
        "vqvae": str(arguments.output / "vqvae"),
        "bf16": arguments.bf16,
        "gradient_checkpointing": arguments.gradient_checkpointing,
        "torch_compile": arguments.torch_compile,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }
    print(f"language model: {parameters:,} parameters before the motion vocabulary", flush=True)
    supervised = {
        "base_model": str(arguments.output / "base"),
        "t2m_only_fraction": 0.0,
        "max_length": 512,
        "max_steps": arguments.steps,
        "per_device_train_batch_size": arguments.batch,
        "learning_rate": 1e-4,
    }
    results: dict[str, Any] = {"parameters": parameters, "settings": {k: str(v) for k, v in vars(arguments).items()}}
    results["sft"] = _measure("sft", arguments.output, common | supervised, parameters)
    grpo_steps = arguments.steps if arguments.grpo_steps is None else arguments.grpo_steps
    if grpo_steps:
        reinforced = {
            "sft_model": str(arguments.output / "sft"),
            "evaluator": str(arguments.output / "evaluator"),
            "num_generations": 8,
            "per_device_train_batch_size": max(8, arguments.batch // 8 * 8),
            "max_completion_length": arguments.completion,
            "max_steps": grpo_steps,
            "beta": 0.001,
            "loss_type": "grpo",
            "scale_rewards": "none",
            "learning_rate": 1e-5,
        }
        results["grpo"] = _measure("grpo", arguments.output, common | reinforced, parameters)
    write_json(arguments.output / "full_size_check.json", results)
    return results


if __name__ == "__main__":
    main()
