"""The writer of answers against the library's `generate`: the same greedy tokens, the same probabilities."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from tiny_unimo import tiny_unimo
from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from modeling_unimo import AnswerGrammar, UniMoProcessor, sampling_unimo
from modeling_unimo.sampling_unimo import AnswerWriter, can_write, draw, with_narrow_head

REQUESTS = [
    ("t2m", "a person walks forward", None),
    ("m2t", None, [3, 0, 511, 3]),
    ("t2m", "waves", None),
    ("m2t", None, [7] * 12),
    ("t2m", "someone jumps twice and then sits down on the floor", None),
]

CLOSING = {"qwen": 2.0, "llama": 5.0}  # added to the scores of the closing tags


@pytest.fixture(params=["qwen", "llama"])
def pair(request):
    """A model in float64, where a batch changes nothing at all, and its processor."""
    model, processor = tiny_unimo(request.param)
    kept, head = model.language_model.dtype, model.language_model.get_output_embeddings()
    # A random model hardly ever closes what it has opened; this one does, sooner or later.
    vocabulary = processor.vocabulary
    head.bias = torch.nn.Parameter(torch.zeros(len(head.weight)), requires_grad=False)
    head.bias[[vocabulary.think_end, vocabulary.motion_end, vocabulary.answer_end]] = CLOSING[request.param]
    model.language_model.double()
    yield model, processor
    head.bias = None
    model.language_model.to(kept)


def prompts_and_rules(model, processor, max_new_tokens=None, num_codes=None, requests=REQUESTS):
    tasks = [task for task, _, _ in requests]
    inputs = processor.encode_prompts(tasks, [t for _, t, _ in requests], [c for _, _, c in requests])
    rules = AnswerGrammar(
        processor,
        tasks,
        prompt_length=inputs["input_ids"].shape[1],
        vocab_size=model.config.text_config.vocab_size,
        max_new_tokens=max_new_tokens,
        num_codes=num_codes,
    )
    return inputs, rules


def by_library(model, inputs, rules, **settings) -> list[list[int]]:
    generated = model.language_model.generate(
        **inputs,
        max_new_tokens=rules.max_new_tokens,
        logits_processor=LogitsProcessorList([rules]),
        generation_config=model.generation_config,
        **settings,
    )
    return generated[:, rules.prompt_length :].tolist()


def up_to_end(ids: list[int], end: int) -> list[int]:
    return ids[: ids.index(end) + 1]


@pytest.mark.parametrize("room", [None, 10, 25])
@pytest.mark.parametrize("thoughts", [True, False])
def test_greedy_answers_are_the_librarys(pair, room, thoughts):
    model, processor = pair
    if not thoughts:
        processor = UniMoProcessor(
            processor.feature_extractor, processor.tokenizer, thoughts=False, max_answer_tokens=9
        )
    inputs, rules = prompts_and_rules(model, processor, room, num_codes=[None, None, 4, None, None])
    expected = by_library(model, inputs, rules, do_sample=False)
    written = AnswerWriter(model.language_model, processor, inputs, rules, do_sample=False).write()
    assert written == [up_to_end(ids, processor.end_id) for ids in expected]
    # The rows have thoughts of different lengths, or nothing was put together anew.
    if thoughts and room is None:
        assert len({ids.index(processor.vocabulary.think_end) for ids in written}) > 1
        assert len({ids.index(processor.vocabulary.motion_end) for ids in written[::2]}) > 1


def test_an_answer_is_the_same_alone(pair):
    model, processor = pair
    inputs, rules = prompts_and_rules(model, processor)
    together = AnswerWriter(model.language_model, processor, inputs, rules, do_sample=False).write()
    for request, answer in zip(REQUESTS, together, strict=True):
        alone = prompts_and_rules(model, processor, requests=[request])
        assert AnswerWriter(model.language_model, processor, *alone, do_sample=False).write() == [answer]


def test_samples_share_the_prompt_and_nothing_else(pair):
    model, processor = pair
    inputs, rules = prompts_and_rules(model, processor)
    torch.manual_seed(0)
    written = AnswerWriter(model.language_model, processor, inputs, rules, num_samples=3, temperature=2.0).write()
    assert len(written) == 15 and len(set(map(tuple, written))) == 15
    tasks = [task for task, _, _ in REQUESTS for _ in range(3)]
    assert all(processor.parse(ids, task).valid for ids, task in zip(written, tasks, strict=True))
    greedy = AnswerWriter(model.language_model, processor, inputs, rules, num_samples=2, do_sample=False).write()
    assert greedy[::2] == greedy[1::2]


@pytest.mark.parametrize("settings", [{"temperature": 0.7}, {"top_k": 5}, {"top_p": 0.8}, {"temperature": 3.0}])
def test_draws_have_the_librarys_probabilities(pair, settings, monkeypatch):
    """The tokens of one answer are put into both; what each offers at every step must agree."""
    model, processor = pair
    inputs, rules = prompts_and_rules(model, processor, requests=REQUESTS[:1])
    seen: list[torch.Tensor] = []

    def recorded(probabilities, numbers):
        seen.append(probabilities[0] / probabilities[0].sum())
        return draw(probabilities, numbers)

    monkeypatch.setattr(sampling_unimo, "draw", recorded)
    torch.manual_seed(3)
    answer = AnswerWriter(model.language_model, processor, inputs, rules, **settings).write()[0]
    ours, seen = seen, []

    library = {"temperature": TemperatureLogitsWarper, "top_k": TopKLogitsWarper, "top_p": TopPLogitsWarper}
    warpers = [library[name](value) for name, value in settings.items()]
    ids = torch.tensor([inputs["input_ids"][0].tolist() + answer])
    scores = model(input_ids=ids).logits[0].float()
    vocabulary = processor.vocabulary
    given = iter(ours)
    warped = 0
    for position, token in enumerate(answer):
        begin = inputs["input_ids"].shape[1] + position
        step = rules(ids[:, :begin], scores[begin - 1][None])
        for warper in warpers:
            step = warper(None, step)
        expected = step.softmax(-1)[0]
        if token in (vocabulary.think_start, vocabulary.motion_start, processor.end_id):
            assert expected[token] == 1.0  # what must come is not drawn
            continue
        found = next(given)
        if len(found) < len(expected):
            found, narrow = torch.zeros_like(expected), found.to(expected.dtype)
            found[torch.tensor(sorted([*vocabulary.codes, vocabulary.motion_end]))] = narrow
            warped += 1
        torch.testing.assert_close(found.to(expected.dtype), expected, atol=1e-5, rtol=1e-4)
    assert next(given, None) is None and warped > 0


@pytest.mark.parametrize("width", [1, 7, 512, 513, 1300])
def test_columns_are_drawn_by_their_probability(width):
    torch.manual_seed(0)
    probabilities = torch.rand(width).square()
    probabilities[1::3] = 0.0
    draws = 40_000
    columns = draw(probabilities.expand(draws, -1), torch.rand(draws, 2))
    counts = torch.bincount(columns, minlength=width)
    assert len(counts) == width and not counts[probabilities == 0].any()
    expected = draws * probabilities / probabilities.sum()
    # As many standard deviations as 1,300 columns hardly ever reach.
    assert ((counts - expected).abs() <= 5 * expected.clamp(min=1).sqrt()).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_certain_column_is_drawn(dtype):
    certain = torch.zeros(3, 1200, dtype=dtype)
    certain[[0, 1, 2], [0, 700, 1199]] = torch.tensor([1e-30, 0.3, 1.0], dtype=dtype)
    for number in (0.0, 0.5, 1 - 2.0**-53, 1.0):  # 1.0: what the one before it rounds up to in float32
        numbers = torch.full((3, 2), number, dtype=torch.float64)
        assert draw(certain, numbers).tolist() == [0, 700, 1199]


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_scores_that_are_no_numbers_are_refused(value):
    probabilities = torch.ones(2, 600)
    probabilities[1, 3] = value
    with pytest.raises(ValueError, match="are NaN"):
        draw(probabilities, torch.rand(2, 2))


@pytest.fixture
def as_written(monkeypatch):
    """Answers as the ids that were written, also where they are not valid."""
    monkeypatch.setattr(UniMoProcessor, "parse", lambda processor, ids, task: tuple(ids))


@pytest.mark.parametrize(
    "settings", [{"temperature": 1.5}, {"top_p": 0.9}, {"temperature": 1.5, "grammar": False}, {"max_new_tokens": 40}]
)
def test_what_is_drawn_for_a_request_hangs_on_no_other(pair, as_written, settings):
    """Alone, among others in batches of any size, and in another order, with more samples or fewer."""
    model, processor = pair

    def answers(requests, **more):
        tasks, texts, codes = (list(column) for column in zip(*requests, strict=True))
        settings_ = {"max_new_tokens": 30, "seed": 5, **settings, **more}
        return model.generate_answers(tasks, texts, codes, processor, **settings_)

    expected = answers(REQUESTS, num_samples=3)
    assert len({ids for samples in expected for ids in samples}) > 12
    for batch_size in (2, 7):
        assert answers(REQUESTS, num_samples=3, batch_size=batch_size) == expected
    for request, samples in zip(REQUESTS[:2], expected, strict=False):
        assert answers([request], num_samples=2) == [samples[:2]]
    assert answers(REQUESTS[::-1]) == [samples[:1] for samples in expected[::-1]]
    # Equal requests draw apart, and the first of them as if it were alone.
    first, second = answers(REQUESTS[:1] * 2)
    assert first == expected[0][:1] and second != first


def test_another_seed_draws_anew_and_no_seed_follows_the_global_state(pair):
    model, processor = pair

    def thoughts(seed):
        answers = model.generate_answers("t2m", ["jump", "sit"], None, processor, seed=seed)
        return [answer.thought for [answer] in answers]

    assert thoughts(1) == thoughts(1) != thoughts(2)
    assert thoughts(-1) == thoughts(np.int64(-1)) != thoughts(1)
    assert thoughts(None) != thoughts(None)
    torch.manual_seed(4)
    drawn = thoughts(None)
    torch.manual_seed(4)
    assert thoughts(None) == drawn


@pytest.fixture
def passes(pair):
    """Rows of every pass through the language model."""
    model, _ = pair
    rows: list[int] = []
    hook = model.language_model.register_forward_pre_hook(
        lambda module, args, kwargs: rows.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    yield rows
    hook.remove()


def test_durations_batch_answers_of_like_length(pair, passes):
    """Short motions are not kept waiting for long ones, whatever the lengths of their prompts."""
    model, processor = pair
    processor = UniMoProcessor(processor.feature_extractor, processor.tokenizer, thoughts=False)
    texts = ["walk" + " on" * (index % 7) for index in range(24)]
    codes = [5 + 4 * (11 * index % 12) for index in range(24)]
    settings = {"durations": [0.2 * count for count in codes], "seed": 0}
    mixed = [model.generate_answers("t2m", texts, None, processor, batch_size=size, **settings) for size in (24, 6)]
    assert mixed[0] == mixed[1] and [len(answer.codes) for [answer] in mixed[0]] == codes
    passes.clear()
    model.generate_answers("t2m", texts, None, processor, batch_size=6, **settings)
    # A pass or two for the prompts of a batch, one a code of its longest answer.
    longest = sorted(codes)[5::6]
    assert max(passes) <= 6 and len(passes) <= sum(longest) + 3 * len(longest)


@pytest.mark.parametrize("grammar", [True, False])
def test_no_more_rows_at_once_than_asked_for(pair, passes, as_written, grammar):
    model, processor = pair
    texts = ["a person walks forward", "jump"]
    settings = {"num_samples": 7, "seed": 0, "grammar": grammar, "max_new_tokens": 30}
    whole = model.generate_answers("t2m", texts, None, processor, batch_size=64, **settings)
    assert max(passes) == 14
    for size in (3, 2):
        passes.clear()
        assert model.generate_answers("t2m", texts, None, processor, batch_size=size, **settings) == whole
        assert max(passes) <= size
    # The best beams of one search are no two searches.
    beams = {"num_beams": 3, "do_sample": False, "num_samples": 3, "max_new_tokens": 12}
    [answers] = model.generate_answers("t2m", texts[:1], None, processor, batch_size=2, **beams)
    assert len(set(answers)) == 3


@pytest.mark.parametrize("grammar", [True, False])
def test_a_common_beginning_is_read_once(pair, monkeypatch, grammar):
    """With it and without, greedy answers in float64 are the same; the tokens that are read are fewer."""
    model, processor = pair
    inputs, rules = prompts_and_rules(model, processor)
    read: list[int] = []

    def count(module, args, kwargs):
        read.append(kwargs["input_ids"].numel())

    hook = model.language_model.register_forward_pre_hook(count, with_kwargs=True)
    answers, reads = [], []
    for worth in (10_000, 1):
        monkeypatch.setattr(sampling_unimo, "_WORTH_SHARING", worth)
        read.clear()
        writer = AnswerWriter(model.language_model, processor, inputs, rules, num_samples=2, do_sample=False)
        answers.append(writer.write() if grammar else writer.write_freely([processor.end_id], 12))
        reads.append(sum(read))
    hook.remove()
    assert answers[0] == answers[1]
    assert reads[1] < reads[0]


def test_the_head_is_narrowed_without_a_change_to_the_model(pair):
    model, processor = pair
    language_model, columns = model.language_model, torch.tensor([2, 5, 11])
    ids = torch.tensor([[1, 4, 9]])
    whole = language_model.get_output_embeddings()
    expected = language_model(input_ids=ids).logits[..., columns]
    narrowed = with_narrow_head(language_model, columns)
    torch.testing.assert_close(narrowed(input_ids=ids).logits, expected)
    assert language_model.get_output_embeddings() is whole and narrowed.model is language_model.model
    assert with_narrow_head(language_model, None) is language_model


def test_free_answers_end_where_they_should(pair):
    model, processor = pair
    inputs, rules = prompts_and_rules(model, processor)
    generated = model.language_model.generate(
        **inputs, max_new_tokens=30, generation_config=model.generation_config, do_sample=False
    )[:, rules.prompt_length :].tolist()
    end = model.generation_config.eos_token_id
    writer = AnswerWriter(model.language_model, processor, inputs, rules, do_sample=False)
    expected = [up_to_end(ids, end) if end in ids else ids for ids in generated]
    assert writer.write_freely([end], 30) == expected


def test_other_settings_go_to_the_library(pair, monkeypatch):
    model, processor = pair
    asked = []
    generate = type(model).generate
    monkeypatch.setattr(type(model), "generate", lambda *a, **k: asked.append(k) or generate(*a, **k))
    texts = ["a person waves"]
    model.generate_answers("t2m", texts, None, processor, seed=0)
    assert not asked
    for settings in ({"repetition_penalty": 1.2}, {"num_beams": 2, "do_sample": False}, {"min_p": 0.1}):
        assert model.generate_answers("t2m", texts, None, processor, seed=0, **settings)[0][0].valid
    assert len(asked) == 3
    monkeypatch.setattr(model.generation_config, "repetition_penalty", 1.3)
    model.generate_answers("t2m", texts, None, processor, seed=0)
    assert len(asked) == 4


def test_a_sliding_window_is_left_to_the_library(pair):
    model, _ = pair
    assert can_write(model.language_model)
    config = model.language_model.config
    config.layer_types, kept = ["sliding_attention"] * config.num_hidden_layers, getattr(config, "layer_types", None)
    config.sliding_window, window = 8, getattr(config, "sliding_window", None)
    try:
        assert not can_write(model.language_model)
    finally:
        config.layer_types, config.sliding_window = kept, window


def test_threads_on_one_model_write_what_each_alone_writes():
    """Some with grammar and a narrowed head, some free: none sees the head of another."""
    model, processor = tiny_unimo()
    jobs = [(task, grammar) for grammar in (True, False) for task in ("t2m", "m2t")] * 4

    def answer(job):
        task, grammar = job
        texts, codes = ([f"a person {task}"] * 3, None) if task == "t2m" else (None, [[1, 2, 3]] * 3)
        return model.generate_answers(task, texts, codes, processor, grammar=grammar, seed=5, num_samples=2)

    alone = {job: answer(job) for job in set(jobs)}
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(answer, jobs))
    assert together == [alone[job] for job in jobs]
