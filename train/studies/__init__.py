"""Ablation studies: the arms they compare and the tables they write."""
