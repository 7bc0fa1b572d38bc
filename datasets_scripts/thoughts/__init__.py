"""Chain-of-thought texts for motion: how they are written, looked at, stored and judged by people."""
