"""The earlier name of `python -m datasets_scripts.thoughts.human_study.study`, for command lines that use it."""

from datasets_scripts.thoughts.human_study.study import main

if __name__ == "__main__":
    raise SystemExit(main())
