"""The page of this metric as a Hugging Face Space."""

from evaluate.utils import launch_gradio_widget

import evaluate_unimo

launch_gradio_widget(evaluate_unimo.load("motion_consistency"))
