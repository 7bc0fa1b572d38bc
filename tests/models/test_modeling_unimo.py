"""UniMo as a model: assembled, saved, loaded, batched; both directions; the same in any batch."""

import copy
import json
import re

import numpy as np
import pytest
import torch
from motion_files import bvh_text
from tiny_unimo import TOKENIZERS, feature_extractor, qwen_tokenizer, tiny_lm, tiny_unimo, tiny_vqvae
from transformers import AutoModel, AutoModelForCausalLM, AutoProcessor, AutoTokenizer

from modeling_unimo import UniMoForConditionalGeneration, UniMoProcessor, UniMoTokenizer, extend_vocabulary
from modeling_unimo.generate import main as generate_command
from modeling_unimo.generate import parse_arguments, read_motion

FAMILIES = sorted(TOKENIZERS)
TEXTS = ["a person walks", "x", "a person walks forward and waves with the left hand, then turns", "走る \U0001f600"]


@pytest.fixture
def folder(tmp_path):
    model, processor = tiny_unimo()
    model.save_pretrained(tmp_path / "unimo")
    processor.save_pretrained(tmp_path / "unimo")
    return tmp_path / "unimo"


@pytest.mark.parametrize("family", FAMILIES)
def test_saved_and_loaded_bit_for_bit(family, tmp_path):
    model, processor = tiny_unimo(family)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} <= {".safetensors", ".json", ".py", ".jinja"}
    loaded, loaded_processor = AutoModel.from_pretrained(tmp_path), AutoProcessor.from_pretrained(tmp_path)
    assert type(loaded) is UniMoForConditionalGeneration and type(loaded_processor) is UniMoProcessor
    assert type(loaded_processor.tokenizer) is type(AutoTokenizer.from_pretrained(tmp_path)) is UniMoTokenizer
    state = loaded.state_dict()
    assert state.keys() == model.state_dict().keys()
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name
    assert loaded.generation_config.to_diff_dict() == model.generation_config.to_diff_dict()
    first = model.generate_motion(TEXTS, processor, seed=5)
    second = loaded.generate_motion(TEXTS, loaded_processor, seed=5)
    for a, b in zip(first, second, strict=True):
        assert (a.thought, a.codes) == (b.thought, b.codes)
        assert np.array_equal(a.features, b.features) and np.array_equal(a.joints, b.joints)


@pytest.mark.parametrize("family", FAMILIES)
def test_plain_language_model_comes_back(family, tmp_path):
    model, processor = tiny_unimo(family)
    model.language_model.save_pretrained(tmp_path)
    plain = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert type(plain) is type(model.language_model)
    inputs = processor.encode_prompts("t2m", TEXTS)
    with torch.no_grad():
        assert torch.equal(plain(**inputs).logits, model(**inputs).logits)
    assert json.loads((tmp_path / "config.json").read_text()).get("auto_map") is None


def test_embeddings_stay_tied_and_loss_is_the_language_models():
    model, processor = tiny_unimo("qwen")
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    ids = processor.encode_prompts("t2m", ["a person walks"])["input_ids"]
    with torch.no_grad():
        loss = model(input_ids=ids, labels=ids).loss
        assert torch.equal(loss, model.language_model(input_ids=ids, labels=ids).loss)
    assert not any(parameter.requires_grad for parameter in model.motion_vqvae.parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_answers_are_the_same_alone_and_in_a_padded_batch(family):
    model, processor = tiny_unimo(family)
    model = copy.deepcopy(model).double()
    codes = [[1, 2, 3], list(range(40)), [511]]
    tasks, texts = ["t2m"] * 4 + ["m2t"] * 3, [*TEXTS, None, None, None]
    requests = (tasks, texts, [None] * 4 + codes)
    together = model.generate_answers(*requests, processor, do_sample=False, batch_size=7)
    for row in range(7):
        alone = model.generate_answers(*([column[row]] for column in requests), processor, do_sample=False)
        assert alone == [together[row]]
    free = {"do_sample": False, "grammar": False, "max_thought_tokens": 20}
    assert model.generate_answers(*requests, processor, batch_size=7, **free) == model.generate_answers(
        *requests, processor, batch_size=2, **free
    )


def test_codes_and_motions_are_the_same_alone_and_in_a_padded_batch():
    model, processor = tiny_unimo()
    rng = np.random.default_rng(0)
    motions = [rng.normal(size=(length, 263)).astype(np.float32) for length in (4, 21, 196, 50, 7)]
    together = model.encode_motions(motions, processor, batch_size=3)
    assert [len(codes) for codes in together] == [1, 5, 49, 12, 1]
    assert together == [model.encode_motions([motion], processor)[0] for motion in motions]
    decoded = model.decode_codes(together, processor, batch_size=2)
    for codes, motion in zip(together, decoded, strict=True):
        assert motion.shape == (4 * len(codes), 263) and motion.dtype == np.float32
        np.testing.assert_allclose(motion, model.decode_codes([codes], processor)[0], atol=1e-5)


def test_generate_motion():
    model, processor = tiny_unimo()
    motions = model.generate_motion(TEXTS[:2], processor, duration=[1.0, None], num_samples=2, seed=0)
    assert [motion.text for motion in motions] == [TEXTS[0]] * 2 + [TEXTS[1]] * 2
    assert motions[0].features.shape == (20, 263) and motions[0].joints.shape == (20, 22, 3)
    assert motions[0].fps == 20 and len(motions[0].codes) == 5 and motions[0].thought
    assert np.isfinite(motions[0].joints).all()
    again = model.generate_motion(TEXTS[:2], processor, duration=[1.0, None], num_samples=2, seed=0)
    assert [m.codes for m in again] == [m.codes for m in motions]
    other = model.generate_motion(TEXTS[:2], processor, duration=[1.0, None], num_samples=2, seed=1)
    assert [m.codes for m in other] != [m.codes for m in motions]
    assert len(model.generate_motion("a person walks", processor, duration=0.2)[0].joints) == 4


def test_describe_motion():
    model, processor = tiny_unimo()
    motion = model.generate_motion(["a person walks"], processor, duration=2, seed=0)[0]
    described = model.describe_motion([motion.features, motion.features[:9]], processor, seed=0)
    assert len(described) == 2
    assert all(item.caption.strip() and item.thought.strip() for item in described)
    assert model.describe_motion(motion.features, processor, seed=3) == model.describe_motion(
        [motion.features], processor, seed=3
    )
    assert model.describe_motion([], processor) == []


def test_seed_leaves_the_global_state_alone():
    model, processor = tiny_unimo()
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    model.generate_motion(["a person walks"], processor, seed=0)
    assert torch.equal(torch.rand(3), expected)


def test_answers_come_without_dropout_and_leave_the_mode():
    model, processor = tiny_unimo()
    model = copy.deepcopy(model).train()
    model.generate_motion(["a person walks"], processor, seed=0)
    assert model.training


def test_free_sampling_may_be_invalid_and_is_never_repaired():
    model, processor = tiny_unimo()
    answers = model.generate_answers("t2m", TEXTS, None, processor, grammar=False, seed=0)
    for (answer,) in answers:
        assert not answer.valid and answer.error and not answer.codes


def test_how_a_bvh_file_is_read_can_be_said(tmp_path):
    file = tmp_path / "walk.bvh"
    file.write_text(bvh_text(frames=60))
    options = ["--model", "unimo", "--describe", str(file)]
    as_it_says = read_motion(parse_arguments(options), 263, 20.0)
    twice_as_fast = read_motion(parse_arguments([*options, "--fps", "40", "--up", "y"]), 263, 20.0)
    assert len(twice_as_fast) == pytest.approx(len(as_it_says) / 2, abs=2)
    for part, frames in {("0.5", "inf"): 49, ("0", "99"): 59, ("2.5", "nan"): 0, ("inf", "inf"): 0}.items():
        asked = parse_arguments([*options, "--start", part[0], "--end", part[1]])
        if frames:
            assert len(read_motion(asked, 263, 20.0)) == frames
        else:
            with pytest.raises(ValueError, match="walk.bvh: nothing between --start and --end"):
                read_motion(asked, 263, 20.0)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".bvh", ".html"])
def test_motion_is_saved(suffix, tmp_path):
    model, processor = tiny_unimo()
    motion = model.generate_motion(["a person walks"], processor, duration=1, seed=0)[0]
    motion.save(tmp_path / f"motion{suffix}")
    assert (tmp_path / f"motion{suffix}").stat().st_size > 0
    assert "<" in motion._repr_html_()


def test_codebooks_of_other_sizes(tmp_path):
    tokenizer = qwen_tokenizer()
    language_model = tiny_lm(tokenizer)
    extend_vocabulary(tokenizer, language_model, num_codes=16)
    processor = UniMoProcessor(feature_extractor(), tokenizer, max_thought_tokens=5, max_motion_codes=8)
    model = UniMoForConditionalGeneration.from_parts(language_model, tiny_vqvae(16), processor)
    motion = model.generate_motion(["a"], processor, seed=0)[0]
    assert len(motion.codes) <= 8 and max(motion.codes) < 16
    with pytest.raises(ValueError, match="512 codes, the tokenizer tokens for 16"):
        UniMoForConditionalGeneration.from_parts(language_model, tiny_vqvae(), processor)
    with pytest.raises(ValueError, match="rows"):
        UniMoForConditionalGeneration.from_parts(tiny_lm(qwen_tokenizer()), tiny_vqvae(16), processor)


def test_bad_requests_are_refused():
    model, processor = tiny_unimo()
    for text in ("", " ", "a" * 10_000):
        with pytest.raises(ValueError, match="the text"):
            model.generate_motion([text], processor)
    for duration in (0, 1000, float("nan")):
        with pytest.raises(ValueError, match="0.2 to 9.8 seconds"):
            model.generate_motion(["a"], processor, duration=duration)
    with pytest.raises(ValueError, match="NaN"):
        model.describe_motion([np.full((8, 263), np.nan)], processor)
    with pytest.raises(ValueError, match="shape"):
        model.describe_motion([np.zeros((8, 251))], processor)
    with pytest.raises(ValueError, match="197 frames"):
        model.describe_motion([np.zeros((197, 263))], processor)
    with pytest.raises(ValueError, match="at least 4"):
        model.describe_motion([np.zeros((3, 263))], processor)
    with pytest.raises(ValueError, match="num_samples"):
        model.generate_motion(["a"], processor, num_samples=0)
    with pytest.raises(ValueError, match="num_return_sequences"):
        model.generate_motion(["a"], processor, num_return_sequences=2)


def test_requests_longer_than_absolute_positions_are_refused():
    from transformers import GPT2Config, GPT2LMHeadModel

    tokenizer = qwen_tokenizer()
    shape = {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 256}
    language_model = GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), **shape)).eval()
    extend_vocabulary(tokenizer, language_model)
    processor = UniMoProcessor(feature_extractor(), tokenizer, max_thought_tokens=8)
    model = UniMoForConditionalGeneration.from_parts(language_model, tiny_vqvae(), processor)
    assert model.generate_motion(["a"], processor, seed=0)[0].codes
    with pytest.raises(ValueError, match="256 positions"):
        model.generate_motion(["qzj" * 100], processor)


# ---------------------------------------------------------------- the command


def test_command_writes_and_describes(folder, tmp_path, capsys):
    for suffix in (".bvh", ".npz", ".html", ".npy"):
        output = tmp_path / f"motion{suffix}"
        generate_command(
            [*("--model", str(folder), "--text", "a person walks", "--output", str(output)), "--duration", "2"]
        )
        assert output.is_file()
        assert "40 frames, 2 s" in capsys.readouterr().out
        if suffix in (".npz", ".npy"):  # as BVH, a body that random weights wrote is refused: its bones fit no person
            generate_command(["--model", str(folder), "--describe", str(output), "--seed", "1", "--end", "1.5"])
            assert "caption: " in capsys.readouterr().out


def test_command_writes_the_best_of_several(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("modeling_unimo.modeling_unimo.recognised_share", lambda *arguments: 0.5)
    model = ["--model", str(folder), "--candidates", "2", "--seed", "0"]
    with pytest.warns(UserWarning, match="own reading, which tells 50% of pairs of motions apart"):
        generate_command([*model, "--text", "a person walks", "--output", str(tmp_path / "x.npy"), "--duration", "1"])
    assert re.search(r"score: -[\d.]+ .* best of 2", capsys.readouterr().out)
    with pytest.warns(UserWarning, match="too little text-to-motion"):
        generate_command([*model, "--describe", str(tmp_path / "x.npy")])
    assert "best of 2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--text", "a"], "a text needs --output"),
        (["--text", "a", "--output", "x.obj"], "use one of .npy"),
        (["--text", "a", "--output", "folder.npy"], "folder.npy is a folder; name a file"),
        (["--text", "a", "--describe", "x.npy"], "not allowed with"),
        (["--describe", "x.npy", "--duration", "2"], "belong to --text"),
        (["--text", "a", "--output", "x.npy", "--end", "2"], "--end belong to --describe"),
        (["--text", "a", "--output", "x.npy", "--up", "z"], "--up belong to --describe"),
        (["--text", "a", "--output", "x.npy", "--temperature", "0"], "--temperature: must be > 0 and finite, got 0"),
        (["--text", "a", "--output", "x.npy", "--candidates", "0"], "--candidates: must be >= 1, got 0"),
        (["--text", "a", "--output", "x.npy", "--think", "no"], "--think: must be true or false, got no"),
        ([], "required"),
    ],
)
def test_command_refuses_bad_arguments(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.npy").mkdir()
    with pytest.raises(SystemExit) as stopped:
        generate_command(["--model", "unimo", *arguments])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_command_names_what_is_wrong(folder, tmp_path):
    def stops(arguments, message):
        with pytest.raises(SystemExit, match=message) as stopped:
            generate_command(arguments)
        assert str(stopped.value.code).startswith("error: ")

    output = ["--output", str(tmp_path / "x.npy")]
    stops(["--model", str(tmp_path / "none"), "--text", "a", *output], "cannot read a model")
    stops(["--model", str(tmp_path), "--text", "a", *output], "no config.json there")
    model, _ = tiny_unimo()
    model.motion_vqvae.save_pretrained(tmp_path / "vqvae")
    stops(
        ["--model", str(tmp_path / "vqvae"), "--text", "a", *output],
        "is a model of type 'motion_vqvae'; give a UniMo",
    )
    stops(["--model", str(folder), "--text", "", *output], "not be blank")
    stops(["--model", str(folder), "--text", "a", "--duration", "0", *output], "0.2 to 9.8 seconds")
    assert not (tmp_path / "x.npy").exists()
    stops(["--model", str(folder), "--describe", str(tmp_path / "no.npy")], "no motion file")
    stops(["--model", str(folder), "--describe", str(tmp_path / "no.bvh")], "no.bvh")
    (tmp_path / "cut.npy").write_bytes(b"\x93NUMPY")
    stops(["--model", str(folder), "--describe", str(tmp_path / "cut.npy")], "cut.npy")
    np.save(tmp_path / "long.npy", np.random.default_rng(0).normal(size=(400, 263)).astype(np.float32))
    stops(["--model", str(folder), "--describe", str(tmp_path / "long.npy")], "Choose a part with --start")
    stops(["--model", str(folder), "--describe", str(tmp_path / "long.npy"), "--start", "30"], "nothing between")
