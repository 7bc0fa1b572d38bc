"""Saved models loaded completely or rejected with the reason: for the commands, never carried by a Hub folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

# The small model that comes with the package (made by `python -m train.mini`).
SHIPPED_MODEL = Path(__file__).parent.parent / "unimo" / "mini"


def load_model(cls: Any, name: str | Path, expected: str, **kwargs: Any) -> Any:
    """Load a saved model of one class, all of whose weights were saved.

    `from_pretrained` alone would initialise missing weights at random and go on.

    Args:
        cls: MotionVQVAEModel, TextMotionEvaluatorModel, UniMoForConditionalGeneration or AutoModelForCausalLM.
        name: A folder, or as a string also the name of a repository on the Hub.
        expected: What should have been given, for the error message: "the folder of a motion VQ-VAE".
        **kwargs: For `from_pretrained`.

    Returns:
        The model.

    Raises:
        FileNotFoundError: There is no model, or one without weights.
        ValueError: The model is of another type, or its weights are incomplete or damaged.
    """
    model, missing, _ = load_model_with_report(cls, name, expected, **kwargs)
    if missing:
        raise ValueError(f"{name}: {len(missing)} weights are missing ({', '.join(missing[:3])}); give {expected}")
    return model


def load_model_with_report(
    cls: Any, name: str | Path, expected: str, **kwargs: Any
) -> tuple[Any, list[str], list[str]]:
    """As `load_model`, but returns the keys of missing and of unexpected weights instead of rejecting them.

    Args:
        cls: As for `load_model`.
        name: As for `load_model`.
        expected: As for `load_model`.
        **kwargs: For `from_pretrained`.

    Returns:
        The model, the missing keys and the unexpected keys.

    Raises:
        FileNotFoundError: There is no model, or one without weights.
        ValueError: The model is of another type, or its weights are damaged.
    """
    check_model_type(cls, name, expected)
    try:
        model, loading = cls.from_pretrained(name, output_loading_info=True, **kwargs)
    except OSError as error:
        raise FileNotFoundError(f"{name}: cannot read the weights ({_first_line(error)}); give {expected}") from error
    except (RuntimeError, SafetensorError) as error:
        raise ValueError(f"{name}: damaged weights or wrong shapes ({_first_line(error)}); give {expected}") from error
    return model, sorted(loading["missing_keys"]), sorted(loading["unexpected_keys"])


def check_model_type(cls: Any, name: str | Path, expected: str) -> None:
    """Reject a folder or Hub name that does not hold a model of a class.

    Args:
        cls: As for `load_model`.
        name: As for `load_model`.
        expected: As for `load_model`.

    Raises:
        FileNotFoundError: There is no model.
        ValueError: The model is of another type.
    """
    model_type = _model_type(name, expected)
    known = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES if cls is AutoModelForCausalLM else (cls.config_class.model_type,)
    if model_type not in known:
        raise ValueError(f"{name} is a model of type {model_type!r}; give {expected}")


def check_feature_dim(model: Any, feature_dim: int, name: str | Path) -> None:
    """Reject a model whose features belong to another skeleton than the dataset's.

    Args:
        model: The model.
        feature_dim: Width of the dataset's features.
        name: Name of the model in the error message.

    Raises:
        ValueError: The model's feature_dim differs.
    """
    if model.config.feature_dim != feature_dim:
        raise ValueError(
            f"{name} has feature_dim {model.config.feature_dim}, the dataset {feature_dim}: they belong to different "
            "skeletons (263 HumanML3D, 251 KIT-ML)"
        )


def _model_type(name: str | Path, expected: str) -> str:
    if isinstance(name, Path) and not name.is_dir():
        raise FileNotFoundError(f"{name}: no such folder; give {expected}")
    if Path(name).exists() and not (Path(name) / "config.json").is_file():
        raise FileNotFoundError(f"{name}: no config.json there; give {expected}")
    try:
        return AutoConfig.from_pretrained(name).model_type
    except OSError as error:
        raise FileNotFoundError(f"{name}: cannot read a model ({_first_line(error)}); give {expected}") from error
    except ValueError as error:
        raise ValueError(f"{name}: unknown type of model ({_first_line(error)}); give {expected}") from error


def _first_line(error: Exception) -> str:
    """The first line of a library's message, which may go on for a page."""
    return next(iter(str(error).splitlines()), type(error).__name__)
