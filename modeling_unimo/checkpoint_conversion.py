"""Published checkpoints converted to folders that load with their Auto class; the command is `convert_checkpoint`.

Every key is accounted for, and one that is unused or missing is an error.
"""

import re
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from transformers.utils import PROCESSOR_NAME, cached_file

from .checkpoint_files import read_glove, read_statistics, read_weights
from .configuration_unimo import MotionVQVAEConfig, TextMotionEvaluatorConfig
from .feature_extraction_unimo import MotionFeatureExtractor
from .files_unimo import write_text
from .model_loading import load_model_with_report
from .modeling_evaluator import POS_CLASSES, TextMotionEvaluatorModel
from .modeling_motion_vqvae import MotionVQVAEModel
from .modeling_unimo import UniMoForConditionalGeneration
from .processing_unimo import UniMoProcessor
from .tokenization_unimo import UniMoTokenizer

KIT_FEATURES, KIT_FPS, FPS = 251, 12.5, 20.0
# Beside the weights, finest.tar holds what its training needed.
_TRAINING_STATE = ("opt_text_encoder", "opt_motion_encoder", "opt_movement_encoder", "epoch", "iter", "ep", "total_it")


@dataclass
class ConversionReport:
    """Where every key went.

    converted: source key -> key here; set_aside: source key -> why it is no weight; derived: key here -> how its value
    came about without a source; unused: source keys nothing here takes; missing: keys here that nothing filled.
    """

    converted: dict[str, str] = field(default_factory=dict)
    set_aside: dict[str, str] = field(default_factory=dict)
    derived: dict[str, str] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether no key is left on either side."""
        return not self.unused and not self.missing

    def __str__(self) -> str:
        lines = [f"converted  {source} -> {target}" for source, target in self.converted.items()]
        lines += [f"set aside  {source} ({why})" for source, why in self.set_aside.items()]
        lines += [f"derived    {target} ({how})" for target, how in self.derived.items()]
        lines += [f"UNUSED     {source}" for source in self.unused]
        lines += [f"MISSING    {target}" for target in self.missing]
        lines.append(
            f"{len(self.converted)} keys converted, {len(self.set_aside)} set aside, {len(self.derived)} derived, "
            f"{len(self.unused)} unused, {len(self.missing)} missing"
        )
        return "\n".join(lines)


class ConversionError(ValueError):
    """A checkpoint that does not fill the model exactly; `report` lists the keys."""

    def __init__(self, message: str, report: ConversionReport):
        super().__init__(message)
        self.report = report


def convert_vqvae(
    input: str | Path,
    output: str | Path,
    activation: str = "relu",
    norm: str = "none",
    quantizer: str | None = None,
    dilation_growth_rate: int = 3,
    mean: str | Path | None = None,
    std: str | Path | None = None,
) -> ConversionReport:
    """Convert a T2M-GPT / Motion-Agent VQ-VAE state dict, bare or under `net`; sizes are read from the shapes.

    Args:
        input: the `.pth` file.
        output: folder to make; it must not exist or be empty.
        activation, norm, dilation_growth_rate: of the residual blocks, which shapes do not tell.
        quantizer: ema_reset | ema | reset | orig; None: "orig" where the codebook is an embedding, else "ema_reset".
        mean, std: `.npy` statistics the network was trained with; with them the folder also holds its feature
            extractor.

    Returns:
        Where every key of the checkpoint went.

    Raises:
        FileNotFoundError: a file is missing.
        ConversionError: a key is unused or missing (for example another `norm` than the checkpoint's).
        ValueError: a file is not what it should be, sizes do not fit, or `output` holds something.
    """
    with _new_folder(output) as folder:
        model, report = vqvae_from_weights(
            read_weights(input), input, activation, norm, quantizer, dilation_growth_rate
        )
        if mean is not None or std is not None:
            config = model.config
            statistics = read_statistics(mean, std, config.feature_dim)
            extractor = MotionFeatureExtractor(feature_dim=config.feature_dim, fps=config.fps, **statistics)
            extractor.save_pretrained(folder)
        model.save_pretrained(folder)
        _write_card(folder, "Motion VQ-VAE", f"converted from the published checkpoint {_code(input)}")
    return report


def vqvae_from_weights(
    checkpoint: dict,
    name: str | Path,
    activation: str = "relu",
    norm: str = "none",
    quantizer: str | None = None,
    dilation_growth_rate: int = 3,
) -> tuple[MotionVQVAEModel, ConversionReport]:
    """The model that published VQ-VAE weights describe, and where every key went.

    Args:
        checkpoint: The state dict, bare or under `net`.
        name: What errors call the checkpoint.
        activation, norm, quantizer, dilation_growth_rate: As of `convert_vqvae`.

    Returns:
        The model and the report.

    Raises:
        ConversionError, ValueError: as `convert_vqvae`.
    """
    weights = _vqvae_weights(checkpoint, name)
    state = {_bare(key): value for key, value in weights.items()}
    model = MotionVQVAEModel(_vqvae_config(state, name, activation, norm, quantizer, dilation_growth_rate))
    report = ConversionReport()
    if model.config.quantizer != "orig":
        # The published checkpoint drops its running averages; published training starts them like this.
        codebook = state["quantizer.codebook"]
        _derive(model, report, "quantizer.code_sum", codebook, "the codebook, as if used once each")
        _derive(model, report, "quantizer.code_count", torch.ones(len(codebook)), "one use each")
        _derive(model, report, "quantizer.initialized", torch.tensor(True), "the codes are placed")
    _fill(model, weights, lambda key: _vqvae_key(_bare(key), model.config), report, name)
    return model, report


def convert_evaluator(
    input: str | Path,
    glove: str | Path,
    output: str | Path,
    mean: str | Path | None = None,
    std: str | Path | None = None,
) -> ConversionReport:
    """Convert a text-to-motion evaluator (`finest.tar`) with its GloVe folder; sizes are read from the shapes.

    Args:
        input: the checkpoint: state dicts movement_encoder, text_encoder, motion_encoder.
        glove: folder with our_vab_data.npy, our_vab_words.pkl and our_vab_idx.pkl.
        output: folder to make; it must not exist or be empty.
        mean, std: `.npy` statistics of the evaluator; without them it embeds prepared tensors only.

    Returns:
        Where every key of the checkpoint went.

    Raises:
        FileNotFoundError: a file is missing.
        ConversionError: a key is unused or missing.
        ValueError: a file is not what it should be, sizes do not fit, or `output` holds something.
    """
    with _new_folder(output) as folder:
        words, vectors = read_glove(glove)
        model, report = evaluator_from_weights(read_weights(input), input, words, vectors)
        how = "not given: this evaluator takes prepared tensors only"
        if mean is not None or std is not None:
            model.set_statistics(**read_statistics(mean, std, model.config.feature_dim))
            how = "--mean and --std"
        report.derived.update({"motion_mean": how, "motion_std": how})
        model.save_pretrained(folder)
        _write_card(folder, "Text-motion evaluator", f"converted from the published checkpoint {_code(input)}")
    return report


def evaluator_from_weights(
    checkpoint: dict, name: str | Path, words: list[str], vectors: np.ndarray
) -> tuple[TextMotionEvaluatorModel, ConversionReport]:
    """The model that published evaluator weights and word vectors describe, and where every key went.

    Args:
        checkpoint: State dicts movement_encoder, text_encoder, motion_encoder.
        name: What errors call the checkpoint.
        words: The V words of the vocabulary.
        vectors: (V, E) word vectors.

    Returns:
        The model, whose statistics are still unset, and the report.

    Raises:
        ConversionError, ValueError: as `convert_evaluator`.
    """
    state, report = _evaluator_state(checkpoint, name)
    model = TextMotionEvaluatorModel(_evaluator_config(state, name, words, vectors))
    _derive(model, report, "word_vectors", torch.from_numpy(vectors), "our_vab_data.npy")
    report.derived.update(dict.fromkeys(("motion_mean", "motion_std"), "unset"))
    _fill(model, state, _evaluator_key, report, name)
    return model, report


def convert_unimo(input: str | Path, vqvae: str | Path, output: str | Path) -> ConversionReport:
    """Join a causal language model with the motion vocabulary and a motion VQ-VAE into one UniMo folder.

    Args:
        input: folder of the language model and its tokenizer.
        vqvae: folder of the VQ-VAE and its feature extractor.
        output: folder to make; it must not exist or be empty.

    Returns:
        Where every key of the parts went.

    Raises:
        FileNotFoundError: a folder or its configuration is missing.
        ValueError: a folder holds another kind of model, the tokenizer lacks the motion vocabulary, or `output` holds
            something.
    """
    with _new_folder(output) as folder:
        report = ConversionReport()
        needed = "the folder of a motion VQ-VAE"
        motion_vqvae = _load_part(MotionVQVAEModel, vqvae, "motion_vqvae", needed, report)
        needed = "the folder of a causal language model with the motion vocabulary"
        language_model = _load_part(AutoModelForCausalLM, input, "language_model", needed, report)
        _refuse_incomplete(report, f"{input} with {vqvae}")
        tokenizer = UniMoTokenizer.from_tokenizer(AutoTokenizer.from_pretrained(input))
        processor = UniMoProcessor(MotionFeatureExtractor.from_pretrained(vqvae), tokenizer, **_settings_of(input))
        model = UniMoForConditionalGeneration.from_parts(language_model, motion_vqvae, processor)
        model.save_pretrained(folder)
        processor.save_pretrained(folder)
        _write_card(folder, "UniMo", f"joined from {_code(input)} and {_code(vqvae)}")
    return report


def _settings_of(folder: str | Path) -> dict[str, Any]:
    """What a processor saved with a language model was set to; nothing where there is none."""
    if cached_file(folder, PROCESSOR_NAME, _raise_exceptions_for_missing_entries=False) is None:
        return {}
    saved = UniMoProcessor.from_pretrained(folder)
    return {name: getattr(saved, name) for name in UniMoProcessor.SETTINGS}


def _load_part(cls: Any, folder: str | Path, name: str, needed: str, report: ConversionReport) -> PreTrainedModel:
    model, missing, unexpected = load_model_with_report(cls, folder, needed)
    report.missing += [f"{name}.{key}" for key in missing]
    report.unused += [f"{folder}: {key}" for key in unexpected]
    report.converted |= {f"{folder}: {key}": f"{name}.{key}" for key in model.state_dict() if key not in missing}
    return model


def _bare(key):
    """A published key without the prefixes of the wrappers around the network."""
    return re.sub(r"^(module\.)?(vqvae\.)?", "", key)


def _vqvae_weights(checkpoint, path):
    net = checkpoint.get("net", checkpoint)
    if not isinstance(net, dict) or not net or not all(isinstance(value, Tensor) for value in net.values()):
        raise ValueError(f"{path} must hold the state dict of a VQ-VAE, at the top level or under 'net'")
    return net


def _vqvae_config(state, path, activation, norm, quantizer, dilation_growth_rate):
    def shape(key, dims):
        if key not in state or state[key].dim() != dims:
            raise ValueError(f"{path} is not a T2M-GPT VQ-VAE: it lacks {key} with {dims} dimensions")
        return state[key].shape

    width, feature_dim, _ = shape("encoder.model.0.weight", 3)
    down_t = sum(re.fullmatch(r"encoder\.model\.\d+\.0\.weight", key) is not None for key in state)
    depth = sum(re.fullmatch(r"encoder\.model\.2\.1\.model\.\d+\.conv1\.weight", key) is not None for key in state)
    stride = shape("encoder.model.2.0.weight", 3)[2] // 2
    if stride != 2:
        raise ValueError(
            f"{path} has stride {stride}; the published decoder doubles whatever the stride, so only 2 works"
        )
    code_dim = shape(f"encoder.model.{down_t + 2}.weight", 3)[0]
    learned = "quantizer.embedding.weight" in state
    codebook_size, codebook_dim = shape("quantizer.embedding.weight" if learned else "quantizer.codebook", 2)
    if codebook_dim != code_dim:
        raise ValueError(f"{path} has codes of {codebook_dim} numbers but an encoder that makes {code_dim}")
    if quantizer is None:
        quantizer = "orig" if learned else "ema_reset"
    if learned != (quantizer == "orig"):
        raise ValueError(
            f"{path} {'has' if learned else 'lacks'} a learned codebook; quantizer {quantizer} does not fit"
        )
    return MotionVQVAEConfig(
        feature_dim=feature_dim,
        width=width,
        code_dim=code_dim,
        codebook_size=codebook_size,
        down_t=down_t,
        stride_t=stride,
        depth=depth,
        dilation_growth_rate=dilation_growth_rate,
        activation=activation,
        norm=norm,
        quantizer=quantizer,
        fps=KIT_FPS if feature_dim == KIT_FEATURES else FPS,
    )


def _vqvae_key(key, config):
    """Key here of a published key, or None."""
    last = config.down_t + 2
    fixed = {
        "encoder.model.0": "encoder.input",
        f"encoder.model.{last}": "encoder.output",
        "decoder.model.0": "decoder.input",
        f"decoder.model.{last}": "decoder.hidden",
        f"decoder.model.{last + 2}": "decoder.output",
    }
    if key in ("quantizer.codebook", "quantizer.embedding.weight"):
        return "quantizer.codebook"
    module, _, name = key.rpartition(".")
    if module in fixed:
        return f"{fixed[module]}.{name}"
    for side, sample, stack, samplers in (("encoder", 0, 1, "downs"), ("decoder", 2, 0, "ups")):
        found = re.fullmatch(rf"{side}\.model\.(\d+)\.(\d+)\.(.+)", key)
        if not found or not 2 <= int(found[1]) < last:
            continue
        stage, part, rest = int(found[1]) - 2, int(found[2]), found[3]
        if part == sample:
            return f"{side}.{samplers}.{stage}.{rest}"
        block = re.fullmatch(r"model\.(\d+)\.(.+)", rest)
        if part == stack and block:
            return f"{side}.stacks.{stage}.blocks.{block[1]}.{block[2]}"
    return None


def _evaluator_state(checkpoint, path):
    state, report = {}, ConversionReport()
    for part, values in checkpoint.items():
        if part in ("movement_encoder", "text_encoder", "motion_encoder"):
            if not isinstance(values, dict) or not all(isinstance(value, Tensor) for value in values.values()):
                raise ValueError(f"{path}: {part} must be a state dict")
            state.update({f"{part}.{key}": value for key, value in values.items()})
        elif part in _TRAINING_STATE:
            report.set_aside[str(part)] = "state of its training"
        else:
            report.unused.append(str(part))
    return state, report


def _evaluator_config(state, path, words, vectors):
    def shape(key, dims):
        if key not in state or state[key].dim() != dims:
            raise ValueError(f"{path} is not a text-to-motion evaluator: it lacks {key} with {dims} dimensions")
        return state[key].shape

    movement_hidden, movement_input, _ = shape("movement_encoder.main.0.weight", 3)
    word_size, pos_size = shape("text_encoder.pos_emb.weight", 2)
    if pos_size != len(POS_CLASSES):
        raise ValueError(f"{path} has {pos_size} parts of speech; {len(POS_CLASSES)} are expected")
    if vectors.shape[1] != word_size:
        raise ValueError(f"{path} takes word vectors of {word_size} numbers; the GloVe folder has {vectors.shape[1]}")
    return TextMotionEvaluatorConfig(
        feature_dim=movement_input + 4,
        movement_hidden_size=movement_hidden,
        movement_latent_size=shape("movement_encoder.main.3.weight", 3)[0],
        text_hidden_size=shape("text_encoder.input_emb.weight", 2)[0],
        motion_hidden_size=shape("motion_encoder.input_emb.weight", 2)[0],
        embedding_size=shape("text_encoder.output_net.3.weight", 2)[0],
        word_embedding_size=word_size,
        vocabulary=words,
    )


_EVALUATOR_MODULES = {
    "movement_encoder.main.0": "movement_encoder.conv1",
    "movement_encoder.main.3": "movement_encoder.conv2",
    "movement_encoder.out_net": "movement_encoder.output",
    "text_encoder.pos_emb": "pos_embedding",
    **{
        f"{side}_encoder.{source}": f"{side}_encoder.{target}"
        for side in ("text", "motion")
        for source, target in (
            ("input_emb", "input"),
            ("gru", "gru"),
            ("output_net.0", "output.0"),
            ("output_net.1", "output.1"),
            ("output_net.3", "output.3"),
        )
    },
}


def _evaluator_key(key):
    """Key here of a published key, or None."""
    if key in ("text_encoder.hidden", "motion_encoder.hidden"):
        return key
    module, _, name = key.rpartition(".")
    return f"{_EVALUATOR_MODULES[module]}.{name}" if module in _EVALUATOR_MODULES else None


@torch.no_grad()
def _derive(model: PreTrainedModel, report: ConversionReport, key: str, value: Tensor, how: str) -> None:
    model.state_dict()[key].copy_(value)
    report.derived[key] = how


@torch.no_grad()
def _fill(
    model: PreTrainedModel,
    state: dict[str, Tensor],
    rename: Callable[[str], str | None],
    report: ConversionReport,
    path: str | Path,
) -> None:
    """Copy every weight to its place and complain about any that is left on either side."""
    targets = model.state_dict()
    for key, value in state.items():
        target = rename(key)
        if target is None or target not in targets or target in report.converted.values():
            report.unused.append(key)
            continue
        if targets[target].shape != value.shape:
            raise ValueError(
                f"{path}: {key} has shape {tuple(value.shape)}; the sizes read from this checkpoint need "
                f"{tuple(targets[target].shape)}"
            )
        targets[target].copy_(value)
        report.converted[key] = target
    report.missing = sorted(set(targets) - set(report.converted.values()) - set(report.derived))
    _refuse_incomplete(report, path)


def _refuse_incomplete(report, path):
    if not report.complete:
        shown = [f"unused {key}" for key in report.unused[:3]] + [f"missing {key}" for key in report.missing[:3]]
        raise ConversionError(
            f"{path} does not fit: {len(report.unused)} unused and {len(report.missing)} missing keys "
            f"({', '.join(shown)}); all of them are in the report",
            report,
        )


@contextmanager
def _new_folder(output):
    """A folder beside `output` that takes its name only when everything in it is written."""
    from datasets_scripts.locks import locked_output, partial_folder

    output = Path(output).absolute()
    with locked_output(output):
        if output.exists() and (not output.is_dir() or any(output.iterdir())):
            raise ValueError(f"{output} exists and is not an empty folder; name another output")
        with partial_folder(output) as folder:
            yield folder
            if output.is_dir():
                output.rmdir()
            folder.rename(output)


def _code(path):
    """The last component of a path as Markdown code, in which nothing of it acts."""
    return f"`{' '.join(Path(path).name.replace('`', chr(39)).split())}`"


def _write_card(folder, title, origin):
    card = f"---\nlibrary_name: transformers\ntags:\n- motion\n- unimo\n---\n\n# {title}\n\nUniMo part, {origin}.\n"
    write_text(folder / "README.md", card)
