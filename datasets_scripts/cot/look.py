"""The earlier name of `python -m datasets_scripts.thoughts.look`, for command lines that use it."""

from datasets_scripts.thoughts.look import main

if __name__ == "__main__":
    raise SystemExit(main())
