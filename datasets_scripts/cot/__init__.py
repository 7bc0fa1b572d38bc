"""Earlier names of commands that are now in `datasets_scripts.thoughts`."""
