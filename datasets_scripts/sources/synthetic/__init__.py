"""The embedded source: planned motion with captions and thoughts, made from a seed."""
