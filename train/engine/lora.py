"""LoRA for a causal LM whose new vocabulary rows are trained in full, merged into a plain causal LM at the end.

An adapter on the layers alone leaves the motion tokens where they started: no low-rank update reaches the rows of an
embedding. So the rows themselves are trained beside the adapters, and only they; every other row stays frozen.
"""

from collections.abc import Collection

from transformers import PreTrainedModel, TrainingArguments
from transformers.utils import is_peft_available

from train.engine.sharding import is_fsdp


def check_lora(rank: int, base_dtype: str, training: TrainingArguments) -> None:
    """Refuse adapters with settings that exclude them, before anything is loaded.

    Args:
        rank: Rank of the adapters; 0 for none.
        base_dtype: Type of the frozen weights.
        training: The Trainer's settings.

    Raises:
        SystemExit: Two settings exclude each other; the message says what to change.
    """
    if rank < 0:
        raise SystemExit(f"error: lora_rank must be >= 0, got {rank}; 0 trains every weight, 16 to 64 are usual")
    if not rank:
        if base_dtype != "float32":
            raise SystemExit("error: base_dtype bfloat16 needs lora_rank: steps of 1e-4 vanish in trained bfloat16")
        return
    if not is_peft_available():
        raise SystemExit("error: lora_rank needs PEFT: pip install 'unimo[peft]' (or pip install peft)")
    if is_fsdp(training) or training.deepspeed_plugin is not None:
        raise SystemExit(
            "error: adapters are merged at the end, where FSDP has the weights in shards and DeepSpeed saves its own "
            "copy, with the adapters apart; launch lora_rank with single_gpu.yaml or multi_gpu.yaml"
        )


def with_adapters(model: PreTrainedModel, rows: Collection[int], rank: int, alpha: int) -> PreTrainedModel:
    """`model` frozen, with LoRA on every linear layer but the head, and the embedding `rows`, in and out, trained.

    Adapters and rows are float32 whatever the frozen weights are. Trains and samples as `model` did; `merged` gives
    the plain model back.

    Args:
        model: a causal LM with the motion vocabulary.
        rows: ids, see `train.engine.vocabulary_rows`.
        rank: of the adapters.
        alpha: the adapters' output is scaled by alpha / rank.

    Returns:
        The model with adapters.
    """
    from peft import LoraConfig, get_peft_model

    names = {id(module): name for name, module in model.named_modules(remove_duplicate=False)}
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    matrices = [embedding] if head.weight is embedding.weight else [embedding, head]  # PEFT follows a tied head itself
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=0.0,
        target_modules="all-linear",
        trainable_token_indices={names[id(matrix)]: list(rows) for matrix in matrices},
        task_type="CAUSAL_LM",
    )
    adapted = get_peft_model(model, config)
    # TRL reads the head's weight and bias; PEFT's wrapper of the head has the weight (with the trained rows) alone.
    object.__setattr__(model.get_output_embeddings(), "bias", head.bias)
    return adapted


def merged(adapted: PreTrainedModel) -> PreTrainedModel:
    """Merge adapters and rows into float32 weights.

    Rounding to bfloat16 here would lose small updates, and later stages train in float32 anyway.

    Args:
        adapted: Model of `with_adapters`; it cannot be used afterwards.

    Returns:
        The plain causal LM.
    """
    return adapted.float().merge_and_unload()


def trainable_share(model: PreTrainedModel) -> str:
    """Number of trained parameters, for the log.

    Args:
        model: The model.

    Returns:
        Count and share in words.
    """
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return f"{trained:,} of {sum(p.numel() for p in model.parameters()):,} parameters are trained"
