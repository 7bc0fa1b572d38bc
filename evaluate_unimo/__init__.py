"""Metrics of human motion and of its captions: `functional` has the numerics, each folder one `evaluate` module."""

import importlib
from pathlib import Path
from typing import Any


def load(name: str, **options: Any) -> Any:
    """The `evaluate` module `name`, from wherever this package is installed.

    `evaluate.load("evaluate_unimo/<name>")` gives the same module, but only from a checkout and through a copy in the
    cache of `evaluate`.

    >>> import evaluate_unimo
    >>> module = evaluate_unimo.load("mm_dist")
    >>> module.compute(text_embeddings=[[0.0, 0.0]], motion_embeddings=[[3.0, 4.0]])
    {'mm_dist': 5.0}

    Args:
        name: motion_fid, r_precision, mm_dist, motion_diversity, motion_multimodality, motion_captioning,
            foot_skating, motion_consistency or another folder of this package that holds a module.
        options: settings of the metric to keep (`pool_size=64`), as they may also be given to `compute`.

    Returns:
        The module.

    Raises:
        ValueError: no such module.
    """
    folder = Path(__file__).parent
    names = sorted(path.stem for path in folder.glob("*/*.py") if path.stem == path.parent.name)
    if name not in names:
        raise ValueError(f"name must be one of {', '.join(names)}, got {name!r}")
    # Here, because `evaluate` takes a second to import and `functional` does without it.
    from evaluate.loading import import_main_class

    module_path = f"evaluate_unimo.{name}.{name}"
    importlib.import_module(module_path)
    return import_main_class(module_path)(**options)
