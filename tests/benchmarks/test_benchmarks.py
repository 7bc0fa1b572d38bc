"""The benchmarks: every item runs and is written down, and the plain ways give what this package's ways give."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from tiny_data import entries, tiny_judge
from tiny_unimo import tiny_unimo

from benchmarks import (
    annotation_items,
    evaluation_items,
    motion_items,
    networks,
    plain,
    reward_items,
    run,
    sampling_items,
    table,
)
from benchmarks.dataset_memory import loaded_dataset, tree_memory, watched_memory
from benchmarks.networks import Setting
from benchmarks.timing import (
    Figure,
    Item,
    Unavailable,
    Way,
    alternate,
    bootstrapped,
    growth_figures,
    in_turns,
    operations_of,
)
from datasets_scripts.thoughts.annotate.kinematic_annotator import KinematicAnnotator
from evaluate_unimo import functional, protocol
from modeling_unimo import AnswerGrammar, joints_to_features
from modeling_unimo.checkpoint_conversion import vqvae_from_weights
from modeling_unimo.sampling_unimo import AnswerWriter

TINY = Setting(torch.device("cpu"), tiny=True)
OWN_PROCESSES = ("dataset_memory", "dataset_growth")


# What is timed -------------------------------------------------------------------------------------------------------


def test_every_item_is_timed_and_written_down(tmp_path, capsys):
    names = [name for name in run.ITEMS if name not in OWN_PROCESSES]
    words = ["--tiny", "--output", str(tmp_path), "--threads", "1", "--device", "cpu", "--only", *names]
    assert run.main(words) == 0
    told = json.loads((tmp_path / "benchmarks.json").read_text(encoding="utf-8"))
    missing = {"sft_head"} & set(told["missing"])  # the TRL of Python 3.10 has no fused head
    assert [item["name"] for item in told["items"]] == [name for name in names if name not in missing]
    assert set(told["missing"]) == missing
    assert all(value > 0 for value in told["limits"].values())
    markdown = (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    for item in told["items"]:
        assert item["ways"] and item["title"] in markdown
        for way in item["ways"]:
            assert way["rate"] > 0 and way["name"] in markdown
            assert (way["times_the_baseline"] is None) == (way["baseline"] is None)
    compared = {item["name"] for item in told["items"] if any(way["baseline"] for way in item["ways"])}
    assert compared >= {"features", "reward", "text_to_motion", "decode_step", "evaluation", "vqvae"}
    limited = {item["name"] for item in told["items"] if any(way["limit"] for way in item["ways"])}
    assert limited >= compared - {"batch_growth"} | {"fid"}
    assert "tiny" in markdown and "benchmarks.md" in capsys.readouterr().out
    assert (tmp_path / "benchmarks.html").read_text(encoding="utf-8").count("<svg") == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", OWN_PROCESSES)
def test_items_in_processes_of_their_own(tmp_path, name):
    run.main(["--tiny", "--output", str(tmp_path), "--device", "cpu", "--only", name])
    (item,) = json.loads((tmp_path / "benchmarks.json").read_text(encoding="utf-8"))["items"]
    assert all(way["rate"] > 0 for way in item["ways"])
    peaks = [figure["value"] for figure in item["figures"] if figure["unit"] == "MiB"]
    peaks += [value for name, value in item["facts"].items() if name.startswith("peak memory")]
    assert len(peaks) >= 2 and all(peak > 10 for peak in peaks)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--only", "speed"], "invalid choice"),
        (["--run", "nowhere"], "train.quickstart"),
        (["--output", __file__], "is a file"),
    ],
)
def test_unfit_command_lines_are_refused(words, message, capsys):
    with pytest.raises(SystemExit):
        run.parse(words)
    assert message in capsys.readouterr().err


def test_what_cannot_be_measured_is_named(tmp_path, monkeypatch):
    def missing(setting):
        raise Unavailable("it takes a telescope")

    monkeypatch.setattr(run, "ITEMS", {"stars": missing, "fid": run.ITEMS["fid"]})
    assert run.main(["--tiny", "--output", str(tmp_path), "--device", "cpu"]) == 0
    assert "**stars** was not measured: it takes a telescope" in (tmp_path / "benchmarks.md").read_text()
    page = (tmp_path / "benchmarks.html").read_text()
    for words in ("it takes a telescope", "Limits measured", "machine: ", "relative difference"):
        assert words in page, words


def test_an_item_that_fails_costs_the_others_nothing(tmp_path, monkeypatch, capsys):
    def too_large(setting):
        raise torch.OutOfMemoryError("tried to allocate | 20 GiB")

    def too_slow(setting):
        raise MemoryError

    monkeypatch.setattr(run, "ITEMS", {"large": too_large, "slow": too_slow, "fid": run.ITEMS["fid"]})
    assert run.main(["--tiny", "--output", str(tmp_path), "--device", "cpu"]) == 1
    told = json.loads((tmp_path / "benchmarks.json").read_text())
    assert [item["name"] for item in told["items"]] == ["fid"]
    assert told["missing"] == {"large": "OutOfMemoryError: tried to allocate / 20 GiB", "slow": "MemoryError:"}
    assert "error: large, slow failed" in capsys.readouterr().err


def test_items_that_are_not_asked_for_stay(tmp_path, monkeypatch):
    def item_of(name, seconds, fails=False):
        def timed_item(setting):
            if fails:
                raise Unavailable("clouds")
            ways = [Way("way", [seconds], 6, operations=1e9, host=True, dtype="float64")]
            return Item(name, name.title(), "things", ways, figures=[Figure("weight", 2.0, "kg", 3.0)])

        return timed_item

    def ran(*only, second=2.0, fails=False):
        items = {"one": item_of("one", 1.0), "two": item_of("two", second, fails)}
        monkeypatch.setattr(run, "ITEMS", items)
        run.main(["--tiny", "--output", str(tmp_path), "--device", "cpu", *(("--only", *only) if only else ())])
        told = json.loads((tmp_path / "benchmarks.json").read_text())
        return {item["name"]: item["ways"][0]["seconds"] for item in told["items"]}, told

    assert ran("two")[0] == {"two": [2.0]}
    before = ran("one")[1]
    found, told = ran("two", second=3.0)
    assert found == {"one": [1.0], "two": [3.0]}
    assert told["items"][0] == before["items"][0]  # the limits that it was measured beside are among it
    assert "| weight | 2 kg |  |  |  | <= 3 kg |" in (tmp_path / "benchmarks.md").read_text()
    assert ran("two", fails=True)[0] == {"one": [1.0]}
    assert ran("one")[1]["missing"] == {"two": "clouds"}

    monkeypatch.setattr(run, "machine_of", lambda device: {"machine": "another", "versions": "Python 4"})
    assert ran("two")[0] == {"two": [2.0]}
    (tmp_path / "benchmarks.json").write_text("[]")
    with pytest.raises(SystemExit, match="not a file of benchmarks"):
        ran("one")


def test_ratios_spread_and_limits():
    slow, fast = Way("slow", [2.0, 4.0, 3.0], 6), Way("fast", [0.5], 6, operations=1e9, moved=5e9, baseline="slow")
    limits = {"bandwidth": 2e10, "float32": 1e10, "bfloat16": 1e11, "host bandwidth": 1e10, "host float64": 1e9}
    item = Item("one", "One", "things", [slow, fast], limits=limits)
    assert slow.rate == 2.0 and slow.spread == (1.5, 3.0) and item.ratio(slow) is None and item.ratio(fast) == 6.0
    # Moving the bytes takes 0.25 s, the arithmetic 0.1 s: of the half second, half is due to the bandwidth.
    assert table.limit_share(fast, limits) == ("bandwidth", 0.5)
    assert table.limit_share(slow, limits) is None
    assert table.limit_share(Way("by numpy", [0.5], 6, moved=5e9, host=True), limits) == ("host bandwidth", 1.0)
    assert table.rows([item])[1][-1] == "50% of bandwidth"


def test_ways_take_turns():
    called = []
    seconds = alternate({name: lambda name=name: called.append(name) for name in "ab"}, 2)
    assert called == list("ababab") and {name: len(times) for name, times in seconds.items()} == {"a": 2, "b": 2}


def test_many_calls_of_one_way_stand_around_the_few_of_another():
    called = []
    seconds = in_turns(
        {name: [lambda name=name: called.append(name)] * n for name, n in {"a": 6, "b": 2, "c": 1}.items()}
    )
    assert "".join(called) == "aabacaaba" or "".join(called) == "aabaacaba"
    assert {name: len(times) for name, times in seconds.items()} == {"a": 6, "b": 2, "c": 1}


def test_a_bootstrap_spreads_as_its_parts_do():
    assert bootstrapped([2.0, 2.0, 2.0], 10) == [20.0] * 3
    low, middle, high = bootstrapped([1.0, 3.0] * 50, 10)
    # The mean of 100 such parts has a standard error of 0.1.
    assert middle == pytest.approx(20, abs=0.3) and high - low == pytest.approx(10 * 2 * 1.96 * 0.1, rel=0.1)


def test_growth_is_a_power():
    squares = growth_figures([(n, 3.0 * n**2) for n in (10, 40, 160)])
    assert [figure.value for figure in squares] == pytest.approx([2, 2])
    fixed = growth_figures([(n, 100 + n) for n in (10, 40, 160)])
    assert 0 < fixed[0].value < fixed[1].value < 1


def test_the_least_work_is_nearly_what_is_done():
    model, processor = sampling_items.model_of(TINY)
    texts, thought, codes = networks.captions(6), 9, 8

    def write():
        duration = codes * processor.feature_extractor.unit_length / processor.feature_extractor.fps
        model.generate_answers(
            "t2m", texts, None, processor, durations=[duration] * len(texts), max_thought_tokens=thought, seed=0
        )

    lengths = ([thought] * len(texts), [codes] * len(texts))
    least, moved = sampling_items.least_work(model, processor, texts, *lengths, torch.float32)
    assert least <= operations_of(write) <= 1.25 * least
    weights = sampling_items.body_size(model.language_model) * (thought + codes) * 4
    assert weights < moved == 2 * sampling_items.least_work(model, processor, texts, *lengths, torch.bfloat16)[1]


@pytest.mark.slow
def test_processes_convert_as_one_does():
    stack = motion_items.swaying_bodies(3, 50)
    with motion_items.converting(2) as convert:
        np.testing.assert_array_equal(convert(stack), [joints_to_features(clip) for clip in stack])


def test_memory_of_processes_that_were_started_counts():
    with watched_memory() as peak:
        before = tree_memory()
        words = [sys.executable, "-c", "held = bytearray(b'1' * 2**27); print('held', flush=True); input()"]
        child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert child.stdout.readline() == b"held\n"
        assert tree_memory() > before + 2**27
        child.communicate(b"\n")
        assert tree_memory() < before + 2**27
    assert peak[0] >= before


def test_operations_are_counted():
    assert operations_of(lambda: torch.ones(2, 3) @ torch.ones(3, 5)) == 2 * 2 * 3 * 5


# The plain ways ------------------------------------------------------------------------------------------------------


def test_features_agree():
    for clip in motion_items.swaying_bodies(3, 30):
        np.testing.assert_allclose(plain.features(clip), joints_to_features(clip, facing="published"), atol=1e-3)


def test_rewards_agree():
    torch.manual_seed(0)
    rows = reward_items.answered(6, 2)
    parts = (*networks.codec(TINY), networks.judge(TINY, networks.CAPTIONS))
    expected = plain.rewards(rows, *parts)
    assert len(set(expected)) == 6
    assert reward_items.reward_step(rows, *parts, torch.float32) == pytest.approx(expected, abs=1e-5)


def test_fid_agrees():
    rng = np.random.default_rng(0)
    sets = [rng.standard_normal((200, 16)) @ rng.standard_normal((16, 16)) for _ in range(2)]
    assert plain.fid(*sets) == pytest.approx(functional.fid(*sets), rel=1e-6)


def test_annotated_clips_last_six_seconds_and_differ():
    clips = annotation_items.clips_of_six_seconds(3)
    assert [clip.shape for clip in clips] == [(120, 263)] * 3 and annotation_items.FRAMES == 6 * 20
    assert len(set(KinematicAnnotator().annotate(clips))) == 3


def test_greedy_answers_agree():
    model, processor = tiny_unimo()
    model.generation_config.do_sample, kept = False, model.generation_config.do_sample
    model.language_model.double()
    try:
        texts = ["a person walks", "someone jumps twice and turns around"]
        ours = model.generate_answers("t2m", texts, None, processor, durations=[1.0, 1.0], max_thought_tokens=6)
        alone = [plain.answers(model, processor, [text], 5, max_thought_tokens=6)[0] for text in texts]
        assert [answers[0] for answers in ours] == alone
        assert plain.answers(model, processor, texts, 5, max_thought_tokens=6) == alone
        motion = plain.text_to_motion(model, processor, texts[0], 5, max_thought_tokens=6)
        expected = model.generate_motion(texts[0], processor, duration=1.0, max_thought_tokens=6)[0].joints
        np.testing.assert_allclose(motion, expected, atol=1e-4)
    finally:
        model.language_model.float()
        model.generation_config.do_sample = kept


def test_scores_agree():
    members, judge = entries(32), tiny_judge()
    motions = [entry.motion[:20] + 0.1 for entry in members]
    found = plain.scores(members, motions, judge)
    texts = judge.get_text_features([entry.tokens[0] for entry in members]).numpy()
    embedded = judge.get_motion_features(motions).numpy()
    real = judge.get_motion_features([entry.motion for entry in members]).numpy()
    expected = protocol.embedding_scores(texts, embedded, real, pool_size=32)[0]
    for name in ("r_precision_top1", "r_precision_top2", "r_precision_top3", "mm_dist"):
        assert found[name] == pytest.approx(expected[name], rel=1e-4), name
    assert found["fid"] == pytest.approx(expected["fid"], rel=1e-2)


def test_the_plain_vqvae_is_the_published_one():
    """With the same weights, the first step of training has the same loss as this package's model."""
    torch.manual_seed(0)
    sizes = {"width": 24, "code_dim": 24, "depth": 2}
    published = plain.VQVAE(codes=32, **sizes)
    windows = torch.randn(6, 64, 263)
    named = {
        re.sub(r"(coder)\.(\d+\.\d+)\.(\d+\.conv)", r"\1.\2.model.\3", name): value
        for name, value in published.state_dict().items()
    }
    named = {re.sub(r"^(encoder|decoder)\.", r"vqvae.\1.model.", name): value for name, value in named.items()}
    named["vqvae.quantizer.codebook"] = named.pop("codebook")
    ours = vqvae_from_weights(named, "here")[0].train()
    ours.quantizer.initialized.fill_(False)
    for _ in range(2):  # the second with a codebook that has moved
        torch.testing.assert_close(ours(windows).loss, published(windows), rtol=1e-5, atol=0)
    torch.testing.assert_close(ours.quantizer.codebook, published.codebook)


def test_the_plain_loss_is_the_models():
    torch.manual_seed(0)
    head = torch.nn.Linear(8, 50, bias=False)
    hidden, labels = torch.randn(2, 6, 8), torch.randint(0, 50, (2, 6))
    labels[:, :3] = -100
    expected = torch.nn.functional.cross_entropy(head(hidden[:, 2:-1]).flatten(0, 1), labels[:, 3:].flatten())
    torch.testing.assert_close(plain.full_vocabulary_loss(hidden, head, labels), expected)


# The data and the networks -------------------------------------------------------------------------------------------


def test_answers_have_the_lengths_asked_for():
    model, processor = sampling_items.model_of(TINY)
    inputs = processor.encode_prompts(["t2m"] * 5, networks.captions(5), [None] * 5)
    rules = AnswerGrammar(
        processor,
        ["t2m"] * 5,
        prompt_length=inputs["input_ids"].shape[1],
        vocab_size=model.config.text_config.vocab_size,
        max_thought_tokens=9,
        num_codes=[4] * 5,
    )
    for ids in AnswerWriter(model.language_model, processor, inputs, rules).write():
        assert ids.index(processor.vocabulary.think_end) == 10 and len(ids) == 1 + 9 + 1 + 1 + 4 + 1 + 1


def test_the_folder_has_the_official_layout(tmp_path):
    from benchmarks.data_items import humanml3d_folder
    from datasets_scripts.sources import humanml3d

    humanml3d_folder(tmp_path / "data", 7)
    clips = list(humanml3d.iter_clips(tmp_path / "data"))
    loaded = loaded_dataset(tmp_path / "data")
    assert [clip.id for clip in clips] == list(loaded) and len(clips) == 7
    for clip in clips:
        np.testing.assert_array_equal(clip.features, loaded[clip.id]["motion"])
        assert [caption.text for caption in clip.captions] == [text["caption"] for text in loaded[clip.id]["text"]]
    assert tree_memory() > 10 * 2**20


def test_joints_become_a_dataset(tmp_path):
    from benchmarks.data_items import joints_folder
    from datasets_scripts.schema import SOURCE, Clip
    from datasets_scripts.sources import joints

    joints_folder(tmp_path / "data", 4)
    items = list(joints.iter_clips(tmp_path / "data"))
    clips = [item for item in items if isinstance(item, Clip)]
    assert {item.kind for item in items if not isinstance(item, Clip)} <= {SOURCE}
    assert [clip.id for clip in clips] == [f"{i:06d}" for i in range(4)]
    assert all(40 <= len(clip.features) <= 196 and len(clip.captions) == 3 for clip in clips)


def test_generated_entries_are_as_many_as_asked_for():
    assert len(evaluation_items.generated_entries(5)) == 5


def test_captioning_protocols_of_captioners(tmp_path, capsys):
    from benchmarks import caption_protocols

    cases = [
        {"references": ["a man walks", "he walks on"], "outputs": {"ours": "A man walks", "theirs": "a man walks"}},
        {"references": ["someone jumps"], "outputs": {"ours": "Someone jumps", "theirs": ""}},
    ]
    published = {"theirs": {"coco": {"bleu1": 0.5, "bleu4": 0.0, "rougeL": 0.5, "cider": 0.0}}}
    (tmp_path / "cases.jsonl").write_text("\n".join(map(json.dumps, cases)))
    (tmp_path / "published.json").write_text(json.dumps({"systems": published}))
    output = tmp_path / "found.json"
    given = ["--cases", str(tmp_path), "--protocols", "unimo", "coco", "--output", str(output)]
    caption_protocols.main(given)
    found = json.loads(output.read_text())
    assert [row[:2] for row in found["rows"]] == [
        *([system, protocol] for system in ("ours", "theirs") for protocol in ("unimo", "coco")),
        ["theirs", "coco (leaderboard)"],
    ]
    measured = found["measured"]
    assert measured["ours"]["unimo"]["bleu1"] == 1.0 > measured["ours"]["coco"]["bleu1"]
    assert measured["theirs"]["coco"]["rouge_l"] == 0.5 and measured["theirs"]["unimo"]["empty"] == 1
    assert capsys.readouterr().out.count("\n") == 5
