"""The page of this metric as a Hugging Face Space."""

from evaluate_unimo.gradio_space import launch

launch("motion_consistency")
