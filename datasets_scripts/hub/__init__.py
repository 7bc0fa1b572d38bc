"""Writing to the Hugging Face Hub: repositories, commits, and cards that are edited in two places."""
