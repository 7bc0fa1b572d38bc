"""Text to motion with a language model of Qwen2.5-0.5B's shape, and its decode step inside `<Motion>`."""

import os
from collections.abc import Sequence
from functools import partial

import torch

from benchmarks import networks, plain
from benchmarks.networks import Setting
from benchmarks.timing import Item, Way, in_turns
from modeling_unimo import UniMoForConditionalGeneration, UniMoProcessor

_GOALS = {"cpu": 8.0, "cuda": 40.0}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def model_of(setting: Setting) -> tuple[UniMoForConditionalGeneration, UniMoProcessor]:
    """The 0.5B-shaped model with random weights.

    Args:
        setting: Device, sizes and repeats of the run.

    Returns:
        Model and processor.
    """
    torch.manual_seed(0)
    return networks.unimo(setting, networks.TINY_LM if setting.tiny else networks.QWEN_05B)


def body_size(language_model) -> int:
    """Parameters of a language model that every token goes through, without its vocabulary.

    Args:
        language_model: A causal language model.

    Returns:
        Their number.
    """
    embeddings = language_model.get_input_embeddings().weight.numel()
    return sum(parameter.numel() for parameter in language_model.model.parameters()) - embeddings


def least_work(
    model: UniMoForConditionalGeneration,
    processor: UniMoProcessor,
    texts: Sequence[str],
    thoughts: Sequence[int],
    codes: Sequence[int],
    dtype: torch.dtype,
) -> tuple[float, float]:
    """What text-to-motion answers of such lengths take at least, however they are batched.

    What all prompts begin with is read once. A token goes through the body once; the whole head is for tokens of a
    thought and the rows of the motion tokens for codes. A pass reads the weights and every state cached so far, and
    there are as many as tokens to choose in the longest answer. Products of attention are left out.

    Args:
        model: The UniMo model.
        processor: Its processor.
        texts: Captions that were asked.
        thoughts: Tokens of each answer's thought.
        codes: Codes of each answer.
        dtype: Of what is read.

    Returns:
        Floating point operations, and bytes read and written.
    """
    config = model.config.text_config
    prompts = processor.encode_prompts(["t2m"] * len(texts), list(texts), [None] * len(texts), return_tensors=None)
    prompts = [
        [token for token, real in zip(*row, strict=True) if real]
        for row in zip(prompts["input_ids"], prompts["attention_mask"], strict=True)
    ]
    shared = len(os.path.commonprefix(prompts))
    body, head = body_size(model.language_model), model.language_model.get_output_embeddings().weight.numel()
    narrow = (len(processor.vocabulary.codes) + 1) * config.hidden_size
    tags = 3 if processor.thoughts else 1  # around a thought, and before the codes, of which the last is not read
    read = shared + sum(len(prompt) - shared for prompt in prompts)
    read += sum(thoughts) + sum(codes) + len(texts) * (tags - 1)
    operations = 2.0 * (body * read + head * sum(thoughts) + narrow * sum(codes))
    passes = max(thoughts) + max(codes)
    states = shared * passes
    for prompt, thought, code in zip(prompts, thoughts, codes, strict=True):
        chosen = thought + code
        states += chosen * (len(prompt) - shared) + chosen * (chosen - 1) // 2
    states *= 2 * config.num_hidden_layers * config.num_key_value_heads
    states *= config.hidden_size // config.num_attention_heads
    moved = body * passes + head * max(thoughts) + narrow * max(codes) + states
    return operations, float(moved * dtype.itemsize)


def text_to_motion(setting: Setting) -> Item:
    """64 captions with a thought of 60 tokens and 40 codes each, decoded to joints.

    Args:
        setting: Device, sizes and repeats of the run.

    Returns:
        Its ways in captions a second.
    """
    count, thought, codes = (6, 5, 4) if setting.tiny else (64, 60, 40)
    baseline = 1 if setting.tiny or setting.quick else 4
    model, processor = model_of(setting)
    texts = networks.captions(count)
    a_code = processor.feature_extractor.unit_length / processor.feature_extractor.fps  # seconds

    def ours(thought: int = thought, codes: int = codes) -> None:
        motions = model.generate_motion(
            texts, processor, duration=codes * a_code, max_thought_tokens=thought, batch_size=64, seed=0
        )
        if any(len(motion.codes) != codes for motion in motions):
            raise RuntimeError("an answer does not have the number of codes that it was asked for")

    def published(text: str, thought: int = thought, codes: int = codes) -> None:
        plain.text_to_motion(model, processor, text, codes, max_thought_tokens=thought)

    item = Item(
        "text_to_motion",
        f"text to motion, {count} captions, LM of {body_size(model.language_model) / 1e6:.0f}M parameters and "
        f"{model.config.text_config.vocab_size:,} rows, {thought} thought tokens and {codes} codes",
        "captions",
    )
    for name, dtype in DTYPES.items():
        model.language_model.to(dtype)
        published(texts[0], 1, 1)
        ours(1, 1)
        alone = [partial(published, text) for text in texts[:baseline]]
        seconds = in_turns({"alone": alone, "ours": [ours] * setting.repeats(2)}, setting.device)
        published_way = Way(f"one by one, whole head, {name}", seconds["alone"], 1, dtype=name)
        operations, moved = least_work(model, processor, texts, [thought] * count, [codes] * count, dtype)
        goal = _GOALS[setting.device.type]
        item.ways += [
            published_way,
            Way(f"ours, {name}", seconds["ours"], count, operations, moved, name, published_way.name, goal),
        ]
    item.note = (
        f"The baseline answers {baseline} captions, one a repeat, by the library's `generate` with the grammar; "
        "ours comes between. The limit reads what all prompts begin with once, and the weights once a token."
    )
    return item


def decode_step(setting: Setting) -> Item:
    """A step of a batch that writes codes: 513 rows of the head against all, the bytes against the bandwidth.

    Args:
        setting: Device, sizes and repeats of the run.

    Returns:
        Its ways in steps of the whole batch a second.
    """
    batch, few, many = (4, 2, 4) if setting.tiny else (64, 4, 12 if setting.device.type == "cpu" else 40)
    model, processor = model_of(setting)
    plainly = UniMoProcessor(processor.feature_extractor, processor.tokenizer, thoughts=False)
    texts = networks.captions(batch)
    config = model.config.text_config
    item = Item("decode_step", f"one decode step inside <Motion>, batch {batch}", "steps")

    def library(codes: int) -> None:
        plain.answers(model, plainly, texts, codes)

    def ours(codes: int) -> None:
        length = codes * plainly.feature_extractor.unit_length / plainly.feature_extractor.fps
        model.generate_answers("t2m", texts, None, plainly, durations=[length] * batch, batch_size=batch)

    for name in ("bfloat16",) if setting.device.type == "cuda" else DTYPES:
        dtype = DTYPES[name]
        model.language_model.to(dtype)
        context = int(plainly.encode_prompts(["t2m"], texts[:1], [None])["attention_mask"].sum()) + many // 2
        cached = 2 * config.num_hidden_layers * batch * config.num_key_value_heads
        cached *= context * config.hidden_size // config.num_attention_heads
        read = body_size(model.language_model) + 513 * config.hidden_size + cached
        ways = {f"library's generate, whole head, {name}": library, f"ours, {name}": ours}
        calls = {}
        for title, write in ways.items():
            write(few)
            for codes in (many, few):
                calls[title, codes] = [partial(write, codes)] * setting.repeats(2)
        seconds = in_turns(calls, setting.device)
        # What a step takes, prompts and decoding apart: a longer answer against a shorter one.
        steps = {
            title: [max(1e-9, a - b) for a, b in zip(seconds[title, many], seconds[title, few], strict=True)]
            for title in ways
        }
        baseline, way = (Way(title, times, many - few, dtype=name) for title, times in steps.items())
        way.baseline, way.limit_goal = baseline.name, 0.6 if setting.device.type == "cuda" else None
        way.operations = 2.0 * batch * (many - few) * body_size(model.language_model)
        way.moved = float((many - few) * read * dtype.itemsize)
        item.ways += [baseline, way]
    item.note = "A step is the difference of answers of two lengths; the limit reads weights, 513 rows and the cache."
    return item


def batch_growth(setting: Setting) -> Item:
    """Seconds a clip over the number of clips sampled at once.

    Args:
        setting: Device, sizes and repeats of the run.

    Returns:
        A way for each batch size, in clips a second.
    """
    thought, codes = (2, 2) if setting.tiny else (12, 8)
    sizes = (1, 2, 4) if setting.tiny else (1, 4, 16, 64) if setting.quick else (1, 2, 4, 8, 16, 32, 64)
    model, processor = model_of(setting)
    model.language_model.to(torch.bfloat16)
    length = codes * processor.feature_extractor.unit_length / processor.feature_extractor.fps
    item = Item("batch_growth", f"sampling by batch size, {thought} thought tokens, {codes} codes, bfloat16", "clips")

    def write(size: int) -> None:
        model.generate_motion(
            networks.captions(size), processor, duration=length, max_thought_tokens=thought, batch_size=size, seed=0
        )

    write(1)
    # Every size as often, in turn: what else the machine does falls on all of them.
    times = in_turns({n: [partial(write, n)] * setting.repeats(2) for n in sizes}, setting.device)
    for size in sizes:
        item.ways.append(Way(f"batch {size}", times[size], size, baseline="batch 1" if size > 1 else None))
    points = [(size, 1 / way.rate) for size, way in zip(sizes, item.ways, strict=True)]
    falls = all(after < before for (_, before), (_, after) in zip(points, points[1:], strict=False))
    item.facts = {"time a clip falls with every larger batch": falls}
    item.series = {"Sampling": {"x": "batch size", "y": "seconds a clip", "points": {"sampling": points}}}
    return item
