"""Chain-of-thought texts for motion: what the body does, measured on its joints, in words."""
