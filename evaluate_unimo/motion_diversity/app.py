"""The page of this metric as a Hugging Face Space."""

from evaluate_unimo.space import launch

launch("motion_diversity")
