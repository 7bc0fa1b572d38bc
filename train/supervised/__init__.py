"""Supervised fine-tuning: examples, trainer and output head."""
