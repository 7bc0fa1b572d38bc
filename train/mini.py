"""The small model that comes with the package, from a finished run: `python -m train.mini --run runs/mini`.

Its weights are stored in bfloat16 and computed in float32. It holds no code, since the package itself is installed
where it is found; a model for the Hub is published with `python -m train.publish` instead.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from modeling_unimo.command_line import exit_on_error
from modeling_unimo.files_unimo import write_json, write_text
from modeling_unimo.model_loading import SHIPPED_MODEL

MOST_BYTES = 15 * 2**20
COPIED = ("generation_config.json", "chat_template.jinja", "tokenizer.json", "tokenizer_config.json")
# Of what the recipe teaches: going on from given codes is measured to be better without the tasks made for it.
TASKS = ("t2m", "m2t")
# What lets a folder load with code of its own.
REMOTE_CODE = ("auto_map", "custom_pipelines")

CARD = """---
library_name: transformers
tags:
- human-motion
- text-to-motion
- motion-to-text
---

# UniMo, small

A model of {parameters:.1f} million parameters, taught on generated motion of everyday actions alone. It is here so
that the commands and the app answer at once, without training and without a network. It knows the words of those
captions and no others, and says so when it is asked with other words.

| | |
| --- | --- |
| made by | `python -m train.quickstart --config {config} --seed {seed}`, then `python -m train.mini` |
| weights | bfloat16, {megabytes:.1f} MB |
| R-Precision top-1, of real motion's | {r_precision:.3f} of {r_precision_real:.3f} |
| FID, of real motion's | {fid:.4f} of {fid_real:.4f} |
| BLEU@1 of captions | {bleu1:.3f} |

Figures are those of the run before its weights were rounded, by the protocol in `docs/evaluation.md`, temperature 0.6.
"""


def make_mini(run: str | Path, output: str | Path = SHIPPED_MODEL) -> Path:
    """Write the model of a finished quickstart (`train/configs/quickstart/mini.yaml`) as the package's own.

    Args:
        run: Folder of the quickstart, with `unimo/` and `metrics.json`.
        output: Folder to write; files of the same names are replaced, others stay.

    Returns:
        The folder.

    Raises:
        FileNotFoundError: The run is not finished.
        ValueError: The weights take more than 15 MB.
    """
    run, output = Path(run), Path(output)
    model = run / "unimo"
    for path in (model / "model.safetensors", run / "metrics.json"):
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file; give the folder of a finished quickstart")
    weights = {
        name: tensor.to(torch.bfloat16) if tensor.is_floating_point() else tensor
        for name, tensor in load_file(model / "model.safetensors").items()
    }
    size = sum(tensor.nbytes for tensor in weights.values())
    if size > MOST_BYTES:
        raise ValueError(f"{model}: the weights take {size / 2**20:.1f} MB in bfloat16, at most 15 are shipped")
    output.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        shutil.copyfile(model / name, output / name)
    settings = {
        name: without_code(json.loads((model / name).read_text(encoding="utf-8")))
        for name in ("config.json", "processor_config.json")
    }
    settings["processor_config.json"] = with_tasks(settings["processor_config.json"])
    for name, content in settings.items():
        write_json(output / name, content)
    save_file(weights, output / "model.safetensors", metadata={"format": "pt"})
    write_text(output / "README.md", card(json.loads((run / "metrics.json").read_text(encoding="utf-8")), weights))
    return output


def card(metrics: dict[str, Any], weights: dict[str, torch.Tensor]) -> str:
    """Card of the shipped model, with the figures that the run measured.

    Args:
        metrics: The run's `metrics.json`.
        weights: The model's weights.

    Returns:
        Markdown.
    """
    real, motion, text = metrics["t2m"]["real"], metrics["t2m"]["grpo"], metrics["m2t"]["grpo"]
    return CARD.format(
        config=metrics["config"],
        seed=metrics["seed"],
        parameters=sum(tensor.numel() for tensor in weights.values()) / 1e6,
        megabytes=sum(tensor.nbytes for tensor in weights.values()) / 2**20,
        r_precision=motion["r_precision_top1"]["mean"],
        r_precision_real=real["r_precision_top1"]["mean"],
        fid=motion["fid"]["mean"],
        fid_real=real["fid"]["mean"],
        bleu1=text["bleu1"]["mean"],
    )


def with_tasks(processor: dict[str, Any]) -> dict[str, Any]:
    """Settings of a processor that knows `TASKS` alone.

    Args:
        processor: settings as saved.

    Returns:
        The settings.
    """
    prompts = {task: prompt for task, prompt in processor["system_prompts"].items() if task in TASKS}
    return processor | {"tasks": list(TASKS), "system_prompts": prompts}


def without_code(settings: Any) -> Any:
    """Settings without the keys that point at code in the folder, at any depth.

    Args:
        settings: Settings as read from JSON.

    Returns:
        The settings that are left.
    """
    if isinstance(settings, dict):
        return {key: without_code(value) for key, value in settings.items() if key not in REMOTE_CODE}
    return settings


def main(argv: list[str] | None = None) -> None:
    """`python -m train.mini`; `SystemExit` says what is wrong with its input.

    Args:
        argv: Arguments; None takes those of the process.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--run", default="runs/mini", help="folder of a finished quickstart")
    parser.add_argument("--output", default=SHIPPED_MODEL, type=Path, help="default: where the package looks for it")
    arguments = parser.parse_args(argv)
    with exit_on_error():
        output = make_mini(arguments.run, arguments.output)
        size = sum(path.stat().st_size for path in output.iterdir())
        print(f"wrote {output}: {size / 2**20:.1f} MB")


if __name__ == "__main__":
    main()
