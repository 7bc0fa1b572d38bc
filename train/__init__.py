"""Training: one thin script a stage for `accelerate launch`, and the quickstart that runs them all."""
