"""The earlier name of `python -m datasets_scripts.thoughts.records`, for command lines that use it."""

from datasets_scripts.thoughts.records import main

if __name__ == "__main__":
    raise SystemExit(main())
