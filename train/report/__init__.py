"""The report of a run: one self-contained page, its samples and pictures."""
