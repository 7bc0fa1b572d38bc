"""train/sft.py on tiny folders: what is logged, packed, adapted, validated, refused, and what stays when it breaks."""

import json
import math
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import trl
from accelerate.data_loader import BatchSamplerShard
from packaging.version import Version
from tiny_data import dataset_folder, entries
from tiny_unimo import TOKENIZERS, feature_extractor, plain_processor, tiny_lm, tiny_vqvae
from torch.utils.data import BatchSampler, SequentialSampler
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    Gemma2Config,
    GPT2Config,
    GPT2LMHeadModel,
    GraniteConfig,
    Qwen2Config,
    Qwen2Model,
    Qwen2MoeConfig,
    Trainer,
)
from trl import SFTConfig, SFTTrainer, pack_dataset
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from modeling_unimo import UniMoProcessor, extend_vocabulary
from train import sft
from train.engine import stages
from train.engine.lora import merged, with_adapters
from train.engine.stages import StageTrainer
from train.engine.vocabulary_rows import owned_ids, rows_to_train
from train.supervised import learned_head, sft_trainer, sft_training
from train.supervised.backbone import words_before_training
from train.supervised.learned_head import score_learned_tokens
from train.supervised.position_gaps import gapped_positions
from train.supervised.sft_examples import encoder, every_pair, schedule, tokenized

# TRL 1.14, the last for Python 3.10, keeps the losses of single tokens to itself: there, parts are not logged.
BY_PART = Version(trl.__version__) >= Version("1.16")
needs_parts = pytest.mark.skipif(not BY_PART, reason="this TRL gives no loss per token")

REPOSITORY = Path(__file__).resolve().parents[2]
NEW_MODEL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 48,
    "max_position_embeddings": 2048,
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A dataset, a VQ-VAE and base models: tied (qwen), not tied (llama), with a table of positions (gpt2)."""
    root = tmp_path_factory.mktemp("sft")
    dataset_folder(root / "data", train=10, validation=3)
    (root / "new_model.yaml").write_text(json.dumps({"new_model": NEW_MODEL, "new_vocab_size": 320}))
    vqvae = root / "vqvae"
    tiny_vqvae().save_pretrained(vqvae)
    feature_extractor().save_pretrained(vqvae)
    for family in ("qwen", "llama"):
        tokenizer = TOKENIZERS[family]()
        tiny_lm(tokenizer, family).save_pretrained(root / family)
        tokenizer.save_pretrained(root / family)
    with_table = GPT2Config(vocab_size=len(tokenizer), n_embd=32, n_layer=1, n_head=2)
    GPT2LMHeadModel(with_table).save_pretrained(root / "gpt2")
    tokenizer.save_pretrained(root / "gpt2")
    return root


def argv(folders, output, **settings):
    settings = {
        "dataset": folders / "data",
        "vqvae": folders / "vqvae",
        "output_dir": output,
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "report_to": "none",
        "disable_tqdm": True,
        "max_length": 1024,
        "per_device_train_batch_size": 2,
        "max_steps": 4,
        "learning_rate": 1e-2,
        "logging_steps": 1,
        "save_strategy": "no",
        "t2m_only_fraction": 0.5,
    } | settings
    if "base_model" not in settings:
        settings |= {"config": folders / "new_model.yaml"}
    settings = {name: value for name, value in settings.items() if value is not None}
    return [word for name, value in settings.items() for word in (f"--{name}", str(value))]


def train(folders, output, **settings):
    """Runs the script; what it logged, entry by entry."""
    sft.main(argv(folders, output, **settings))
    return json.loads((Path(output) / "curves.json").read_text())


# ----------------------------------------------------------------------------------------- tasks of clips that are cut


def test_tasks_that_clips_are_cut_for_are_taught_and_declared(folders, tmp_path, monkeypatch):
    seen = []
    plain = sft_training.schedule

    def note(*arguments, **options):
        seen.append(plain(*arguments, **options))
        return seen[-1]

    monkeypatch.setattr(sft_training, "schedule", note)
    shares = {"continue_share": 0.4, "fill_share": 0.4, "t2m_only_fraction": 0.0, "max_steps": 8}
    train(folders, tmp_path / "taught", **shares, eval_strategy="steps", eval_steps=8)
    assert {example.task for example in seen[0]} >= {"continue", "fill"}
    processor = UniMoProcessor.from_pretrained(tmp_path / "taught")
    assert processor.tasks == ["t2m", "m2t", "continue", "fill"]
    train(folders, tmp_path / "plain", max_steps=1)
    assert UniMoProcessor.from_pretrained(tmp_path / "plain").tasks == ["t2m", "m2t"]
    with pytest.raises(SystemExit):
        sft.main(argv(folders, tmp_path / "never", continue_share=0.7, fill_share=0.7))


# ---------------------------------------------------------------------------------------------- words that are taught


def taught(folder):
    return json.loads((folder / "processor_config.json").read_text())["taught_words"]


def test_the_words_of_the_captions_are_saved_and_added_to(folders, tmp_path):
    dataset = tmp_path / "data"
    dataset_folder(dataset, train=1)  # "a person walks forward" and "a person walks forward again"
    settings = {"guard_every": 0, "max_steps": 1}
    train(folders, tmp_path / "first", dataset=dataset, **settings)
    assert taught(tmp_path / "first") == ["a", "again", "forward", "person", "walks"]
    train(folders, tmp_path / "second", base_model=tmp_path / "first", max_steps=10, guard_every=0)
    assert {"forward", "twice", "waves"} <= set(taught(tmp_path / "second"))


@pytest.mark.parametrize("has_words", [True, False])
def test_a_base_trained_before_the_words_were_kept_stays_unknown(folders, tmp_path, has_words):
    tokenizer = AutoTokenizer.from_pretrained(folders / "qwen")
    assert words_before_training(str(folders / "qwen"), tokenizer) == []
    extend_vocabulary(tokenizer)
    processor = UniMoProcessor(feature_extractor(), tokenizer, taught_words=["walks"] if has_words else None)
    processor.save_pretrained(tmp_path / "base")
    assert words_before_training(str(tmp_path / "base"), tokenizer) == (["walks"] if has_words else None)


# ------------------------------------------------------------------------------------------------- what is logged


@needs_parts
def test_parts_and_tasks_are_logged_apart(folders, tmp_path):
    curves = train(folders, tmp_path / "run", eval_strategy="steps", eval_steps=4)
    steps = [entry for entry in curves if "loss" in entry]
    assert len(steps) == 4
    alone = [(entry, task) for entry in steps for task in ("t2m", "m2t") if {f"loss/{task}"} == tasks_of(entry)]
    assert {task for _, task in alone} == {"t2m", "m2t"}
    for entry, task in alone:
        assert entry[f"loss/{task}"] == pytest.approx(entry["loss"], abs=1e-4)
        assert entry[f"accuracy/{task}"] == pytest.approx(entry["mean_token_accuracy"], abs=1e-4)
        answered, other = ("motion", "answer") if task == "t2m" else ("answer", "motion")
        low, high = sorted((entry["loss/thought"], entry[f"loss/{answered}"]))
        assert low <= entry["loss"] <= high and f"loss/{other}" not in entry
    assert json.loads((tmp_path / "run" / "guards.json").read_text())["watched"] == ["motion_tokens", "tasks"]
    [validation] = [entry for entry in curves if "eval_loss" in entry]
    kinds = ("loss", "accuracy")
    assert {f"eval_{kind}/{part}" for kind in kinds for part in ("thought", "motion", "answer", "t2m", "m2t")} <= set(
        validation
    )
    low, high = sorted((validation["eval_loss/t2m"], validation["eval_loss/m2t"]))
    assert low <= validation["eval_loss"] <= high


@needs_parts
def test_thoughts_weigh_in_the_loss_what_they_are_said_to(folders, tmp_path):
    settings = {"max_steps": 1, "t2m_only_fraction": 1.0, "no_thought_share": 0.0}
    plain = train(folders, tmp_path / "plain", **settings)[0]
    weighted = train(folders, tmp_path / "weighted", thought_weight=0.25, **settings)[0]
    parts = ("loss/thought", "loss/motion", "accuracy/thought", "accuracy/motion")
    assert [weighted[part] for part in parts] == [plain[part] for part in parts]
    # The mean over all tokens of both parts says how many of them are thoughts.
    share = (plain["loss"] - plain["loss/motion"]) / (plain["loss/thought"] - plain["loss/motion"])
    assert weighted["loss"] == pytest.approx(plain["loss"] - 0.75 * share * plain["loss/thought"], rel=1e-3)


def test_a_share_of_answers_without_thoughts_makes_a_model_of_both(folders, tmp_path):
    train(folders, tmp_path / "both", no_thought_share=0.5, max_steps=2)
    processor = UniMoProcessor.from_pretrained(tmp_path / "both")
    assert processor.thoughts and processor.optional_thoughts and not processor.thinking(False).thoughts
    train(folders, tmp_path / "one", max_steps=1)
    with pytest.raises(ValueError, match="think=False: .* train/sft.py with no_thought_share above 0"):
        UniMoProcessor.from_pretrained(tmp_path / "one").thinking(False)


@needs_parts
@pytest.mark.parametrize("settings", [{"loss_type": "dft"}, {"label_smoothing_factor": 0.1}], ids=str)
def test_other_losses_are_logged_by_part_too(folders, tmp_path, settings):
    """What is logged is the plain likelihood, whatever is learned from."""
    plain = train(folders, tmp_path / "plain", max_steps=1)[0]
    other = train(folders, tmp_path / "other", max_steps=1, **settings)[0]
    assert other["loss"] != plain["loss"] and other["loss/t2m"] == plain["loss/t2m"]


def test_a_trl_without_a_loss_a_token_is_told_once(folders, tmp_path, monkeypatch, capsys):
    """As on Python 3.10; TRL itself goes by the Trainer's own loss there."""
    train(folders, tmp_path / "first", max_steps=1)
    assert ("gives no loss per token" in capsys.readouterr().out) == (not BY_PART)
    monkeypatch.setattr(SFTTrainer, "compute_loss", Trainer.compute_loss)
    curves = train(folders, tmp_path / "second")
    assert capsys.readouterr().out.count(f"[sft] TRL {trl.__version__} gives no loss per token") == 1
    assert not [key for entry in curves for key in entry if key.startswith(("loss/", "accuracy/"))]


def tasks_of(entry):
    return {"loss/t2m", "loss/m2t"} & entry.keys()


# --------------------------------------------------------------------------------------------------------- the head

SMALL = {
    "vocab_size": 97, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "head_dim": 8, "max_position_embeddings": 64, "pad_token_id": 0,
}  # fmt: skip
EXPERTS = {
    "num_experts": 3,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 8,
    "shared_expert_intermediate_size": 8,
}
FAMILIES = {
    "tied": Qwen2Config(**SMALL, tie_word_embeddings=True),
    "bias": GPT2Config(vocab_size=97, n_embd=16, n_layer=1, n_head=2),
    "capped": Gemma2Config(**SMALL, final_logit_softcapping=2.0),
    "scaled": GraniteConfig(**SMALL, logits_scaling=3.0),
    "experts": Qwen2MoeConfig(**SMALL, **EXPERTS, output_router_logits=True),
}


def new_lm(family):
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(FAMILIES[family], attn_implementation="eager").train()


def half_learned(rows=3, length=11):
    ids = torch.randint(1, 97, (rows, length), generator=torch.Generator().manual_seed(1))
    labels = ids.clone()
    for row in range(rows):
        labels[row, : 3 + row] = -100  # prompts and paddings of several lengths
        labels[row, length - row :] = -100
    return ids, labels


@needs_parts
@pytest.mark.parametrize("held", [learned_head.HELD, 0], ids=["held", "tiles"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_head_of_learned_tokens_is_trls(family, held, monkeypatch):
    from trl.trainer.utils import add_fused_lm_head

    monkeypatch.setattr(learned_head, "HELD", held)
    ids, labels = half_learned()
    results = []
    for ours in (False, True):
        model = new_lm(family)
        if family == "bias":
            model.lm_head.bias = torch.nn.Parameter(torch.linspace(-1, 1, 97))
        add_fused_lm_head(model, outputs=("log_probs", "entropy", "is_top1"))
        if ours:
            score_learned_tokens(model)
        plain = model(input_ids=ids, use_cache=False).logits
        scores = model(input_ids=ids, labels=labels, fused_lm_head=True, use_cache=False)
        loss = -(scores.log_probs * torch.arange(10)).sum() + (scores.aux_loss or 0.0)
        loss.backward()
        gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        values = {name: scores[name] for name in ("log_probs", "entropy", "is_top1", "label_mask")}
        results.append([plain, values, loss, gradients])
    torch.testing.assert_close(results[1], results[0], rtol=1e-4, atol=1e-6)
    assert len(results[1][3]) > 8 and results[1][1]["label_mask"].sum() == (labels[:, 1:] != -100).sum()


@needs_parts
@pytest.mark.parametrize("held", [learned_head.HELD, 0], ids=["held", "tiles"])
def test_logits_are_of_learned_tokens_alone(held, monkeypatch):
    """And of a few more, up to a round number; also where there are none, which gives a gradient of zero."""
    from trl.trainer.utils import add_fused_lm_head

    monkeypatch.setattr(learned_head, "HELD", held)
    monkeypatch.setattr(learned_head, "ROWS", 4)
    rows = []
    product = torch.mm
    monkeypatch.setattr(torch, "mm", lambda a, b, **kwargs: (rows.append(len(a)), product(a, b, **kwargs))[1])
    model = new_lm("tied")
    model.lm_head.register_forward_pre_hook(lambda _, inputs: rows.append(inputs[0].shape[:-1].numel()))
    add_fused_lm_head(model, outputs=("log_probs", "entropy", "is_top1"))
    score_learned_tokens(model)
    ids, labels = half_learned()
    for answered in (labels, torch.full_like(labels, -100)):
        rows.clear()
        scores = model(input_ids=ids, labels=answered, fused_lm_head=True)
        learned = int((answered[:, 1:] != -100).sum())
        assert set(rows) <= {math.ceil(learned / 4) * 4} and scores.log_probs.shape == (3, 10)
        (-scores.log_probs.sum()).backward()
    assert model.model.embed_tokens.weight.grad.isfinite().all() and scores.log_probs.eq(0).all()


@pytest.mark.slow
def test_compiled_training_is_training(folders, tmp_path):
    """Traced and differentiated as for any backend; generating code, which takes a minute, adds nothing of ours."""
    settings = {"base_model": folders / "qwen", "max_steps": 2, "learning_rate": 1e-3, "guard_every": 0}
    plain = train(folders, tmp_path / "False", **settings)
    compiled = train(folders, tmp_path / "True", torch_compile=True, torch_compile_backend="eager", **settings)
    for entry, other in zip(plain[:2], compiled[:2], strict=True):
        assert entry["loss"] == pytest.approx(other["loss"], abs=1e-3)
    names = [AutoModelForCausalLM.from_pretrained(tmp_path / name).state_dict().keys() for name in ("False", "True")]
    assert names[0] == names[1]


@needs_parts
@pytest.mark.parametrize(
    "settings",
    [
        {"gradient_accumulation_steps": 2, "position_gaps": 0.5},
        {"packing": True, "max_steps": -1, "num_train_epochs": 1, "attention": "eager"},
        {"gradient_checkpointing": True, "bf16": True},
        {"base_model": "llama", "lora_rank": 4},
    ],
    ids=str,
)
def test_a_run_is_what_trls_head_makes_of_it(folders, tmp_path, settings, monkeypatch):
    if "lora_rank" in settings:
        pytest.importorskip("peft")
    if "base_model" in settings:
        settings = settings | {"base_model": folders / settings["base_model"]}
    settings = {"max_steps": 3, "learning_rate": 1e-3, "guard_every": 0} | settings
    ours = train(folders, tmp_path / "ours", **settings)
    monkeypatch.setattr(sft_trainer, "score_learned_tokens", lambda _: None)
    theirs = train(folders, tmp_path / "theirs", **settings)
    near = {"abs": 2e-2} if "bf16" in settings else {"abs": 1e-3, "rel": 1e-3}
    for entry, other in zip(ours, theirs, strict=True):
        assert entry.keys() == other.keys()
        names = [name for name in entry if name.startswith(("loss", "entropy", "num_tokens", "grad_norm"))]
        assert {name: entry[name] for name in names} == pytest.approx({name: other[name] for name in names}, **near)
    weights, others = (AutoModelForCausalLM.from_pretrained(tmp_path / n).state_dict() for n in ("ours", "theirs"))
    for name, weight in weights.items():
        # A step of Adam is as long for a gradient of rounding errors; so is none of the weights' movement.
        torch.testing.assert_close(weight, others[name], atol=6e-3 if "bf16" in settings else 1e-3, rtol=1e-2)


def test_logging_leaves_the_training_as_it_is(folders, tmp_path, monkeypatch):
    train(folders, tmp_path / "ours", bf16=True, gradient_accumulation_steps=2)

    class Plain(StageTrainer, SFTTrainer):
        def __init__(self, *args, vocabulary, position_gaps, thought_weight, **kwargs):
            super().__init__(*args, **kwargs)
            score_learned_tokens(self.model)

    monkeypatch.setattr(sft_training, "MotionSFTTrainer", Plain)
    train(folders, tmp_path / "plain", bf16=True, gradient_accumulation_steps=2)
    ours, plain = (
        AutoModelForCausalLM.from_pretrained(tmp_path / name, dtype="float32").state_dict()
        for name in ("ours", "plain")
    )
    assert all(torch.equal(ours[name], plain[name]) for name in plain)


def test_what_is_left_out_is_counted_by_task(folders, tmp_path, capsys):
    train(folders, tmp_path / "run", max_length=84, max_steps=8, t2m_only_fraction=0.0)
    told = capsys.readouterr().out
    assert "left out, longer than max_length 84: " in told and "t2m " in told and "m2t " in told
    assert "of the validation" not in told


def test_what_the_validation_leaves_out_is_counted_too(folders, tmp_path, capsys):
    train(folders, tmp_path / "run", max_length=84, max_steps=2, eval_strategy="steps", eval_steps=2)
    assert "left out of the validation, longer than max_length 84: " in capsys.readouterr().out


def test_steps_that_examples_were_dropped_for_see_others(folders, tmp_path, capsys, monkeypatch):
    trained = []
    monkeypatch.setattr(sft_training, "watch_sft", lambda trainer, *_: trained.append(trainer.train_dataset) or [])
    curves = train(folders, tmp_path / "run", max_length=84, t2m_only_fraction=0.0)
    assert "left out, longer than max_length 84: " in capsys.readouterr().out
    [rows] = trained
    assert len(rows) == 8 and len({tuple(ids) for ids in rows["input_ids"]}) == 8
    assert [entry["epoch"] for entry in curves if "loss" in entry][-1] == 1.0  # the schedule did not begin again


def test_a_validation_needs_its_split(folders, tmp_path):
    dataset_folder(tmp_path / "data", train=4)
    with pytest.raises(SystemExit, match="no split 'validation'"):
        train(folders, tmp_path / "run", dataset=tmp_path / "data", eval_strategy="epoch")


def test_a_validation_without_thoughts_can_be_left_away():
    thoughtless = replace(entries(1)[0], thoughts=["", ""])
    with pytest.raises(ValueError, match="the validation split: clip .*; or train with eval_strategy no"):
        sft_training.check_validation([thoughtless], True)
    sft_training.check_validation([thoughtless], False)


# -------------------------------------------------------------------------------------------------- tokens, packing


def small_examples(family="qwen", count=6):
    processor, motions = plain_processor(family), entries(count)
    codes = [torch.arange(1 + i, 6 + 2 * i).numpy() for i in range(count)]
    pairs = every_pair(motions, ["t2m", "m2t"])
    return processor, tokenized(encoder(processor, motions, codes), pairs, max_length=10_000)[0]


@pytest.mark.parametrize("family", ["qwen", "llama", "llama3"])
def test_no_end_of_turn_is_masked(family):
    """The tiny qwen and llama3 pad with their end token as they come, which published training hid from attention."""
    processor, dataset = small_examples(family)
    rows = [
        {"input_ids": row["input_ids"], "labels": [i if m else -100 for i, m in zip(*row.values(), strict=True)]}
        for row in dataset
    ]
    batch = DataCollatorForLanguageModeling(pad_token_id=processor.tokenizer.pad_token_id)(rows)
    ends = batch["input_ids"] == processor.end_id
    assert ends.any(1).all() and batch["attention_mask"][ends].all()
    assert (batch["attention_mask"] == 0).any()  # there is padding, and it is another token
    assert set(batch["input_ids"][batch["attention_mask"] == 0].tolist()) == {processor.tokenizer.pad_token_id}
    for labels, row in zip(batch["labels"], rows, strict=True):
        assert labels[len(row["input_ids"]) - 1] == processor.end_id  # the end is learned
    assert (batch["labels"][batch["attention_mask"] == 0] == -100).all()


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("family", ["qwen", "llama"])
def test_packed_examples_do_not_see_each_other(family, attention):
    processor, dataset = small_examples(family)
    model = tiny_lm(processor.tokenizer, family)
    model.set_attn_implementation(attention)
    dataset = dataset.map(
        lambda row: {
            "labels": [i if m else -100 for i, m in zip(row["input_ids"], row["completion_mask"], strict=True)]
        },
        remove_columns="completion_mask",
    )
    packed = pack_dataset(dataset, 700, "bfd")
    assert len(packed) < len(dataset) / 2 and sum(map(len, packed["seq_lengths"])) == len(dataset)
    collator = DataCollatorForLanguageModeling(pad_token_id=processor.tokenizer.pad_token_id, padding_free=True)
    with torch.no_grad():
        batch = collator(list(packed))
        inputs = {name: value for name, value in batch.items() if name != "labels"}
        together = losses(model(**inputs, use_cache=False).logits, batch["labels"])
        alone = {}
        for row in dataset:
            ids = torch.tensor([row["input_ids"]])
            alone[tuple(row["input_ids"])] = losses(model(ids).logits, torch.tensor([row["labels"]]))
    order = [
        tuple(row["input_ids"][sum(row["seq_lengths"][:i]) :][:length])
        for row in packed
        for i, length in enumerate(row["seq_lengths"])
    ]
    torch.testing.assert_close(together, torch.cat([alone[ids] for ids in order]), atol=1e-4, rtol=1e-4)


def losses(logits, labels):
    """The loss of each learned token, in order."""
    every = torch.nn.functional.cross_entropy(logits[0, :-1], labels[0, 1:], reduction="none", ignore_index=-100)
    return every[labels[0, 1:] != -100]


def test_packing_sees_every_example_in_fewer_steps(folders, tmp_path):
    settings = {"max_steps": None, "num_train_epochs": 2, "t2m_only_fraction": 0.0}
    loose = train(folders, tmp_path / "loose", **settings)
    dense = train(folders, tmp_path / "dense", packing=True, **settings)
    steps = [sum("loss" in entry for entry in curves) for curves in (loose, dense)]
    assert steps[0] == 10 and steps[1] < steps[0] / 2
    tokens = [max(entry.get("num_tokens", 0) for entry in curves) for curves in (loose, dense)]
    assert tokens[0] >= tokens[1] > 0  # the loose one counts no padding either
    assert "loss/m2t" in dense[0] or not BY_PART


@pytest.mark.parametrize("processes, batch", [(1, 8), (2, 4), (4, 2)])
def test_a_step_sees_the_same_examples_on_any_number_of_processes(processes, batch):
    """As the Trainer deals a sequential order out to processes."""
    order = schedule(entries(6), 40, 10, 0.5, seed=3)
    sampler = BatchSampler(SequentialSampler(order), batch, drop_last=False)
    shards = [list(BatchSamplerShard(sampler, processes, rank)) for rank in range(processes)]
    steps = [sorted(i for shard in shards for i in shard[step]) for step in range(5)]
    assert steps == [list(range(begin, begin + 8)) for begin in range(0, 40, 8)]


# ------------------------------------------------------------------------------------------------------------ LoRA


def adapted_lm(family):
    pytest.importorskip("peft")
    tokenizer = TOKENIZERS[family]()
    model = tiny_lm(tokenizer, family)
    owned = owned_ids(tokenizer)
    vocabulary = extend_vocabulary(tokenizer, model)
    rows = rows_to_train(owned, model, vocabulary.codes)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    return model, before, rows, vocabulary


@pytest.mark.parametrize("family", ["qwen", "llama"])
def test_merged_adapters_are_the_policy(family):
    """Tied embeddings and untied ones; new rows moved, in and out, and no old one."""
    model, before, rows, vocabulary = adapted_lm(family)
    adapted = with_adapters(model, rows, rank=4, alpha=8)
    optimizer = torch.optim.SGD([p for p in adapted.parameters() if p.requires_grad], lr=0.5)
    ids = torch.tensor([[5, 6, vocabulary.codes[7], vocabulary.codes[9], 8, vocabulary.motion_end]])
    for _ in range(3):
        adapted(ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    with torch.no_grad():
        expected = adapted(ids).logits
        plain = merged(adapted)
        torch.testing.assert_close(plain(ids).logits, expected, atol=1e-4, rtol=1e-4)
    assert type(plain).__name__ in ("Qwen2ForCausalLM", "LlamaForCausalLM")
    after = plain.state_dict()
    assert after.keys() == before.keys()
    old = sorted(set(range(len(plain.get_input_embeddings().weight))) - set(rows))
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        assert torch.equal(after[name][old], before[name][old])
    assert (after["lm_head.weight"][rows] != before["lm_head.weight"][rows]).any(1).all()
    seen = [vocabulary.codes[7], vocabulary.codes[9]]
    assert (after["model.embed_tokens.weight"][seen] != before["model.embed_tokens.weight"][seen]).any(1).all()
    assert not torch.equal(after["model.layers.0.mlp.up_proj.weight"], before["model.layers.0.mlp.up_proj.weight"])


@pytest.mark.parametrize("family, base_dtype", [("qwen", "float32"), ("llama", "bfloat16")])
def test_lora_ends_in_a_plain_model(folders, tmp_path, family, base_dtype):
    pytest.importorskip("peft")
    base = folders / family
    curves = train(folders, tmp_path / "run", base_model=base, lora_rank=4, base_dtype=base_dtype)
    assert all("loss/motion" in entry for entry in curves if "loss" in entry) or not BY_PART
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert "model.safetensors" in names and not [name for name in names if name.startswith("adapter")]
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "run")
    assert model.dtype == torch.float32
    start = AutoModelForCausalLM.from_pretrained(base, dtype="float32")
    tokenizer = AutoTokenizer.from_pretrained(base)
    old = sorted(owned_ids(tokenizer))
    for matrix in ("get_input_embeddings", "get_output_embeddings"):
        theirs = getattr(start, matrix)().weight[old]
        theirs = theirs.bfloat16().float() if base_dtype == "bfloat16" else theirs
        assert torch.equal(getattr(model, matrix)().weight[old], theirs)
    fresh = AutoModelForCausalLM.from_pretrained(base, dtype=base_dtype)
    extend_vocabulary(tokenizer, fresh, seed=SFTConfig("unused", use_cpu=True).seed)
    new = UniMoProcessor.from_pretrained(tmp_path / "run").vocabulary.codes
    moved = model.get_output_embeddings().weight[list(new)] - fresh.get_output_embeddings().weight[list(new)].float()
    assert (moved.abs().sum(1) > 0).all()
    update = (
        model.model.layers[0].self_attn.q_proj.weight - fresh.model.layers[0].self_attn.q_proj.weight.float()
    ).detach()
    assert update.abs().max() > 0 and torch.linalg.matrix_rank(update, rtol=1e-3) <= 4


@pytest.mark.slow
def test_lora_resumes_exactly(folders, tmp_path, monkeypatch):
    pytest.importorskip("peft")
    settings = {"base_model": folders / "qwen", "lora_rank": 4, "save_strategy": "steps", "save_steps": 2}
    train(folders, tmp_path / "whole", **settings)
    step = stages.StageTrainer.training_step

    def killed(self, *args, **kwargs):
        if self.state.global_step == 3:
            raise KeyboardInterrupt
        return step(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(stages.StageTrainer, "training_step", killed)
        with pytest.raises(KeyboardInterrupt):
            train(folders, tmp_path / "again", **settings)
    train(folders, tmp_path / "again", **settings)
    whole, again = (AutoModelForCausalLM.from_pretrained(tmp_path / name).state_dict() for name in ("whole", "again"))
    assert all(torch.equal(whole[name], again[name]) for name in whole)


# ------------------------------------------------------------------------------------------------- embedding rows


@pytest.mark.parametrize("init, least, most", [("codebook", 0.75, 1.0), ("sampled", -0.05, 0.05)])
def test_codebook_rows_have_the_geometry_of_the_codes(init, least, most):
    """Distances between rows follow those between codes; `sampled` rows know nothing of them."""
    tokenizer = TOKENIZERS["qwen"]()
    model = tiny_lm(tokenizer)
    known = model.get_input_embeddings().weight[sorted(owned_ids(tokenizer))].detach().clone()
    codebook = 100.0 * torch.randn(512, 8, generator=torch.Generator().manual_seed(0))  # no scale of an embedding
    ids = extend_vocabulary(tokenizer, model, embedding_init=init, codebook=codebook).codes
    rows = model.get_input_embeddings().weight[list(ids)].detach()
    correlation = torch.corrcoef(torch.stack([torch.pdist(rows), torch.pdist(codebook)]))[0, 1]
    assert least < correlation <= most
    assert 0.8 < torch.pdist(rows).mean() / torch.pdist(known).mean() < 1.2


# ------------------------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    "settings, told",
    [
        ({"packing": True}, "with packing .* set num_train_epochs"),
        ({"packing": True, "packing_strategy": "wrapped", "max_steps": None}, "cuts examples in two; use bfd"),
        ({"base_dtype": "bfloat16"}, "base_dtype bfloat16 needs lora_rank"),
        ({"lora_rank": 4}, "lora_rank needs a base_model"),
        ({"lora_rank": -1}, "lora_rank must be >= 0, got -1"),
        ({"lora_rank": 4, "base_model": "qwen", "muon": True}, "muon is for full weight matrices"),
        ({"train_sampling_strategy": "group_by_length"}, "train_sampling_strategy is 'group_by_length', but .* order"),
        ({"shuffle_dataset": True}, "shuffle_dataset is True, but .*; remove it"),
        ({"completion_only_loss": False}, "completion_only_loss is False, but .* learns thoughts and answers alone"),
        ({"assistant_only_loss": True}, "assistant_only_loss is True"),
        ({"position_gaps": -0.5}, "position_gaps must be >= 0 and <= 10, got -0.5"),
        ({"position_gaps": 0.1, "packing": True, "max_steps": -1}, "separate rows by their positions"),
        ({"position_gaps": 0.1, "base_model": "gpt2"}, "gpt2 has a table of positions"),
        ({"max_steps": -1, "num_train_epochs": 0.01}, "num_train_epochs 0.01 of 10 motions gives no example"),
        ({"thoughts": False, "no_thought_share": 0.1}, "no_thought_share is a share of answers with thoughts"),
        ({"no_thought_share": 1.5}, "no_thought_share must be >= 0 and <= 1, got 1.5"),
        ({"thought_weight": -1}, "thought_weight must be >= 0 and <= 100, got -1"),
        ({"thought_weight": 0.5, "loss_type": "dft"}, "thought_weight is for loss_type nll"),
        ({"max_length": 20}, "20 examples in a row are longer than max_length; raise it"),
    ],
)
def test_contradictions_are_refused_with_the_remedy(folders, tmp_path, settings, told):
    if "base_model" in settings:
        settings = settings | {"base_model": folders / settings["base_model"]}
    with pytest.raises(SystemExit, match=told):
        train(folders, tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("base", [None, "qwen"])
def test_what_a_refusal_advises_can_be_done(folders, tmp_path, base):
    """Also where it came only once the folder was claimed, by a new base that had to be made there."""
    settings = {"max_steps": 1, "guard_every": 0} | ({"base_model": folders / base} if base else {})
    with pytest.raises(SystemExit, match="longer than max_length; raise it"):
        train(folders, tmp_path / "run", max_length=20, **settings)
    train(folders, tmp_path / "run", **settings)
    assert (tmp_path / "run" / "model.safetensors").is_file()


def test_a_refusal_leaves_what_was_trained(folders, tmp_path):
    """The data became others since: the run keeps its claim and its checkpoint."""
    data = shutil.copytree(folders / "data", tmp_path / "data")
    settings = {"dataset": data, "max_length": 200, "save_strategy": "steps", "save_steps": 2}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sft_training, "finish_stage", lambda *_, **__: None)
        patch.setattr(sft_training, "push_stage", lambda *_: None)
        with pytest.raises(FileNotFoundError, match="curves"):
            train(folders, tmp_path / "run", **settings)
    before = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert "checkpoint-4" in before
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sft_training, "tokenized", refusing)
        with pytest.raises(SystemExit, match="error: too long"):
            train(folders, tmp_path / "run", **settings)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == before


def refusing(*_):
    raise ValueError("too long")


def test_sharded_weights_and_adapters_exclude_each_other(folders, tmp_path, monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    arguments = sft.SFTArguments("data", "vqvae", base_model="base", lora_rank=8)
    with pytest.raises(SystemExit, match="FSDP has the weights in shards.*; launch lora_rank with single_gpu.yaml"):
        sft_training.refuse_contradictions(arguments, SFTConfig("unused", use_cpu=True))


def test_a_codebook_of_another_size_than_the_vocabulary_is_refused(folders, tmp_path):
    tokenizer = TOKENIZERS["qwen"]()
    model = tiny_lm(tokenizer)
    extend_vocabulary(tokenizer, model, num_codes=64)
    model.save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    with pytest.raises(SystemExit, match="motion vocabulary of 64 codes.* a codebook of 512"):
        train(folders, tmp_path / "run", base_model=tmp_path / "base")
    assert not (tmp_path / "run").exists()


# ----------------------------------------------------------------------------------------------------- position gaps


def test_every_row_leaves_out_positions_at_its_own_rate():
    torch.manual_seed(0)
    steps = gapped_positions((400, 200), 2.0).diff(dim=1)
    rates = steps.float().mean(1) - 1
    assert steps.min() == 1
    assert rates.min() < 0.1 and rates.max() > 1.7 and 0.9 < rates.mean() < 1.1
    assert torch.equal(gapped_positions((2, 5), 0.0), torch.arange(5).expand(2, 5))


def test_training_rows_have_gaps_and_validation_rows_none(folders, tmp_path, monkeypatch):
    seen = {True: [], False: []}
    forward = Qwen2Model.forward

    def watched(self, *args, **kwargs):
        seen[self.training].append(kwargs.get("position_ids"))
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(Qwen2Model, "forward", watched)
    train(folders, tmp_path / "run", position_gaps=1.0, eval_strategy="steps", eval_steps=4)
    assert len(seen[True]) == 4 and all((positions.diff(dim=1) > 1).any() for positions in seen[True])
    assert seen[False] and all(positions is None for positions in seen[False])


# --------------------------------------------------------------------------------------------------------- launching


@pytest.mark.slow
def test_two_processes_train_what_one_does(folders, tmp_path):
    """`accelerate launch` of the script itself: two ranks really run, on the same examples, to the same weights."""
    config = REPOSITORY / "train" / "accelerate_configs" / "two_cpu.yaml"
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config), "train/sft.py"]
    # A tied base for both: a new one starts from the seed, which each way of launching advances differently.
    settings = {"base_model": folders / "qwen", "learning_rate": 1e-3}
    words = argv(folders, tmp_path / "two", per_device_train_batch_size=2, **settings)
    done = subprocess.run([*launch, *words], cwd=REPOSITORY, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads((tmp_path / "two" / "training_summary.json").read_text())["processes"] == 2
    one = train(folders, tmp_path / "one", per_device_train_batch_size=4, **settings)
    two = json.loads((tmp_path / "two" / "curves.json").read_text())
    for ours, theirs in zip(one, two, strict=True):
        for name in ours.keys() & {"loss", "loss/thought", "loss/motion", "loss/answer", "loss/m2t", "accuracy/t2m"}:
            assert ours[name] == pytest.approx(theirs[name], abs=2e-3), name
    alone, together = (AutoModelForCausalLM.from_pretrained(tmp_path / name).state_dict() for name in ("one", "two"))
    for name, weight in alone.items():
        torch.testing.assert_close(together[name], weight, atol=1e-4, rtol=1e-3)
