"""Annotators: thoughts measured on the joints, or written by a vision-language model and checked."""
