"""The grammar holds for every answer sampled under it: any scores, temperature, budget, batch, beams and samples."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_tokenization import FAMILIES
from tiny_unimo import plain_processor, tiny_unimo
from transformers import GenerationConfig, LogitsProcessorList

from modeling_unimo import AnswerGrammar, default_generation_config

TASKS = ["t2m", "m2t", "t2m", "m2t", "t2m"]


def sample(
    grammar: AnswerGrammar, rows: int, width: int, vocab_size: int, temperature: float, seed: int
) -> torch.Tensor:
    """Answers (rows, N) from random scores alone, as a model that knows nothing would write them."""
    generator = torch.Generator().manual_seed(seed)
    # Adversarial on purpose: as if the prompt were itself an unfinished answer.
    ids = torch.randint(vocab_size, (rows, width), generator=generator)
    for _ in range(grammar.max_new_tokens):
        scores = torch.randn(rows, vocab_size, generator=generator) * 3 / temperature
        scores = grammar(ids, scores)
        assert torch.isfinite(scores).any(-1).all()
        written = torch.multinomial(scores.softmax(-1), 1, generator=generator)
        ids = torch.cat([ids, written], dim=1)
    return ids[:, width:]


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=40, deadline=None)
@given(
    temperature=st.floats(0.1, 3),
    thought=st.integers(1, 12),
    answer=st.integers(1, 12),
    codes=st.integers(1, 20),
    room=st.none() | st.integers(0, 30),
    exact=st.none() | st.integers(1, 49),
    repeats=st.integers(1, 3),
    seed=st.integers(0, 2**31),
    thoughts=st.booleans(),
)
def test_random_scores_give_valid_answers(
    family, temperature, thought, answer, codes, room, exact, repeats, seed, thoughts
):
    processor = plain_processor(family, thoughts)
    counts = [exact, None, None, None, 2]
    least = max(count or 1 for count in counts)
    vocab_size = len(processor.tokenizer) + 5
    grammar = AnswerGrammar(
        processor,
        TASKS,
        prompt_length=4,
        vocab_size=vocab_size,
        max_new_tokens=None if room is None else least + 6 + room,
        max_thought_tokens=thought,
        max_answer_tokens=answer,
        max_motion_codes=codes,
        num_codes=counts,
    )
    written = sample(grammar, len(TASKS) * repeats, 4, vocab_size, temperature, seed)
    for row, ids in enumerate(written.tolist()):
        task, count = TASKS[row // repeats], counts[row // repeats]
        read = processor.parse(ids, task)
        assert read.valid, (read.error, processor.tokenizer.decode(ids))
        assert task == "m2t" or len(read.codes) == count or (count is None and len(read.codes) <= codes)
        if thoughts:
            assert ids.index(processor.vocabulary.think_end) - 1 <= thought


def test_keeps_no_state():
    """The same rows in another order, or asked again, get the same scores."""
    processor = plain_processor("qwen")
    size = len(processor.tokenizer)
    prompt = torch.zeros(2, 3, dtype=torch.long)
    grammar = AnswerGrammar(processor, ["t2m", "t2m"], 3, size)
    start = torch.tensor([[processor.vocabulary.think_start], [processor.vocabulary.think_start]])
    longer = torch.cat([prompt, start, torch.tensor([[70], [processor.vocabulary.think_end]])], 1)
    scores = torch.randn(2, size)
    first = grammar(longer, scores)
    grammar(torch.cat([prompt, start], 1), scores)
    again = grammar(longer.flip(0), scores.flip(0)).flip(0)
    assert torch.equal(first, again)


def test_spare_rows_and_foreign_tokens_are_never_text():
    processor = plain_processor("llama3")
    size = len(processor.tokenizer) + 40
    grammar = AnswerGrammar(processor, ["t2m"], 0, size)
    start = torch.tensor([[processor.vocabulary.think_start]])
    allowed = set(torch.isfinite(grammar(start, torch.zeros(1, size)))[0].nonzero().flatten().tolist())
    assert allowed == set(processor.text_ids[0].tolist())
    assert not allowed & processor.control_ids.keys()
    assert max(allowed) < len(processor.tokenizer)


def test_grammar_has_the_last_word():
    """When others rule out all that is allowed (a minimum length, say), an answer still ends where it must."""
    processor = plain_processor("qwen")
    size = len(processor.tokenizer)
    grammar = AnswerGrammar(processor, ["t2m"], 0, size)
    scores = torch.full((1, size), -torch.inf)
    scores[0, 5] = 0
    kept = grammar(torch.zeros(1, 0, dtype=torch.long), scores)
    assert torch.isfinite(kept)[0].nonzero().flatten().tolist() == [processor.vocabulary.think_start]


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"max_thought_tokens": 0}, "max_thought_tokens must be >= 1, got 0"),
        ({"max_answer_tokens": -1}, "max_answer_tokens"),
        ({"max_motion_codes": 50}, r"max_motion_codes must be in \[1, 49\]"),
        ({"max_new_tokens": 6}, "max_new_tokens must be >= 7, got 6"),
        ({"max_new_tokens": 54, "num_codes": [49, None]}, "max_new_tokens must be >= 55"),
        ({"num_codes": [50, None]}, "num_codes of row 0 is 50"),
        ({"num_codes": [1, 1]}, "row 1 is 1 for m2t"),
        ({"num_codes": [1]}, "1 entries for 2 prompts"),
        ({"vocab_size": 100}, "give the tokenizer of this model"),
    ],
)
def test_impossible_budgets_are_refused(settings_, message):
    processor = plain_processor("qwen")
    with pytest.raises(ValueError, match=message):
        AnswerGrammar(processor, ["t2m", "m2t"], 0, **({"vocab_size": len(processor.tokenizer)} | settings_))


def test_rows_must_be_a_multiple_of_the_prompts():
    processor = plain_processor("qwen")
    grammar = AnswerGrammar(processor, ["t2m", "m2t"], 0, len(processor.tokenizer))
    with pytest.raises(ValueError, match="3 rows are not a multiple of the 2 prompts"):
        grammar(torch.zeros(3, 1, dtype=torch.long), torch.zeros(3, len(processor.tokenizer)))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "settings_",
    [
        {"temperature": 0.1},
        {"temperature": 3.0},
        {"do_sample": False},
        {"do_sample": False, "num_beams": 3},
        {"do_sample": False, "num_beams": 3, "num_samples": 3},
        {"temperature": 1.5, "num_beams": 2, "num_samples": 2},
        {"temperature": 1.0, "num_samples": 4},
        {"top_k": 1, "top_p": 0.1, "repetition_penalty": 2.0},
        {"min_new_tokens": 30, "temperature": 1.0},
        {"max_new_tokens": 14, "temperature": 2.0},
        {"max_thought_tokens": 1, "max_answer_tokens": 1, "max_motion_codes": 1},
    ],
    ids=lambda s: ",".join(f"{k}={v}" for k, v in s.items()),
)
def test_a_model_answers_validly_in_a_mixed_batch(family, settings_):
    model, processor = tiny_unimo(family)
    texts = ["a person walks", None, "\U0001f600 </think><Motion_5><|im_end|>", None, "x" * 300]
    codes = [None, [1, 2, 3], None, list(range(49)), None]
    answers = model.generate_answers(TASKS, texts, codes, processor, seed=1, **settings_)
    assert [len(samples) for samples in answers] == [settings_.get("num_samples", 1)] * 5
    for task, samples in zip(TASKS, answers, strict=True):
        for answer in samples:
            assert answer.valid, answer.error
            assert bool(answer.codes) == (task == "t2m")


def test_durations_are_kept_exactly():
    model, processor = tiny_unimo()
    durations = [0.2, 9.8, 3.3, None]
    for settings_ in ({"temperature": 2.0}, {"do_sample": False, "num_beams": 2}, {"max_motion_codes": 2}):
        answers = model.generate_answers(
            "t2m", ["a person walks"] * 4, None, processor, durations=durations, seed=0, **settings_
        )
        assert [len(samples[0].codes) for samples in answers[:3]] == [1, 49, 17]
    with pytest.raises(ValueError, match="durations for 1 requests"):
        model.generate_answers("t2m", ["a"], None, processor, durations=[1, 2])
    with pytest.raises(ValueError, match="grammar=False"):
        model.generate_answers("t2m", ["a"], None, processor, durations=[1], grammar=False)
    with pytest.raises(ValueError, match="row 0 is 5 for m2t"):
        model.generate_answers("m2t", None, [[1]], processor, durations=[1])


def test_default_settings_are_explicit():
    processor = plain_processor("qwen")
    config = default_generation_config(processor, [7, processor.end_id])
    assert config.eos_token_id == [processor.end_id, 7]
    assert config.pad_token_id == processor.pad_id not in config.eos_token_id
    assert (config.do_sample, config.top_k, config.top_p, config.repetition_penalty) == (True, 0, 1.0, 1.0)
    # Another library default in the model's own configuration must not come through.
    assert GenerationConfig(**config.to_dict()).top_k == 0


def test_works_in_plain_generate():
    """The processor is an ordinary one: it serves any causal LM's `generate`."""
    model, processor = tiny_unimo()
    inputs = processor.encode_prompts(["t2m", "m2t"], ["a person walks", None], [None, [4, 5]])
    width = inputs["input_ids"].shape[1]
    grammar = AnswerGrammar(processor, ["t2m", "m2t"], width, model.config.text_config.vocab_size)
    written = model.language_model.generate(
        **inputs,
        generation_config=model.generation_config,
        logits_processor=LogitsProcessorList([grammar]),
        max_new_tokens=grammar.max_new_tokens,
    )
    assert processor.parse(written[0, width:], "t2m").valid
    assert processor.parse(written[1, width:], "m2t").valid
