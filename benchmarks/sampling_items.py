"""Text to motion with a language model of Qwen2.5-0.5B's shape, and its decode step inside `<Motion>`."""

import torch

from benchmarks import networks, plain
from benchmarks.networks import Setting
from benchmarks.timing import Item, Way, timed
from modeling_unimo import UniMoForConditionalGeneration, UniMoProcessor

_GOALS = {"cpu": 8.0, "cuda": 40.0}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def model_of(setting: Setting) -> tuple[UniMoForConditionalGeneration, UniMoProcessor]:
    """The 0.5B-shaped model with random weights."""
    torch.manual_seed(0)
    return networks.unimo(setting, networks.TINY_LM if setting.tiny else networks.QWEN_05B)


def body_size(language_model) -> int:
    """Parameters of a language model that every token goes through, without its vocabulary."""
    embeddings = language_model.get_input_embeddings().weight.numel()
    return sum(parameter.numel() for parameter in language_model.model.parameters()) - embeddings


def text_to_motion(setting: Setting) -> Item:
    """64 captions with a thought of 60 tokens and 40 codes each, decoded to joints."""
    count, thought, codes = (6, 5, 4) if setting.tiny else (64, 60, 40)
    baseline = 1 if setting.tiny or setting.quick else 4
    model, processor = model_of(setting)
    texts = networks.captions(count)
    prompts = sum(processor.encode_prompts(["t2m"] * count, texts, [None] * count)["attention_mask"].sum(-1).tolist())
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
    vocabulary = model.language_model.get_output_embeddings().weight.numel()
    tokens = prompts + count * (thought + codes + 4)
    operations = 2.0 * (body_size(model.language_model) * tokens + vocabulary * count * (thought + 1))
    for name, dtype in DTYPES.items():
        model.language_model.to(dtype)
        published(texts[0], 1, 1)
        ours(1, 1)
        alone = [timed(lambda text=text: published(text), setting.device) for text in texts[:baseline]]
        together = [timed(ours, setting.device) for _ in range(setting.repeats(2))]
        published_way = Way(f"one by one, whole head, {name}", alone, 1, dtype=name)
        goal = _GOALS[setting.device.type]
        item.ways += [
            published_way,
            Way(f"ours, {name}", together, count, operations, None, name, published_way.name, goal),
        ]
    item.note = (
        f"The baseline answers {baseline} of the captions, one a repeat, by the library's `generate` with the grammar."
    )
    return item


def decode_step(setting: Setting) -> Item:
    """A step of a batch that writes codes: 513 rows of the head against all, the bytes against the bandwidth."""
    batch, few, many = (4, 2, 4) if setting.tiny else (64, 4, 12 if setting.device.type == "cpu" else 40)
    model, processor = model_of(setting)
    plainly = UniMoProcessor(processor.feature_extractor, processor.tokenizer, thoughts=False)
    texts = networks.captions(batch)
    config = model.config.text_config
    item = Item("decode_step", f"one decode step inside <Motion>, batch {batch}", "steps")

    def written(codes: int, by_library: bool) -> None:
        # A setting that only the library follows, and that changes nothing, sends the batch to its `generate`.
        more = {"min_p": 1e-12} if by_library else {}
        length = codes * plainly.feature_extractor.unit_length / plainly.feature_extractor.fps
        model.generate_answers("t2m", texts, None, plainly, durations=[length] * batch, batch_size=batch, **more)

    for name in ("bfloat16",) if setting.device.type == "cuda" else DTYPES:
        dtype = DTYPES[name]
        model.language_model.to(dtype)
        context = int(plainly.encode_prompts(["t2m"], texts[:1], [None])["attention_mask"].sum()) + many // 2
        cached = 2 * config.num_hidden_layers * batch * config.num_key_value_heads
        cached *= context * config.hidden_size // config.num_attention_heads
        read = body_size(model.language_model) + 513 * config.hidden_size + cached
        for by_library in (True, False):
            written(few, by_library)
            steps = []
            for _ in range(setting.repeats(2)):
                # What a step takes, prompts and decoding apart: a longer answer against a shorter one.
                longer = timed(lambda by=by_library: written(many, by), setting.device)
                steps.append(max(1e-9, longer - timed(lambda by=by_library: written(few, by), setting.device)))
            library = f"library's generate, whole head, {name}"
            if by_library:
                item.ways.append(Way(library, steps, many - few, dtype=name))
                continue
            goal = 0.6 if setting.device.type == "cuda" else None
            moved = float((many - few) * read * dtype.itemsize)
            operations = 2.0 * batch * (many - few) * body_size(model.language_model)
            item.ways.append(
                Way(f"ours, {name}", steps, many - few, operations, moved, name, library, limit_goal=goal)
            )
    item.note = "A step is the difference of answers of two lengths; the limit reads weights, 513 rows and the cache."
    return item


def batch_growth(setting: Setting) -> Item:
    """Seconds a clip over the number of clips sampled at once."""
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
    for size in sizes:
        times = [timed(lambda size=size: write(size), setting.device) for _ in range(setting.repeats(2))]
        item.ways.append(Way(f"batch {size}", times, size, baseline="batch 1" if size > 1 else None))
    points = [(size, 1 / way.rate) for size, way in zip(sizes, item.ways, strict=True)]
    falls = all(after < before for (_, before), (_, after) in zip(points, points[1:], strict=False))
    item.facts = {"time a clip falls with every larger batch": falls}
    item.series = {"Sampling": {"x": "batch size", "y": "seconds a clip", "points": {"sampling": points}}}
    return item
