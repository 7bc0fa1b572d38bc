"""Reinforcement learning: algorithms, rollouts, preference pairs and what rewards measure with."""
