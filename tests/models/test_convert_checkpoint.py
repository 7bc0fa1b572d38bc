"""Checkpoint conversion: every key accounted for, nothing run, and folders that load without the package."""

import os
import pickle
import shutil
import subprocess
import sys
import sysconfig
import tracemalloc
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_unimo import feature_extractor, qwen_tokenizer, tiny_lm, tiny_vqvae
from transformers import AutoFeatureExtractor, AutoModel, AutoProcessor, AutoTokenizer

from datasets_scripts.locks import locked_output
from modeling_unimo import UniMoProcessor
from modeling_unimo.checkpoint_conversion import (
    ConversionError,
    convert_evaluator,
    convert_unimo,
    convert_vqvae,
    vqvae_from_weights,
)
from modeling_unimo.checkpoint_files import read_glove
from modeling_unimo.configuration_unimo import MotionVQVAEConfig, TextMotionEvaluatorConfig
from modeling_unimo.convert_checkpoint import main
from modeling_unimo.tokenization_unimo import extend_vocabulary

DIM = 35
WORDS = ["sos", "eos", "unk", "a", "walk"]


def conv(out, into, kernel):
    return {"weight": torch.randn(out, into, kernel), "bias": torch.randn(out)}


def norm_keys(norm, width):
    keys = {"weight": torch.rand(width) + 0.5, "bias": torch.randn(width)}
    if norm == "BN":
        keys |= {"running_mean": torch.randn(width), "running_var": torch.rand(width) + 0.5}
        keys["num_batches_tracked"] = torch.tensor(7)
    return keys


def published_vqvae(norm="none", down_t=2, depth=2, width=32, code_dim=16, codes=8, learned=False):
    """A random state dict under the published names."""
    torch.manual_seed(0)
    modules = {"encoder.model.0": conv(width, DIM, 3), "decoder.model.0": conv(width, code_dim, 3)}
    for stage in range(2, 2 + down_t):
        modules[f"encoder.model.{stage}.0"] = conv(width, width, 4)
        modules[f"decoder.model.{stage}.2"] = conv(width, width, 3)
        for side, position in (("encoder", 1), ("decoder", 0)):
            for block in range(depth):
                name = f"{side}.model.{stage}.{position}.model.{block}"
                modules[f"{name}.conv1"] = conv(width, width, 3)
                modules[f"{name}.conv2"] = conv(width, width, 1)
                if norm != "none":
                    modules[f"{name}.norm1"], modules[f"{name}.norm2"] = norm_keys(norm, width), norm_keys(norm, width)
    last = 2 + down_t
    modules[f"encoder.model.{last}"] = conv(code_dim, width, 3)
    modules[f"decoder.model.{last}"] = conv(width, width, 3)
    modules[f"decoder.model.{last + 2}"] = conv(DIM, width, 3)
    modules["quantizer.embedding" if learned else "quantizer"] = {
        "weight" if learned else "codebook": torch.randn(codes, code_dim)
    }
    return {f"vqvae.{module}.{name}": value for module, values in modules.items() for name, value in values.items()}


def published_evaluator(hidden=12, latent=10, text=8, motion=14, out=6, word=5):
    torch.manual_seed(0)

    def linear(outputs, inputs):
        return {"weight": torch.randn(outputs, inputs), "bias": torch.randn(outputs)}

    def sequence(inputs, size):
        modules = {
            "input_emb": linear(size, inputs),
            "output_net.0": linear(size, 2 * size),
            "output_net.1": {"weight": torch.randn(size), "bias": torch.randn(size)},
            "output_net.3": linear(out, size),
        }
        state = {f"{module}.{name}": value for module, values in modules.items() for name, value in values.items()}
        state |= {
            f"gru.{name}": value for name, value in torch.nn.GRU(size, size, bidirectional=True).state_dict().items()
        }
        return state | {"hidden": torch.randn(2, 1, size)}

    movement = {
        f"{module}.{name}": value
        for module, values in {
            "main.0": conv(hidden, DIM - 4, 4),
            "main.3": conv(latent, hidden, 4),
            "out_net": linear(latent, latent),
        }.items()
        for name, value in values.items()
    }
    pos = {f"pos_emb.{name}": value for name, value in linear(word, 15).items()}
    return {
        "movement_encoder": movement,
        "text_encoder": sequence(word, text) | pos,
        "motion_encoder": sequence(latent, motion),
        "opt_text_encoder": {"state": {}, "param_groups": []},
        "epoch": 3,
        "iter": 100,
    }


def write_glove(folder, words=WORDS, index=None, vectors=None):
    folder.mkdir(exist_ok=True)
    np.save(folder / "our_vab_data.npy", np.arange(len(words) * 5.0).reshape(-1, 5) if vectors is None else vectors)
    (folder / "our_vab_words.pkl").write_bytes(pickle.dumps(words))
    index = {word: row for row, word in enumerate(words)} if index is None else index
    (folder / "our_vab_idx.pkl").write_bytes(pickle.dumps(index))
    return folder


def write_statistics(folder, dim=DIM):
    np.save(folder / "mean.npy", np.linspace(-1, 1, dim))
    np.save(folder / "std.npy", np.linspace(0.5, 2, dim))
    return {"mean": folder / "mean.npy", "std": folder / "std.npy"}


@pytest.mark.parametrize("prefix", ["vqvae.", "module.vqvae.", ""])
@pytest.mark.parametrize("bare", [True, False])
def test_vqvae_with_and_without_wrappers(prefix, bare, tmp_path):
    state = {prefix + key.removeprefix("vqvae."): value for key, value in published_vqvae().items()}
    torch.save(state if bare else {"net": state}, tmp_path / "vqvae.pth")
    report = convert_vqvae(tmp_path / "vqvae.pth", tmp_path / "out", **write_statistics(tmp_path))
    assert report.complete and len(report.converted) == len(state)
    model = AutoModel.from_pretrained(tmp_path / "out", trust_remote_code=True)
    expected = MotionVQVAEConfig(feature_dim=DIM, width=32, code_dim=16, codebook_size=8, depth=2)
    for name in ("feature_dim", "width", "code_dim", "codebook_size", "down_t", "depth", "stride_t"):
        assert getattr(model.config, name) == getattr(expected, name), name
    assert torch.equal(model.quantizer.codebook, state[f"{prefix}quantizer.codebook"])
    assert torch.equal(
        model.encoder.stacks[1].blocks[0].conv2.bias, state[f"{prefix}encoder.model.3.1.model.0.conv2.bias"]
    )
    extractor = AutoFeatureExtractor.from_pretrained(tmp_path / "out", trust_remote_code=True)
    assert extractor.mean == np.linspace(-1, 1, DIM).tolist()
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")], "a working folder stayed behind"


@pytest.mark.parametrize("norm", ["none", "LN", "GN", "BN"])
@pytest.mark.parametrize(("down_t", "depth", "learned"), [(1, 1, False), (3, 3, False), (2, 2, True)])
def test_every_size_is_read_from_the_shapes(norm, down_t, depth, learned):
    model, report = vqvae_from_weights(published_vqvae(norm, down_t, depth, learned=learned), "it", norm=norm)
    assert (model.config.down_t, model.config.depth) == (down_t, depth)
    assert model.config.quantizer == ("orig" if learned else "ema_reset")
    assert report.complete and not set(report.derived) & set(report.converted.values())
    assert model(torch.randn(2, 16, DIM)).reconstruction.shape == (2, 16, DIM)


@pytest.mark.parametrize(("theirs", "said"), [("none", "LN"), ("LN", "none"), ("BN", "GN"), ("GN", "BN")])
def test_another_norm_than_the_checkpoints_is_an_error(theirs, said, tmp_path):
    torch.save({"net": published_vqvae(theirs)}, tmp_path / "vqvae.pth")
    with pytest.raises(ConversionError, match="unused|missing") as error:
        convert_vqvae(tmp_path / "vqvae.pth", tmp_path / "out", norm=said)
    assert any("norm1" in key or "norm2" in key for key in error.value.report.unused + error.value.report.missing)
    assert not (tmp_path / "out").exists() and len(list(tmp_path.iterdir())) == 1


def broken(change):
    state = published_vqvae()
    change(state)
    return state


@pytest.mark.parametrize(
    ("checkpoint", "message"),
    [
        (broken(lambda s: s.update(extra=torch.zeros(1))), "1 unused"),
        (broken(lambda s: s.pop("vqvae.decoder.model.4.bias")), "1 missing"),
        (broken(lambda s: s.pop("vqvae.encoder.model.0.weight")), "lacks encoder.model.0.weight"),
        (broken(lambda s: s.pop("vqvae.quantizer.codebook")), "quantizer.codebook"),
        (broken(lambda s: s.update({"vqvae.quantizer.codebook": torch.zeros(8, 9)})), "codes of 9"),
        (broken(lambda s: s.update({"vqvae.decoder.model.4.weight": torch.zeros(2, 2, 2)})), "has shape"),
        (broken(lambda s: s.update({"vqvae.encoder.model.2.0.weight": torch.zeros(32, 32, 8)})), "stride 4"),
        ({"net": {}}, "must hold the state dict of a VQ-VAE"),
        ({"weights": [1, 2]}, "must hold the state dict of a VQ-VAE"),
        ([1, 2, 3], "holds list"),
    ],
    ids=range(10),
)
def test_checkpoints_that_do_not_fit_are_refused(checkpoint, message, tmp_path):
    torch.save(checkpoint, tmp_path / "vqvae.pth")
    with pytest.raises(ValueError, match=message):
        convert_vqvae(tmp_path / "vqvae.pth", tmp_path / "out")
    assert not (tmp_path / "out").exists()


class Harmful:
    def __reduce__(self):
        return (os.mkdir, ("harmed",))


def write_zip(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../escaped", "x")


@pytest.mark.parametrize(
    "write",
    [
        lambda path: torch.save({"net": {"a": Harmful()}}, path),
        lambda path: path.write_bytes(pickle.dumps(Harmful(), protocol=2)),
        lambda path: path.write_text("#!/bin/sh\n"),
        lambda path: path.write_bytes(b""),
        write_zip,
        lambda path: path.write_bytes(b"PK\x03\x04" + bytes(100)),
    ],
    ids=["class", "pickle", "text", "empty", "zip", "cut"],
)
def test_nothing_a_checkpoint_says_is_run(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "x.pth")
    with pytest.raises(ValueError, match="x.pth is not a checkpoint"):
        convert_vqvae(tmp_path / "x.pth", tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["x.pth"]


def test_a_size_that_nothing_follows_takes_no_memory(tmp_path):
    path = tmp_path / "x.pth"
    torch.save({"a": torch.zeros(2)}, path, _use_new_zipfile_serialization=False)
    word = b"X\x01\x00\x00\x00a"
    data = path.read_bytes()
    assert data.count(word) == 1
    path.write_bytes(data.replace(word, b"X\xff\xff\xff\x0fa"))  # a word of 256 MB
    tracemalloc.start()
    with pytest.raises(ValueError, match="x.pth is not a checkpoint"):
        convert_vqvae(path, tmp_path / "out")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32 << 20


def test_evaluator_with_glove_and_statistics(tmp_path):
    checkpoint = published_evaluator()
    torch.save(checkpoint, tmp_path / "finest.tar")
    glove = write_glove(tmp_path / "glove", index=dict(zip(WORDS, (4, 3, 2, 1, 0), strict=True)))
    report = convert_evaluator(tmp_path / "finest.tar", glove, tmp_path / "out", **write_statistics(tmp_path))
    assert report.complete and set(report.set_aside) == {"opt_text_encoder", "epoch", "iter"}
    model = AutoModel.from_pretrained(tmp_path / "out", trust_remote_code=True)
    expected = TextMotionEvaluatorConfig(
        feature_dim=DIM,
        movement_hidden_size=12,
        movement_latent_size=10,
        text_hidden_size=8,
        motion_hidden_size=14,
        embedding_size=6,
        word_embedding_size=5,
        vocabulary=WORDS,
    )
    for name in ("feature_dim", "movement_hidden_size", "movement_latent_size", "text_hidden_size", "vocabulary"):
        assert getattr(model.config, name) == getattr(expected, name), name
    # Row i of the table belongs to word i, whatever the index file says.
    assert model.word_vectors[0].tolist() == [20, 21, 22, 23, 24]
    assert model.get_motion_features([np.zeros((12, DIM))]).shape == (1, 6)
    assert model.get_text_features([["walk/VERB"]]).shape == (1, 6)


def test_evaluator_keys_are_all_accounted_for(tmp_path):
    glove = write_glove(tmp_path / "glove")
    for change, message in (
        (lambda c: c.update(surprise=1), "unused surprise"),
        (lambda c: c["text_encoder"].update(extra=torch.zeros(1)), "unused text_encoder.extra"),
        (lambda c: c["motion_encoder"].pop("hidden"), "missing motion_encoder.hidden"),
        (lambda c: c.pop("motion_encoder"), "lacks motion_encoder.input_emb.weight"),
        (lambda c: c["text_encoder"].update({"pos_emb.weight": torch.zeros(5, 9)}), "9 parts of speech"),
        (lambda c: c.update(text_encoder=3), "must be a state dict"),
    ):
        checkpoint = published_evaluator()
        change(checkpoint)
        torch.save(checkpoint, tmp_path / "finest.tar")
        with pytest.raises(ValueError, match=message):
            convert_evaluator(tmp_path / "finest.tar", glove, tmp_path / "out")
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g: (g / "our_vab_words.pkl").write_bytes(pickle.dumps(Harmful())), "refers to"),
        (lambda g: (g / "our_vab_idx.pkl").write_bytes(pickle.dumps({"a": np.int64(3)})), "row number"),
        (lambda g: (g / "our_vab_words.pkl").write_bytes(b"\x80\x04]"), "cannot be read"),
        (lambda g: (g / "our_vab_words.pkl").write_text("sos eos"), "cannot be read"),
        (lambda g: (g / "our_vab_words.pkl").write_bytes(pickle.dumps({"sos": 1})), "list of words"),
        (lambda g: (g / "our_vab_idx.pkl").write_bytes(pickle.dumps({"sos": "0"})), "row number"),
        (lambda g: (g / "our_vab_idx.pkl").write_bytes(pickle.dumps({w: 99 for w in WORDS})), "'sos'"),
        (lambda g: np.save(g / "our_vab_data.npy", np.zeros((2, 5))), "need as many rows"),
        (lambda g: np.save(g / "our_vab_data.npy", np.full((5, 5), np.nan)), "NaN"),
        (lambda g: np.save(g / "our_vab_data.npy", np.array([{}]), allow_pickle=True), "not a readable .npy"),
        (lambda g: (g / "our_vab_data.npy").write_bytes(b"\x93NUMPY"), "not a readable .npy"),
    ],
    ids=range(11),
)
def test_glove_folders_that_are_none_are_refused(change, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    change(write_glove(tmp_path / "glove"))
    with pytest.raises(ValueError, match=message):
        read_glove(tmp_path / "glove")
    assert not (tmp_path / "harmed").exists()


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.pth"):
        convert_vqvae(tmp_path / "nowhere.pth", tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="our_vab_data.npy"):
        read_glove(tmp_path)
    torch.save(published_vqvae(), tmp_path / "vqvae.pth")
    np.save(tmp_path / "short.npy", np.ones(3))
    for statistics, message in (
        ({"mean": tmp_path / "short.npy"}, "given together"),
        ({"mean": tmp_path / "short.npy", "std": tmp_path / "short.npy"}, "needs 35 numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            convert_vqvae(tmp_path / "vqvae.pth", tmp_path / "out", **statistics)


def test_an_output_that_holds_something_is_left_alone(tmp_path):
    torch.save(published_vqvae(), tmp_path / "vqvae.pth")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="not an empty folder"):
        convert_vqvae(tmp_path / "vqvae.pth", tmp_path / "out")
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"


def test_an_output_has_one_writer_and_what_a_killed_one_left_goes(tmp_path):
    torch.save(published_vqvae(), tmp_path / "vqvae.pth")
    with (
        locked_output(tmp_path / "out"),
        pytest.raises(BlockingIOError, match=f"another process works in {tmp_path / 'out'}"),
    ):
        convert_vqvae(tmp_path / "vqvae.pth", tmp_path / "out")
    for left in (".out.partial-0badcafe", ".other.partial-0badcafe"):
        (tmp_path / left).mkdir()
    convert_vqvae(tmp_path / "vqvae.pth", tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"out", "vqvae.pth", ".other.partial-0badcafe"}


def test_command_reports_every_key(tmp_path, capsys):
    torch.save(published_vqvae(), tmp_path / "vqvae.pth")
    arguments = ["--kind", "vqvae", "--input", str(tmp_path / "vqvae.pth"), "--output", str(tmp_path / "out")]
    main(arguments)
    printed = capsys.readouterr().out
    assert "converted  vqvae.encoder.model.0.weight -> encoder.input.weight" in printed
    assert "0 unused, 0 missing" in printed
    with pytest.raises(SystemExit, match="not an empty folder"):
        main(arguments)
    with pytest.raises(SystemExit, match="missing"):
        main([*arguments[:-1], str(tmp_path / "other"), "--norm", "LN"])
    assert "MISSING" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["--kind", "evaluator", *arguments[2:]])
    assert "needs --glove" in capsys.readouterr().err


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """Folders of a tiny language model with the motion vocabulary and of a tiny VQ-VAE."""
    folder = tmp_path_factory.mktemp("parts")
    tokenizer = qwen_tokenizer()
    language_model = tiny_lm(tokenizer)
    extend_vocabulary(tokenizer, language_model)
    language_model.save_pretrained(folder / "lm")
    tokenizer.save_pretrained(folder / "lm")
    tiny_vqvae().save_pretrained(folder / "vqvae")
    feature_extractor().save_pretrained(folder / "vqvae")
    return folder


def test_a_language_model_and_a_vqvae_become_unimo(parts, tmp_path, capsys):
    main(
        ["--kind", "unimo", "--input", str(parts / "lm"), "--vqvae", str(parts / "vqvae")]
        + ["--output", str(tmp_path / "unimo")]
    )
    assert "0 unused, 0 missing" in capsys.readouterr().out
    model = AutoModel.from_pretrained(tmp_path / "unimo", trust_remote_code=True)
    processor = AutoProcessor.from_pretrained(tmp_path / "unimo", trust_remote_code=True)
    assert len(processor.tokenizer.motion_vocabulary.codes) == 512
    for name, folder in (("language_model", "lm"), ("motion_vqvae", "vqvae")):
        part = getattr(model, name)
        source = type(part).from_pretrained(parts / folder).state_dict()
        for key, value in part.state_dict().items():
            assert torch.equal(value, source[key]), f"{name}.{key}"


def test_settings_of_the_processor_are_kept(parts, tmp_path):
    settings = {"thoughts": False, "max_answer_tokens": 7, "system_prompts": {"t2m": "Move.", "m2t": "Tell."}}
    settings["taught_words"] = ["person", "walks"]
    shutil.copytree(parts / "lm", tmp_path / "lm")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "lm")
    UniMoProcessor(feature_extractor(), tokenizer, **settings).save_pretrained(tmp_path / "lm")
    convert_unimo(tmp_path / "lm", parts / "vqvae", tmp_path / "unimo")
    processor = AutoProcessor.from_pretrained(tmp_path / "unimo")
    assert {name: getattr(processor, name) for name in settings} == settings


def test_parts_of_the_wrong_kind_are_refused(parts, tmp_path):
    bare = tmp_path / "bare"
    tokenizer = qwen_tokenizer()
    tiny_lm(tokenizer).save_pretrained(bare)
    tokenizer.save_pretrained(bare)
    cut = tmp_path / "cut"
    shutil.copytree(parts / "vqvae", cut)
    weights = load_file(cut / "model.safetensors")
    weights.pop("quantizer.codebook")
    save_file(weights, cut / "model.safetensors", metadata={"format": "pt"})
    empty = tmp_path / "empty"
    shutil.copytree(parts / "vqvae", empty)
    (empty / "model.safetensors").unlink()
    for language_model, vqvae, error, message in (
        (parts / "vqvae", parts / "vqvae", ValueError, "type 'motion_vqvae'; give the folder of a causal"),
        (parts / "lm", parts / "lm", ValueError, "type 'qwen2'; give the folder of a motion VQ-VAE"),
        (parts / "lm", tmp_path, FileNotFoundError, "no config.json"),
        (tmp_path / "nowhere", parts / "vqvae", FileNotFoundError, "no such folder"),
        (bare, parts / "vqvae", ValueError, "motion vocabulary"),
        (parts / "lm", cut, ConversionError, "missing motion_vqvae.quantizer.codebook"),
        (parts / "lm", empty, FileNotFoundError, "cannot read the weights"),
    ):
        with pytest.raises(error, match=message):
            convert_unimo(language_model, vqvae, tmp_path / "out")
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [["vqvae", "--glove", "g"], ["evaluator", "--activation", "silu"], ["unimo", "--vqvae", "v", "--mean", "m.npy"]],
)
def test_options_of_another_kind_are_refused(arguments, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--input", str(tmp_path), "--output", str(tmp_path / "out"), "--kind", *arguments])
    assert stopped.value.code == 2
    assert f"does not belong to --kind {arguments[0]}" in capsys.readouterr().err


def test_loads_where_the_package_is_not_installed(tmp_path):
    """The folders carry their code: a process that cannot import the package computes the same."""
    torch.save(published_vqvae(), tmp_path / "vqvae.pth")
    torch.save(published_evaluator(), tmp_path / "finest.tar")
    statistics = write_statistics(tmp_path)
    convert_vqvae(tmp_path / "vqvae.pth", tmp_path / "vqvae", **statistics)
    convert_evaluator(tmp_path / "finest.tar", write_glove(tmp_path / "glove"), tmp_path / "evaluator", **statistics)
    for folder in ("vqvae", "evaluator"):
        weights = {p.suffix for p in (tmp_path / folder).iterdir()} - {".json", ".py", ".md"}
        assert weights == {".safetensors"}
    script = """
import importlib.util, sys, numpy as np, torch
assert importlib.util.find_spec("modeling_unimo") is None
torch.set_num_threads(1)
from transformers import AutoFeatureExtractor, AutoModel
folder = sys.argv[1]
extractor = AutoFeatureExtractor.from_pretrained(folder + "/vqvae", trust_remote_code=True)
vqvae = AutoModel.from_pretrained(folder + "/vqvae", trust_remote_code=True)
evaluator = AutoModel.from_pretrained(folder + "/evaluator", trust_remote_code=True)
raw = np.random.default_rng(0).normal(size=(21, 35)).astype("float32")
codes = vqvae.encode(**extractor([raw])).codes
np.savez(folder + "/results.npz", codes=codes.numpy(), decoded=vqvae.decode(codes).detach().numpy(),
         motion=evaluator.get_motion_features([raw]).numpy(),
         text=evaluator.get_text_features([["walk/VERB"]]).numpy())
vqvae.save_pretrained(folder + "/again")
AutoModel.from_pretrained(folder + "/again", trust_remote_code=True)
"""
    run = subprocess.run(
        # Without `site`, an editable installation of the package is not found either.
        [sys.executable, "-S", "-c", script, str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": sysconfig.get_path("purelib"), "HF_HOME": str(tmp_path / "cache")},
        timeout=300,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    vqvae = AutoModel.from_pretrained(tmp_path / "vqvae")
    evaluator = AutoModel.from_pretrained(tmp_path / "evaluator")
    extractor = AutoFeatureExtractor.from_pretrained(tmp_path / "vqvae")
    raw = np.random.default_rng(0).normal(size=(21, DIM)).astype("float32")
    with np.load(tmp_path / "results.npz") as theirs:
        codes = vqvae.encode(**extractor([raw])).codes
        assert np.array_equal(codes, theirs["codes"])
        assert np.array_equal(vqvae.decode(codes).detach(), theirs["decoded"])
        assert np.array_equal(evaluator.get_motion_features([raw]), theirs["motion"])
        assert np.array_equal(evaluator.get_text_features([["walk/VERB"]]), theirs["text"])
