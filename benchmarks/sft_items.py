"""A step of supervised fine-tuning of the 3B shape, the layer and the output head timed apart."""

from collections.abc import Callable
from typing import Any

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from benchmarks import networks, plain
from benchmarks.networks import Setting
from benchmarks.timing import Item, Unavailable, Way, alternate, operations_of
from train.supervised.learned_head import score_learned_tokens

LENGTH, ANSWERED = 350, 110  # tokens of a sequence, and those of its answer: 60 of a thought, 45 of a motion, tags


def _network(setting: Setting, layers: int, rows: int) -> Qwen2ForCausalLM:
    """So many layers of the 3B shape with a vocabulary of so many rows, float32, for training."""
    shape = (networks.TINY_LM if setting.tiny else networks.QWEN_3B) | {"num_hidden_layers": layers}
    config = Qwen2Config(vocab_size=rows, tie_word_embeddings=True, max_position_embeddings=4096, **shape)
    return Qwen2ForCausalLM(config).train().to(setting.device)


def sft_layer(setting: Setting) -> Item:
    """One layer forward and backward: sequence by sequence in float32, and in batches.

    Args:
        setting: Device, sizes and repeats of the run.

    Returns:
        Its ways in tokens a second.
    """
    torch.manual_seed(0)
    length = 16 if setting.tiny else LENGTH
    body = _network(setting, 1, 64).model
    batch = 2 if setting.device.type == "cpu" else 16

    def step(rows: int, dtype: torch.dtype):
        hidden = torch.randn(rows, length, body.config.hidden_size, device=setting.device)

        def run() -> None:
            with torch.autocast(setting.device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
                out = body(inputs_embeds=hidden, use_cache=False).last_hidden_state
            out.float().square().mean().backward()
            body.zero_grad()

        return run

    ways = {
        "published, float32, batch 1": step(1, torch.float32),
        f"ours, float32, batch {batch}": step(batch, torch.float32),
        f"ours, bfloat16, batch {batch}": step(batch, torch.bfloat16),
    }
    each = operations_of(ways["published, float32, batch 1"])
    seconds = alternate(ways, setting.repeats(3), setting.device)
    item = Item("sft_layer", f"SFT, one layer of the 3B shape, sequences of {length}", "tokens")
    for name, times in seconds.items():
        rows = 1 if name.startswith("published") else batch
        dtype = "bfloat16" if "bfloat16" in name else "float32"
        goal, limit_goal = (2.0, 0.45) if setting.device.type == "cuda" and dtype == "bfloat16" else (None, None)
        baseline = None if name.startswith("published") else "published, float32, batch 1"
        item.ways.append(Way(name, times, rows * length, each * rows, None, dtype, baseline, goal, limit_goal))
    return item


def sft_head(setting: Setting) -> Item:
    """Norm, output head and loss forward and backward: logits of every token, TRL's tiles, or the answers' alone.

    Args:
        setting: Device, sizes and repeats of the run.

    Returns:
        Its ways in tokens a second, and the losses.

    Raises:
        Unavailable: This TRL has no fused head.
    """
    try:
        from trl.trainer.utils import add_fused_lm_head
    except ImportError as error:
        raise Unavailable("the fused head needs TRL 1.16, which needs Python 3.11") from error
    torch.manual_seed(0)
    length, answered = (16, 5) if setting.tiny else (LENGTH, ANSWERED)
    model = _network(setting, 0, 512 if setting.tiny else 152_192)
    batch = 1 if setting.device.type == "cpu" else 16
    hidden = torch.randn(batch, length, model.config.hidden_size, device=setting.device)
    labels = torch.randint(0, model.config.vocab_size, (batch, length), device=setting.device)
    labels[:, :-answered] = -100
    add_fused_lm_head(model, outputs=("log_probs", "entropy", "is_top1"))
    tiles = model.forward
    score_learned_tokens(model)
    learned = model.forward
    losses: dict[str, float] = {}

    def step(name: str, head: Callable[..., Any] | None, dtype: torch.dtype):
        def run() -> None:
            with torch.autocast(setting.device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
                if head is not None:
                    out = head(inputs_embeds=hidden, labels=labels, fused_lm_head=True)
                    loss = -out.log_probs.sum() / (batch * answered)
                else:
                    normed = model.model(inputs_embeds=hidden, use_cache=False).last_hidden_state
                    loss = plain.full_vocabulary_loss(normed, model.lm_head, labels)
            loss.backward()
            model.zero_grad()
            losses[name] = float(loss.detach())

        return run

    ways = {
        name: step(name, head, dtype)
        for name, head, dtype in (
            ("logits of every token, float32", None, torch.float32),
            ("TRL's tiles, float32", tiles, torch.float32),
            ("ours, float32", learned, torch.float32),
            ("TRL's tiles, bfloat16", tiles, torch.bfloat16),
            ("ours, bfloat16", learned, torch.bfloat16),
        )
    }
    seconds = alternate(ways, setting.repeats(2), setting.device)
    operations = 6.0 * batch * answered * model.lm_head.weight.numel()
    item = Item("sft_head", f"SFT, output head of the 3B shape, {answered} of {length} tokens answered", "tokens")
    for name, times in seconds.items():
        dtype = name.rsplit(" ", 1)[1]
        baseline = None if name.startswith("logits") else "logits of every token, float32"
        item.ways.append(Way(name, times, batch * length, operations, None, dtype, baseline))
    item.facts = {f"{name}: loss": value for name, value in losses.items()}
    item.note = (
        "TRL's tiles leave the prompt out on a GPU only, where ours are these tiles; on a CPU they score every token "
        "and, in the backward pass, once more. Ours leaves the prompt out everywhere."
    )
    return item
