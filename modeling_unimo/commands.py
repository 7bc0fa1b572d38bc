"""What the commands share: saved models checked and loaded whole, bad input told in one line, kinds of options.

A command's module; it stays in the package and never travels to a Hub repo.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES


@contextmanager
def refusals() -> Iterator[None]:
    """Ends the program with `error: ...` where the block refuses its input, without a traceback.

    Raises:
        SystemExit: in place of a ValueError, an OSError (no such file) or an ImportError (an extra is missing).
    """
    try:
        yield
    except (ValueError, OSError, ImportError) as error:
        raise SystemExit(f"error: {error}") from error


def load_whole(cls: Any, name: str | Path, needed: str, **settings: Any) -> Any:
    """A saved model of the kind asked for, all of whose weights were saved.

    The library would fill what is missing with random numbers and go on.

    Args:
        cls: MotionVQVAEModel, TextMotionEvaluatorModel, UniMoForConditionalGeneration or AutoModelForCausalLM.
        name: a folder, or as a string also the name of a repository on the Hub.
        needed: for the error message, what should have been given: "the folder of a motion VQ-VAE".
        settings: of `from_pretrained`.

    Raises:
        FileNotFoundError: no model there, or one without weights.
        ValueError: a model of another kind, or weights that do not fill it.
    """
    model, missing, _ = load_with_gaps(cls, name, needed, **settings)
    if missing:
        raise ValueError(f"{name}: {len(missing)} weights are missing ({', '.join(missing[:3])}); give {needed}")
    return model


def load_with_gaps(cls: Any, name: str | Path, needed: str, **settings: Any) -> tuple[Any, list[str], list[str]]:
    """As `load_whole`, but with the names of weights that are missing, and of those nothing took, for the caller."""
    require_kind(cls, name, needed)
    try:
        model, loading = cls.from_pretrained(name, output_loading_info=True, **settings)
    except OSError as error:
        raise FileNotFoundError(f"{name}: no weights could be read ({_brief(error)}); give {needed}") from error
    except (RuntimeError, SafetensorError) as error:
        raise ValueError(f"{name}: damaged weights or of another size ({_brief(error)}); give {needed}") from error
    return model, sorted(loading["missing_keys"]), sorted(loading["unexpected_keys"])


def require_kind(cls: Any, name: str | Path, needed: str) -> None:
    """Refuse a folder or Hub name that holds no model of the kind asked for; see `load_whole`.

    Raises:
        FileNotFoundError: no model there.
        ValueError: a model of another kind.
    """
    kind = _kind(name, needed)
    causal = cls is AutoModelForCausalLM
    if not (kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES if causal else kind == cls.config_class.model_type):
        raise ValueError(f"{name} holds a model of type {kind!r}; give {needed}")


def require_width(model: Any, width: int, name: str | Path) -> None:
    """Refuse a model that reads features of another skeleton than the data's, whose frames have `width` numbers.

    Raises:
        ValueError: with both widths.
    """
    if model.config.feature_dim != width:
        raise ValueError(
            f"{name} reads features of width {model.config.feature_dim}, the dataset has {width}: they belong to "
            "different skeletons (263 HumanML3D, 251 KIT-ML)"
        )


def _kind(name: str | Path, needed: str) -> str:
    if isinstance(name, Path) and not name.is_dir():
        raise FileNotFoundError(f"{name}: no such folder; give {needed}")
    if Path(name).exists() and not (Path(name) / "config.json").is_file():
        raise FileNotFoundError(f"{name}: no config.json there; give {needed}")
    try:
        return AutoConfig.from_pretrained(name).model_type
    except OSError as error:
        raise FileNotFoundError(f"{name}: no model could be read ({_brief(error)}); give {needed}") from error
    except ValueError as error:
        raise ValueError(f"{name}: no model that is known here ({_brief(error)}); give {needed}") from error


def _brief(error: Exception) -> str:
    """The first line of the library's message, which may go on for a page."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def positive(word: str) -> int:
    """An option's whole number of at least 1, as a `type` of argparse."""
    return _at_least(1, word)


def count(word: str) -> int:
    """An option's whole number of at least 0, as a `type` of argparse."""
    return _at_least(0, word)


def _at_least(least: int, word: str) -> int:
    value = int(word)
    if value < least:
        raise argparse.ArgumentTypeError(f"{word} where a number of at least {least} is due")
    return value
