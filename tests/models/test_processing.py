"""Prompts, completions and answers: one grammar, the same tokens in training and in use, any text."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from test_tokenization import FAMILIES, TEXTS
from tiny_unimo import TOKENIZERS, feature_extractor, plain_processor, processor_of, qwen_tokenizer
from transformers import AutoProcessor

from modeling_unimo import UniMoProcessor, extend_vocabulary
from modeling_unimo.processing_unimo import TASKS, Answer, Given

CODES = [3, 0, 511, 3]
NOT_BLANK = TEXTS.filter(lambda text: text.strip() != "")


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=100, deadline=None)
@given(text=NOT_BLANK.filter(lambda text: len(text) <= 2000))
def test_control_ids_of_a_prompt_are_exactly_the_templates(family, text):
    processor = plain_processor(family)
    reference = processor.encode_prompts("t2m", ["a"])["input_ids"][0].tolist()
    ids = processor.encode_prompts("t2m", [text])["input_ids"][0].tolist()
    controls = processor.control_ids
    assert [i for i in ids if i in controls] == [i for i in reference if i in controls]


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=100, deadline=None)
@given(thought=NOT_BLANK, caption=NOT_BLANK)
def test_any_answer_is_read_back(family, thought, caption):
    processor = plain_processor(family)
    for task in ("t2m", "m2t"):
        answer = processor.completion(task, thought, codes=CODES, caption=caption)
        read = processor.parse(answer, task)
        assert read.valid, read.error
        assert read.thought == thought.strip()
        assert (read.codes, read.caption) == ((CODES, "") if task == "t2m" else ([], caption.strip()))
        other = "m2t" if task == "t2m" else "t2m"
        assert not processor.parse(answer, other).valid


@pytest.mark.parametrize("family", FAMILIES)
def test_ids_are_read_as_strings_are(family):
    processor = plain_processor(family)
    for task in ("t2m", "m2t"):
        answer = processor.completion(task, "the body <Motion_5> leans", codes=CODES, caption="a person walks \\o/")
        ids = processor.tokenizer(answer, add_special_tokens=False)["input_ids"]
        assert processor.parse(ids, task) == processor.parse(answer, task)
        assert processor.parse(np.array(ids), task) == processor.parse(torch.tensor(ids), task)
        assert processor.parse([*ids, processor.pad_id, processor.pad_id], task).valid
        assert not processor.parse(ids[:-1], task).valid
        assert not processor.parse([*ids, processor.pad_id, 5], task).valid
        # Decoders drop the end of turn; a string is whole without it.
        decoded = processor.tokenizer.decode(ids, skip_special_tokens=True)
        assert processor.parse(decoded, task).valid


T2M = "<think>a</think><Motion><Motion_3></Motion>"
M2T = "<think>a</think><Answer>b</Answer>"


@pytest.mark.parametrize(
    ("answer", "task"),
    [
        ("", "t2m"),
        ("a person walks", "t2m"),
        ("<think>a</think>", "t2m"),
        ("<think>a</think><Motion>", "t2m"),
        ("<think>a</think><Motion></Motion>", "t2m"),
        ("<think></think><Motion><Motion_3></Motion>", "t2m"),
        ("<think> \n</think><Motion><Motion_3></Motion>", "t2m"),
        ("<think>\\20;</think><Motion><Motion_3></Motion>", "t2m"),
        ("a</think><Motion><Motion_3></Motion>", "t2m"),
        ("<think>a<Motion><Motion_3></Motion>", "t2m"),
        ("<think>a</think>\n<Motion><Motion_3></Motion>", "t2m"),
        ("<think>a</think><Motion><Motion_3> <Motion_4></Motion>", "t2m"),
        ("<think>a</think><Motion>x<Motion_3></Motion>", "t2m"),
        ("<think>a</think><Motion><Motion_3><think></Motion>", "t2m"),
        ("<think>a</think><Motion><Motion_512></Motion>", "t2m"),
        ("<think>a</think><Motion><Motion_03></Motion>", "t2m"),
        ("<think>a</think><Motion>" + "<Motion_1>" * 50 + "</Motion>", "t2m"),
        ("<think>a</think><Motion><Motion_3>", "t2m"),
        ("<think>a<think>b</think><Motion><Motion_3></Motion>", "t2m"),
        (T2M + T2M, "t2m"),
        (T2M + " and so on", "t2m"),
        (T2M + "<|im_end|><|im_end|>", "t2m"),
        (" " + T2M, "t2m"),
        (T2M, "m2t"),
        (M2T, "t2m"),
        ("<think>a</think><Answer></Answer>", "m2t"),
        ("<think>a</think><Answer>  </Answer>", "m2t"),
        ("<think>a</think><Answer>b<Motion_3></Answer>", "m2t"),
        ("<think>a</think><Answer>b</Answer></Answer>", "m2t"),
        ("<think>a</think><Answer>b", "m2t"),
        ("<Answer>b</Answer>", "m2t"),
    ],
)
def test_answers_that_are_not_whole_are_invalid(answer, task):
    processor = plain_processor("qwen")
    read = processor.parse(answer, task)
    assert not read.valid
    assert read.error
    assert (read.thought, read.codes, read.caption) == ("", [], "")


def test_whole_answers_are_valid():
    processor = plain_processor("qwen")
    assert processor.parse(T2M, "t2m").codes == [3]
    assert processor.parse("<think>a\nb</think><Answer>b\nc</Answer><|im_end|>", "m2t").caption == "b\nc"
    assert len(processor.parse("<think>a</think><Motion>" + "<Motion_1>" * 49 + "</Motion>", "t2m").codes) == 49


@pytest.mark.parametrize("family", FAMILIES)
def test_messages_render_to_the_prompt(family):
    """Trainers render `messages` through the tokenizer's template; it must be the prompt we use."""
    processor = plain_processor(family)
    for task in ("t2m", "m2t"):
        messages = processor.messages(task, text="a person <think> walks", codes=CODES)
        rendered = processor.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        assert rendered == processor.prompt(task, text="a person <think> walks", codes=CODES)
        assert processor.completion("m2t", "t", caption="c")[:7] == "<think>"
        full = processor.tokenizer.apply_chat_template(
            [*messages, {"role": "assistant", "content": "<think>t</think><Answer>c</Answer>"}], tokenize=False
        )
        assert full.rstrip("\n") == rendered + processor.completion("m2t", "t", caption="c")


@pytest.mark.parametrize("family", FAMILIES)
def test_example_is_prompt_then_completion(family):
    processor = plain_processor(family)
    for task in ("t2m", "m2t"):
        example = processor.encode_example(task, "first a step", caption="a person walks", codes=CODES)
        cut = example["completion_mask"].index(1)
        assert set(example["completion_mask"][:cut]) == {0} and set(example["completion_mask"][cut:]) == {1}
        prompt = processor.encode_prompts(task, ["a person walks"], [CODES])["input_ids"][0].tolist()
        assert example["input_ids"][:cut] == prompt
        assert processor.parse(example["input_ids"][cut:], task).valid
        whole = processor.prompt(task, "a person walks", CODES) + processor.completion(
            task, "first a step", CODES, "a person walks"
        )
        assert processor.tokenizer(whole, add_special_tokens=False)["input_ids"] == example["input_ids"]


def test_mixed_batch_is_padded_on_the_left():
    processor = plain_processor("qwen")
    batch = processor.encode_prompts(["t2m", "m2t"], ["a person walks", None], [None, CODES])
    assert batch["input_ids"].shape == batch["attention_mask"].shape
    assert bool((batch["attention_mask"][:, -1] == 1).all())
    for row, (task, text, codes) in enumerate([("t2m", "a person walks", None), ("m2t", None, CODES)]):
        alone = processor.encode_prompts(task, [text], [codes])["input_ids"][0]
        assert torch.equal(batch["input_ids"][row][batch["attention_mask"][row].bool()], alone)


def test_saved_and_loaded(tmp_path):
    processor = processor_of(qwen_tokenizer(), max_thought_tokens=31, system_prompts={"t2m": "Move.", "m2t": "Tell."})
    processor.save_pretrained(tmp_path)
    loaded = UniMoProcessor.from_pretrained(tmp_path)
    assert loaded.max_thought_tokens == 31
    assert loaded.prompt("t2m", "a") == processor.prompt("t2m", "a")
    assert "Move." in loaded.prompt("t2m", "a")
    assert type(loaded.tokenizer) is type(processor.tokenizer)
    assert loaded.feature_extractor.mean == processor.feature_extractor.mean
    assert json.loads((tmp_path / "processor_config.json").read_text())["max_motion_codes"] == 49


def test_call_prepares_text_or_motion():
    processor = plain_processor("qwen")
    assert torch.equal(
        processor(text="a person walks")["input_ids"], processor.encode_prompts("t2m", ["a person walks"])["input_ids"]
    )
    motion = processor(motion=np.zeros((8, 263), np.float32))["motion"]
    assert motion.shape == (1, 8, 263)
    for given_ in ({}, {"text": "a", "motion": motion}):
        with pytest.raises(ValueError, match="exactly one of text and motion"):
            processor(**given_)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"task": "t2t", "text": "a"}, "task must be .*, got 't2t'"),
        ({"task": "t2m", "text": None}, "text must be a string, got None"),
        ({"task": "t2m", "text": ""}, "not be blank"),
        ({"task": "t2m", "text": " \n\u3000"}, "not be blank"),
        ({"task": "t2m", "text": 5}, "must be a string"),
        ({"task": "t2m", "text": "a" * 2001}, "2,001 characters, the limit is 2,000"),
        ({"task": "t2m", "text": "a" * 10_000}, "10,000 characters"),
        ({"task": "m2t", "codes": None}, "codes of the motion are missing"),
        ({"task": "m2t", "codes": []}, "1 to 49 codes"),
        ({"task": "m2t", "codes": [1] * 50}, "1 to 49 codes"),
        ({"task": "m2t", "codes": [[1]]}, "shape"),
        ({"task": "m2t", "codes": [512]}, r"\[0, 511\]"),
        ({"task": "m2t", "codes": [-1]}, r"\[0, 511\]"),
        ({"task": "m2t", "codes": [1.5]}, "integers"),
    ],
)
def test_bad_requests_are_refused(request_, message):
    processor = plain_processor("qwen")
    for method in (processor.prompt, processor.messages):
        with pytest.raises(ValueError, match=message):
            method(**request_)


def test_bad_completions_are_refused():
    processor = plain_processor("qwen")
    with pytest.raises(ValueError, match="thought must not be blank, got ''"):
        processor.completion("t2m", "", codes=[1])
    with pytest.raises(ValueError, match="caption must not be blank, got ' '"):
        processor.completion("m2t", "a", caption=" ")


def test_bad_columns_are_refused():
    processor = plain_processor("qwen")
    with pytest.raises(ValueError, match="differ in length: tasks 1, texts 2"):
        processor.encode_prompts(["t2m"], ["a", "b"])
    with pytest.raises(ValueError, match="texts must be a list of strings"):
        processor.encode_prompts("t2m", "a person walks")
    with pytest.raises(ValueError, match="must be given"):
        processor.encode_prompts("t2m")


def test_bad_parts_are_refused():
    with pytest.raises(ValueError, match="no motion vocabulary"):
        UniMoProcessor(feature_extractor(), qwen_tokenizer())
    tokenizer = qwen_tokenizer()
    extend_vocabulary(tokenizer)
    with pytest.raises(ValueError, match="max_motion_codes"):
        UniMoProcessor(feature_extractor(), tokenizer, max_motion_codes=0)
    with pytest.raises(ValueError, match="system_prompts"):
        UniMoProcessor(feature_extractor(), tokenizer, system_prompts={"t2m": "x"})
    with pytest.raises(ValueError, match="chat template"):
        UniMoProcessor(feature_extractor(), tokenizer, chat_template="{{ messages[0]['content'] }}")
    tokenizer.pad_token = tokenizer.eos_token
    with pytest.raises(ValueError, match="pad token"):
        UniMoProcessor(feature_extractor(), tokenizer)


@pytest.mark.parametrize(
    ("seconds", "codes"),
    [(0.2, 1), (0.29, 1), (0.31, 2), (1, 5), (2.5, 13), (3.3, 17), (9.8, 49), (np.float32(0.2), 1), (9.79, 49)],
)
def test_duration_is_rounded_to_whole_codes(seconds, codes):
    assert plain_processor("qwen").codes_of_duration(seconds) == codes


@pytest.mark.parametrize("seconds", [0, 0.1, 0.19, 9.9, 1000, -1, float("nan"), float("inf"), "2", None, True])
def test_bad_durations_are_refused(seconds):
    with pytest.raises(ValueError, match="0.2 to 9.8 seconds"):
        plain_processor("qwen").codes_of_duration(seconds)


@pytest.mark.parametrize("family", FAMILIES)
def test_text_ids_hold_no_control_token(family):
    processor = processor_of(TOKENIZERS[family]())
    text, visible = processor.text_ids
    assert not set(text.tolist()) & processor.control_ids.keys()
    assert set(visible.tolist()) < set(text.tolist())
    for id_ in visible.tolist():
        assert processor.tokenizer.decode([id_]).strip()


@pytest.mark.parametrize("family", ["qwen", "llama"])
def test_answers_without_thoughts(family, tmp_path):
    processor = plain_processor(family, thoughts=False)
    completion = processor.completion("t2m", "", codes=[3, 4])
    assert completion.startswith("<Motion><Motion_3><Motion_4></Motion>")
    assert processor.parse(completion, "t2m") == Answer(True, "", [3, 4])
    example = processor.encode_example("m2t", "", caption="a person waves", codes=[3])
    assert "<think>" not in processor.tokenizer.decode(example["input_ids"])
    answer = processor.parse(processor.completion("m2t", "never used", caption="a person waves"), "m2t")
    assert answer == Answer(True, "", [], "a person waves")
    # Either kind refuses the answers of the other, and the choice travels with the processor.
    thinking = plain_processor(family)
    assert not thinking.parse(completion, "t2m").valid
    assert not processor.parse(thinking.completion("t2m", "hm", codes=[3]), "t2m").valid
    processor.save_pretrained(tmp_path)
    assert UniMoProcessor.from_pretrained(tmp_path).thoughts is False


# ---------------------------------------------------------------- with a thought or without


def test_the_other_way_differs_in_prompts_and_grammar_alone(tmp_path):
    processor = processor_of(qwen_tokenizer(), optional_thoughts=True, max_motion_codes=7)
    prompts = {task: processor.prompt(task, "a person walks", [1, 2]) for task in TASKS}
    plain = processor.thinking(False)
    assert plain.thinking(True).prompt("t2m", "a person walks") == prompts["t2m"]
    assert plain.thinking(False) is plain and processor.thinking(None) is processor.thinking(True) is processor
    never = plain_processor("qwen", thoughts=False)
    for task in TASKS:
        assert plain.prompt(task, "a person walks", [1, 2]) == never.prompt(task, "a person walks", [1, 2])
        assert processor.prompt(task, "a person walks", [1, 2]) == prompts[task]
        answer = plain.completion(task, "unused", [1, 2], "a person walks")
        assert answer == never.completion(task, "unused", [1, 2], "a person walks") and plain.parse(answer, task).valid
        assert not processor.parse(answer, task).valid
    assert plain.tokenizer is processor.tokenizer and plain.max_motion_codes == 7
    processor.save_pretrained(tmp_path)
    loaded = UniMoProcessor.from_pretrained(tmp_path)
    assert loaded.optional_thoughts and loaded.thoughts and not loaded.thinking(False).thoughts


@pytest.mark.parametrize(("thoughts", "taught"), [(True, "with a thought alone"), (False, "without a thought alone")])
def test_a_way_that_was_not_taught_is_refused(thoughts, taught):
    with pytest.raises(ValueError, match=f"think={not thoughts}: this model was taught to answer {taught}"):
        plain_processor("qwen", thoughts).thinking(not thoughts)


# ---------------------------------------------------------------- tasks with given motion


def test_tasks_with_given_motion_have_their_prompts():
    processor = processor_of(qwen_tokenizer(), tasks=["t2m", "m2t", "continue", "fill"])
    known = processor.vocabulary
    go_on, fill = Given([1, 2]), Given([1, 2], [3], 12)
    for task, shown in (("continue", go_on), ("fill", fill)):
        text = "a <Motion>strange</Motion> text"
        ids = processor.prompt_ids(task, text, shown)
        assert ids == processor.tokenizer(processor.prompt(task, text, shown), add_special_tokens=False)["input_ids"]
        inside = [id_ for id_ in ids if id_ in (known.motion_start, known.motion_end, *known.codes)]
        before = [known.motion_start, known.codes[1], known.codes[2], known.motion_end]
        assert inside == before + ([known.motion_start, known.codes[3], known.motion_end] if task == "fill" else [])
        assert processor.messages(task, text, shown)[0]["content"] == processor.system_prompts[task]
    assert "12" in processor.prompt("fill", "x", fill)
    assert processor.parse(processor.completion_ids("fill", "so", [4, 5]), "fill").codes == [4, 5]


def test_given_motion_that_is_none_is_refused():
    processor = processor_of(qwen_tokenizer(), tasks=["t2m", "m2t", "continue", "fill"])
    for task, shown, message in (
        ("continue", [1, 2], "needs what is Given, got list"),
        ("continue", None, "needs what is Given"),
        ("continue", Given([]), "1 to 49 codes"),
        ("continue", Given([1], [2]), "nothing behind"),
        ("fill", Given([1], [], 3), "1 to 49 codes"),
        ("fill", Given([1], [2]), "count must be an integer"),
        ("fill", Given([1], [2], 50), r"count must be in \[1, 49\]"),
        ("fill", Given([1], [600], 5), "integers in"),
    ):
        with pytest.raises(ValueError, match=message):
            processor.prompt_ids(task, "a person walks", shown)
    with pytest.raises(ValueError, match="the codes of the motion are missing"):
        processor.prompt_ids("m2t", None, Given([1]))


def test_a_model_of_two_tasks_refuses_the_others():
    processor = plain_processor("qwen")
    assert processor.tasks == ["t2m", "m2t"] == list(processor.system_prompts)
    with pytest.raises(ValueError, match="got 'fill'"):
        processor.prompt_ids("fill", "a", Given([1], [2], 3))
    for tasks in (["t2m"], ["t2m", "m2t", "dance"], ["t2m", "m2t", "m2t"]):
        with pytest.raises(ValueError, match="the first two always"):
            UniMoProcessor(feature_extractor(), processor.tokenizer, tasks=tasks)


def test_what_was_taught_is_saved(tmp_path):
    processor = processor_of(qwen_tokenizer(), tasks=["m2t", "t2m", "fill"], system_prompts={"t2m": "A.", "m2t": "B."})
    processor.save_pretrained(tmp_path)
    loaded = AutoProcessor.from_pretrained(tmp_path)
    assert loaded.tasks == ["t2m", "m2t", "fill"] and loaded.system_prompts == processor.system_prompts
    assert loaded.system_prompts["t2m"] == "A." and "between" in loaded.system_prompts["fill"]
