"""Training of what motion and text are represented by: the motion VQ-VAE and the text-motion evaluator."""
