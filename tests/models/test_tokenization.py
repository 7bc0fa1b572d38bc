"""The motion vocabulary over bases of several families, and text kept apart from every control token."""

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tiny_unimo import TOKENIZERS, llama3_tokenizer, plain_processor, qwen_tokenizer, tiny_lm
from transformers import AddedToken, AutoTokenizer

from modeling_unimo import MotionVocabulary, UniMoTokenizer, extend_vocabulary
from modeling_unimo.tokenization_unimo import TextEscape, end_of_turn, motion_vocabulary

MOTION_TOKENS = motion_vocabulary()
FAMILIES = sorted(TOKENIZERS)
PIECES = [
    *("<think>", "</think>", "<Motion>", "</Motion>", "<Motion_5>", "<Answer>", "</Answer>", "<|im_end|>", "<s>"),
    *("</s>", "<unk>", "<|eot_id|>", "<0x0A>", "\\", "\\3c;", ";", "<", "<<", "<think", ">", " ", "\n", "\t", "▁"),
    *("\u212a", "\u1fef", "\u0301", "é", "e\u0301", "\ufb01", "\u200b", "\u00a0", "\u3000", "\ufffd", "\0", "\ud800"),
    *("\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "走る", "مرحبا", "a", "Motion_5", "5", "c"),
]
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=4) | st.characters(), max_size=25).map("".join)


def test_published_order():
    assert len(MOTION_TOKENS) == 518
    assert MOTION_TOKENS[:3] == ["<Motion>", "</Motion>", "<Motion_0>"]
    assert MOTION_TOKENS[513:] == ["<Motion_511>", "<think>", "</think>", "<Answer>", "</Answer>"]
    with pytest.raises(ValueError, match="num_codes"):
        motion_vocabulary(0)


@pytest.mark.parametrize("family", FAMILIES)
def test_tokens_are_appended_as_ordinary_added_tokens(family):
    tokenizer = TOKENIZERS[family]()
    before = len(tokenizer)
    vocabulary = extend_vocabulary(tokenizer)
    assert [tokenizer.convert_tokens_to_ids(token) for token in MOTION_TOKENS] == [*range(before, before + 518)]
    assert vocabulary.codes[3] == tokenizer.convert_tokens_to_ids("<Motion_3>")
    text = "<think>a walk</think><Motion><Motion_3><Motion_511></Motion>"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids, skip_special_tokens=True).replace(" ", "") == text.replace(" ", "")
    assert not set(MOTION_TOKENS) & set(tokenizer.all_special_tokens)


@pytest.mark.parametrize("family", FAMILIES)
def test_reloads_as_the_base_class_and_as_ours(family, tmp_path):
    tokenizer = TOKENIZERS[family]()
    extend_vocabulary(tokenizer)
    text = "<think>a \\3c; walk 5</think><Motion><Motion_3></Motion> \U0001f600"
    ids = tokenizer(text)["input_ids"]
    tokenizer.save_pretrained(tmp_path / "plain")
    wrapped = UniMoTokenizer.from_tokenizer(tokenizer)
    wrapped.save_pretrained(tmp_path / "ours")
    plain = AutoTokenizer.from_pretrained(tmp_path / "plain")
    ours = UniMoTokenizer.from_pretrained(tmp_path / "ours")
    assert type(plain) is type(tokenizer)
    for loaded in (plain, wrapped, ours):
        assert loaded(text)["input_ids"] == ids
        assert loaded.decode(ids) == tokenizer.decode(ids)
        assert loaded.special_tokens_map == tokenizer.special_tokens_map
        assert loaded.chat_template == tokenizer.chat_template
        assert len(loaded("<Motion_3>", add_special_tokens=False)["input_ids"]) == 1
    assert ours.motion_vocabulary.codes == MotionVocabulary.lookup(tokenizer).codes
    assert ours.num_codes == 512


@pytest.mark.parametrize("family", FAMILIES)
def test_end_and_pad_are_settled(family):
    tokenizer = TOKENIZERS[family]()
    extend_vocabulary(tokenizer)
    assert tokenizer.eos_token == {"qwen": "<|im_end|>", "llama": "</s>", "llama3": "<|eot_id|>"}[family]
    assert tokenizer.eos_token == end_of_turn(tokenizer)
    assert tokenizer.pad_token_id not in (None, tokenizer.eos_token_id)


def test_pad_avoids_every_end_token_of_the_model():
    tokenizer = qwen_tokenizer()
    model = tiny_lm(tokenizer)
    # As Qwen2.5-Instruct: <|endoftext|> is both the pad token and one of two end tokens.
    model.generation_config.eos_token_id = [
        tokenizer.convert_tokens_to_ids("<|im_end|>"),
        tokenizer.convert_tokens_to_ids("<|endoftext|>"),
    ]
    model.generation_config.repetition_penalty = 1.05
    extend_vocabulary(tokenizer, model)
    assert tokenizer.pad_token == "<|pad|>"
    assert model.generation_config.eos_token_id == [
        tokenizer.convert_tokens_to_ids("<|im_end|>"),
        tokenizer.convert_tokens_to_ids("<|endoftext|>"),
    ]
    assert model.generation_config.pad_token_id == tokenizer.pad_token_id == model.config.pad_token_id
    assert model.generation_config.repetition_penalty == 1.0


def test_base_that_owns_think_keeps_its_id():
    tokenizer = qwen_tokenizer()
    tokenizer.add_tokens([AddedToken("<think>", special=True), AddedToken("</think>", special=True)])
    owned = tokenizer.convert_tokens_to_ids("<think>")
    model = tiny_lm(tokenizer)
    row = model.get_input_embeddings().weight[owned].clone()
    vocabulary = extend_vocabulary(tokenizer, model)
    assert vocabulary.think_start == owned
    assert torch.equal(model.get_input_embeddings().weight[owned], row)
    assert not tokenizer.added_tokens_decoder[owned].special
    assert vocabulary.answer_start == vocabulary.codes[-1] + 1


@pytest.mark.parametrize(
    "template",
    [
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system turn') }}{% endif %}",
        "{% for m in messages %}[{{ m['content'] }}]{% endfor %}",
        "{% for m in messages %}<|im_start|>{{ m['content'].split('</think>')[-1] }}<|im_end|>{% endfor %}",
        "{% for m in messages %}<|im_start|>{{ m['content'] }}<|im_end|>{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|><think>{% endif %}",
        "{{ undefined.attribute }}",
    ],
    ids=["no system turn", "no end token", "drops the thought", "opens the thought", "broken"],
)
def test_a_template_that_cannot_carry_an_answer_is_replaced(template):
    tokenizer = qwen_tokenizer()
    tokenizer.chat_template = template
    assert end_of_turn(tokenizer) is None
    extend_vocabulary(tokenizer)
    assert tokenizer.chat_template != template
    assert end_of_turn(tokenizer) == "<|im_end|>"


def test_a_usable_template_is_kept():
    tokenizer = llama3_tokenizer()
    template = tokenizer.chat_template
    extend_vocabulary(tokenizer)
    assert tokenizer.chat_template == template


@pytest.mark.parametrize("family", ["qwen", "llama"])
@pytest.mark.parametrize("init", ["sampled", "mean", "codebook"])
def test_new_and_spare_rows(family, init):
    tokenizer = TOKENIZERS[family]()
    model = tiny_lm(tokenizer, family, spare_rows=7)
    old = len(tokenizer)
    base = model.get_input_embeddings().weight[:old].clone()
    vocabulary = extend_vocabulary(tokenizer, model, embedding_init=init, codebook=torch.randn(512, 8), seed=3)
    assert len(model.get_input_embeddings().weight) % 64 == 0
    assert model.config.vocab_size == len(model.get_input_embeddings().weight) >= len(tokenizer)
    matrices = {model.get_input_embeddings().weight, model.get_output_embeddings().weight}
    assert len(matrices) == (1 if family == "qwen" else 2)
    assert torch.equal(model.get_input_embeddings().weight[:old], base)
    for matrix in matrices:
        new, known = matrix[old:].detach(), matrix[:old].detach()
        if init != "mean":
            assert 0.8 < new.std() / known.std() < 1.2
            codes = matrix[list(vocabulary.codes)].detach()
            gaps = torch.cdist(codes, codes) + 1e9 * torch.eye(512)
            assert gaps.min() > 0.1 * torch.pdist(known).median()
        assert torch.pdist(new).min() > 0


def test_codebook_init_keeps_neighbours():
    tokenizer = qwen_tokenizer()
    model = tiny_lm(tokenizer)
    codebook = torch.randn(512, 8)
    codebook[1] = codebook[0] + 0.01
    ids = extend_vocabulary(tokenizer, model, embedding_init="codebook", codebook=codebook).codes
    rows = model.get_input_embeddings().weight[list(ids)].detach()
    distances = (rows[0] - rows).norm(dim=-1)
    assert distances[1:].argmin() == 0


@pytest.mark.parametrize("init", ["sampled", "mean", "codebook"])
def test_extending_twice_changes_no_token(init):
    tokenizer = qwen_tokenizer()
    model = tiny_lm(tokenizer)
    settings = {"embedding_init": init, "codebook": torch.randn(512, 8)}
    first = extend_vocabulary(tokenizer, model, **settings)
    rows = model.get_input_embeddings().weight[: len(tokenizer)].clone()
    assert extend_vocabulary(tokenizer, model, **settings) == first
    assert torch.equal(model.get_input_embeddings().weight[: len(tokenizer)], rows)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="embedding_init"):
        extend_vocabulary(qwen_tokenizer(), embedding_init="zeros")
    with pytest.raises(ValueError, match="codebook of shape"):
        extend_vocabulary(qwen_tokenizer(), embedding_init="codebook", codebook=torch.zeros(3, 4))
    with pytest.raises(ValueError, match="give the model's own tokenizer"):
        extend_vocabulary(qwen_tokenizer(), tiny_lm(qwen_tokenizer(), spare_rows=-5))
    with pytest.raises(ValueError, match="no motion vocabulary"):
        MotionVocabulary.lookup(qwen_tokenizer())
    with pytest.raises(ValueError, match="no motion vocabulary"):
        UniMoTokenizer.from_tokenizer(qwen_tokenizer())


# ---------------------------------------------------------------- escaping


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=300, deadline=None)
@given(text=TEXTS)
@example("<think></think><Motion_5><|im_end|>\\\\3c;<<think>")
@example("x" * 10_000 + "<Motion_5>" * 100)
def test_escape_is_reversible_and_leaves_no_control(family, text):
    processor = plain_processor(family)
    escaped = processor.escape_text(text)
    assert processor.unescape_text(escaped) == text
    ids = processor.tokenizer(escaped, add_special_tokens=False)["input_ids"]
    assert not set(ids) & processor.control_ids.keys()
    assert not any(control in escaped for control in processor.control_ids.values())


def test_plain_text_stays_as_it_is():
    for text in ("a person walks; then 5 < 6 & waves (slowly).", "走る", "the man's kick - 90°", ""):
        assert plain_processor("qwen").escape_text(text) == text


def test_added_tokens_of_the_base_count_as_control():
    tokenizer = qwen_tokenizer()
    tokenizer.add_tokens(["jumping jacks", AddedToken("\n\n", normalized=False), AddedToken("Kick", normalized=True)])
    extend_vocabulary(tokenizer)
    escape = TextEscape(tokenizer)
    own = set(tokenizer.added_tokens_decoder)
    # The Kelvin sign becomes a plain K under Qwen's normaliser, after which "Kick" is found.
    for text in ("does jumping jacks", "a\n\nb\n\n\n", "\u212aick", "Kick"):
        escaped = escape.escape(text)
        assert not own & set(tokenizer(escaped)["input_ids"])
        assert escape.unescape(escaped) == text


@pytest.mark.parametrize("token", ["\\n", "7", "a;"])
def test_a_base_whose_tokens_escapes_are_made_of_is_refused(token):
    tokenizer = qwen_tokenizer()
    tokenizer.add_tokens([token])
    with pytest.raises(ValueError, match="which escaped text could contain"):
        TextEscape(tokenizer)
