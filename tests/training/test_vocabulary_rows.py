"""Rows without a token: known as such, trained where they are new, and never sampled."""

import pytest
import torch
from tiny_unimo import TOKENIZERS, tiny_lm
from transformers import GenerationConfig
from trl import GRPOConfig

from modeling_unimo import extend_vocabulary
from train.engine.vocabulary_rows import never_sampled, owned_ids, rows_to_train, spare_ids


def extended(family="qwen"):
    tokenizer = TOKENIZERS[family]()
    model = tiny_lm(tokenizer, family)
    owned = owned_ids(tokenizer)
    return tokenizer, model, owned, extend_vocabulary(tokenizer, model)


@pytest.mark.parametrize("family", ["qwen", "llama", "llama3"])
def test_spare_rows_are_those_without_a_token(family):
    tokenizer, model, owned, vocabulary = extended(family)
    spare = spare_ids(tokenizer, model)
    assert len(model.get_input_embeddings().weight) % 64 == 0 and spare
    assert all(tokenizer.convert_ids_to_tokens(id_) is None for id_ in spare)
    trained = rows_to_train(owned, model, vocabulary.codes)
    assert {*spare, *vocabulary.codes, vocabulary.think_end} <= set(trained) and not set(trained) & owned


def test_a_base_that_has_the_vocabulary_trains_its_rows_all_the_same():
    tokenizer, model, _, vocabulary = extended()
    assert set(vocabulary.codes) <= set(rows_to_train(owned_ids(tokenizer), model, vocabulary.codes))


def test_spare_rows_are_never_sampled():
    """By a model that prefers them to everything."""
    tokenizer, model, _, _ = extended("llama")
    spare = spare_ids(tokenizer, model)
    with torch.no_grad():
        head = model.lm_head.weight
        head[spare] = 20 * torch.sign(torch.randn(len(spare), head.shape[1]))
    prompt = torch.full((16, 4), 300)
    settings = {"max_new_tokens": 8, "do_sample": True, "pad_token_id": tokenizer.pad_token_id}
    torch.manual_seed(0)
    freely = model.generate(prompt, generation_config=GenerationConfig(**settings))[:, 4:]
    assert torch.isin(freely, torch.tensor(spare)).any()
    kept = GenerationConfig(**settings, **never_sampled(tokenizer, model, use_vllm=False))
    assert not torch.isin(model.generate(prompt, generation_config=kept)[:, 4:], torch.tensor(spare)).any()


def test_both_ways_to_sample_are_told(tmp_path):
    tokenizer, model, _, _ = extended()
    spare = spare_ids(tokenizer, model)
    own, vllm = (never_sampled(tokenizer, model, use_vllm) for use_vllm in (False, True))
    assert own == {"suppress_tokens": spare} and vllm == {"logit_bias": dict.fromkeys(spare, -100.0)}
    assert GRPOConfig(str(tmp_path), use_cpu=True, bf16=False, generation_kwargs=own).generation_kwargs == own
    tokenizer.add_tokens([f"filler {i}" for i in range(len(spare))])
    assert never_sampled(tokenizer, model, use_vllm=False) == {}
