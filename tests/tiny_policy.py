"""The folders that train/grpo.py begins with, tiny: data, VQ-VAE, two judges, and a language model that answers."""

import functools
import os
import shutil
import tempfile
from pathlib import Path

import torch
from tiny_data import dataset_folder, entries, tiny_judge
from tiny_unimo import feature_extractor, processor_of, qwen_tokenizer, tiny_vqvae
from transformers import PreTrainedModel, Qwen2Config, Qwen2ForCausalLM

from modeling_unimo import UniMoProcessor

THOUGHTS = ("a wave", "a step")


def taught_lm(steps: int = 90) -> tuple[PreTrainedModel, UniMoProcessor]:
    """A small LM taught to answer a few prompts, mostly validly and each in several ways, so that rewards differ."""
    tokenizer = qwen_tokenizer()
    processor = processor_of(tokenizer, taught_words=["someone"])
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=48, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=1024, tie_word_embeddings=True,
    )  # fmt: skip
    model = Qwen2ForCausalLM(config)
    model.config.pad_token_id = model.generation_config.pad_token_id = processor.pad_id
    model.config.eos_token_id = model.generation_config.eos_token_id = processor.end_id
    examples = []
    for i, entry in enumerate(entries(6)):
        for k, thought in enumerate(THOUGHTS):
            for task in ("t2m", "m2t"):
                codes = [(i + j * (k + 1)) % 40 for j in range(3 + k)]
                given = [(7 * i + j) % 40 for j in range(4)] if task == "m2t" else codes
                examples.append(processor.encode_example(task, thought, entry.texts[k], given))
    width = max(len(e["input_ids"]) for e in examples)
    ids = torch.tensor([e["input_ids"] + [0] * (width - len(e["input_ids"])) for e in examples])
    mask = torch.tensor([e["completion_mask"] + [0] * (width - len(e["completion_mask"])) for e in examples])
    attention = torch.tensor([[1] * len(e["input_ids"]) + [0] * (width - len(e["input_ids"])) for e in examples])
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=8e-3, weight_decay=0.0)
    labels = ids.masked_fill(mask == 0, -100)
    for _ in range(steps):
        chosen = torch.randperm(len(ids))[:8]
        loss = model(input_ids=ids[chosen], attention_mask=attention[chosen], labels=labels[chosen]).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval(), processor


@functools.cache
def _taught_folder() -> Path:
    """The taught language model and its processor, taught once in a process of tests."""
    folder = Path(tempfile.mkdtemp(dir=os.environ["HF_HOME"]))
    for part in taught_lm():
        part.save_pretrained(folder)
    return folder


def policy_folders(root: Path) -> dict[str, str]:
    """`--dataset`, `--sft_model`, `--vqvae`, `--evaluator` and the held-out judge, made under `root`."""
    paths = {name: root / name for name in ("dataset", "sft_model", "vqvae", "evaluator", "held_out_evaluator")}
    dataset_folder(paths["dataset"], train=6, validation=2)
    shutil.copytree(_taught_folder(), paths["sft_model"])
    tiny_vqvae().save_pretrained(paths["vqvae"])
    feature_extractor().save_pretrained(paths["vqvae"])
    tiny_judge().save_pretrained(paths["evaluator"])
    tiny_judge(seed=1).save_pretrained(paths["held_out_evaluator"])
    return {name: str(path) for name, path in paths.items()}
