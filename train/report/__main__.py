"""Write the report of a finished quickstart: `python -m train.report --run DIR`."""

import argparse
from collections.abc import Sequence

from modeling_unimo.command_line import command


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Run the command: prints where the report is.

    Args:
        argv: Arguments; None takes those of the process.
    """
    parser = argparse.ArgumentParser(prog="python -m train.report", description=__doc__)
    parser.add_argument("--run", required=True, help="run folder of a quickstart")
    arguments = parser.parse_args(argv)

    from train.report.run_page import write_report

    try:
        print(write_report(arguments.run))
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
