"""Motion and text from many sources as one Hugging Face dataset: `python -m datasets_scripts.build`."""


def __getattr__(name: str):
    # `from datasets_scripts import bvh` is older than the folder `sources`.
    if name in ("bvh", "humanml3d", "joints"):
        import importlib

        return importlib.import_module(f"datasets_scripts.sources.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
