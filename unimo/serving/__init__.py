"""The HTTP server: `unimo serve` answers requests for motions, frame by frame where asked, and for descriptions."""
