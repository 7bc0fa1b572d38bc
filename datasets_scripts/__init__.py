"""Motion and text from many sources as one Hugging Face dataset: `python -m datasets_scripts.build`."""
