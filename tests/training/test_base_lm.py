"""The language model made from nothing: any text encodes, the processor takes it, and it trains and saves."""

import pytest
import torch
from tiny_data import TEXTS
from tiny_unimo import feature_extractor
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen2ForCausalLM

from modeling_unimo import UniMoProcessor, extend_vocabulary
from train.supervised.backbone import new_causal_lm, train_tokenizer

SETTINGS = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
}
CORPUS = TEXTS * 4 + UniMoProcessor.template_texts()


@pytest.fixture
def tokenizer():
    return train_tokenizer(CORPUS, 320)


def test_size_and_special_tokens(tokenizer):
    assert len(tokenizer) == 320
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|endoftext|>")
    assert tokenizer.eos_token_id != tokenizer.pad_token_id


def test_corpus_is_short_and_any_text_survives(tokenizer):
    assert len(tokenizer(TEXTS[0])["input_ids"]) < len(TEXTS[0]) / 2
    for text in (*TEXTS, "走 😀 \u0000 ünïcödé", "  spaces  kept  "):
        assert tokenizer.decode(tokenizer(text)["input_ids"], clean_up_tokenization_spaces=False) == text


def test_same_corpus_same_tokenizer(tokenizer):
    assert train_tokenizer(iter(CORPUS), 320).get_vocab() == tokenizer.get_vocab()


def test_the_template_is_qwens(tokenizer):
    turns = [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]
    shown = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert shown == "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n"
    answered = tokenizer.apply_chat_template([*turns, {"role": "assistant", "content": "A"}], tokenize=False)
    assert answered.endswith("<|im_start|>assistant\nA<|im_end|>\n")


def test_model_fits_its_tokenizer_and_takes_the_motion_vocabulary(tokenizer, tmp_path):
    torch.manual_seed(0)
    model = new_causal_lm(tokenizer, SETTINGS)
    assert isinstance(model, Qwen2ForCausalLM) and model.config.hidden_size == 16
    assert model.config.vocab_size == 320 and model.config.tie_word_embeddings
    assert model.config.eos_token_id == tokenizer.eos_token_id
    extend_vocabulary(tokenizer, model)
    processor = UniMoProcessor(feature_extractor(), tokenizer)
    example = processor.encode_example("t2m", thought="first this", caption=TEXTS[0], codes=[1, 2, 511])
    ids = torch.tensor([example["input_ids"]])
    loss = model(ids, labels=ids).loss
    loss.backward()
    assert torch.isfinite(loss)
    # A folder of the library's own classes, as every trainer and server wants it.
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    again, words = AutoModelForCausalLM.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    assert words(processor.prompt("t2m", TEXTS[0]))["input_ids"] == example["input_ids"][: -len(_completion(example))]
    with torch.no_grad():
        assert torch.equal(again.eval()(ids).logits, model.eval()(ids).logits)


def _completion(example):
    return [id_ for id_, mask in zip(example["input_ids"], example["completion_mask"], strict=True) if mask]
