"""What keeps networks whole under ZeRO-3, as far as it can be seen without DeepSpeed."""

from types import SimpleNamespace

import pytest
import torch
from tiny_unimo import tiny_unimo
from transformers.integrations import is_deepspeed_zero3_enabled, set_hf_deepspeed_config, unset_hf_deepspeed_config

from train.engine.sharding import is_fsdp, is_zero3, loaded_whole
from train.engine.vocabulary_rows import spare_ids


class Announced:
    """A configuration as transformers is told of it."""

    def is_zero3(self) -> bool:
        return True


@pytest.fixture
def zero3():
    config = Announced()
    set_hf_deepspeed_config(config)
    yield SimpleNamespace(deepspeed_plugin=SimpleNamespace(zero_stage=3, dschf=config), fsdp=None)
    unset_hf_deepspeed_config()


def test_what_is_loaded_within_is_not_split(zero3):
    assert is_zero3(zero3) and not is_fsdp(zero3) and is_deepspeed_zero3_enabled()
    with loaded_whole(zero3):
        assert not is_deepspeed_zero3_enabled()
    assert is_deepspeed_zero3_enabled()  # the policy, which is trained, is split
    with pytest.raises(ValueError, match="damaged"), loaded_whole(zero3):
        raise ValueError("damaged")
    assert is_deepspeed_zero3_enabled()


@pytest.mark.parametrize("plugin", [None, SimpleNamespace(zero_stage=2)])
def test_elsewhere_nothing_changes(plugin):
    with loaded_whole(SimpleNamespace(deepspeed_plugin=plugin, fsdp=None)):
        assert not is_deepspeed_zero3_enabled()
    assert not is_deepspeed_zero3_enabled()


def test_rows_without_a_token_are_known_where_the_weights_lie_elsewhere():
    model, processor = tiny_unimo("qwen")
    spare = spare_ids(processor.tokenizer, model.language_model)
    assert spare
    embedding = model.language_model.get_input_embeddings()
    whole = embedding.weight.data
    embedding.weight.data = torch.empty(0)  # as ZeRO-3 leaves it between forward passes
    try:
        assert spare_ids(processor.tokenizer, model.language_model) == spare
    finally:
        embedding.weight.data = whole
