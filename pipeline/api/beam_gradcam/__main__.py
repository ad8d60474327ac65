"""The console script ``beam-gradcam``, and ``python -m beam_gradcam``."""

import sys


def main() -> None:
    """Run the command line, unless somebody else's package is in the way."""
    from beam_gradcam.own_packages import ForeignPackageError, check_packages

    try:
        check_packages()
    except ForeignPackageError as error:
        print(error, file=sys.stderr)  # noqa: T201
        sys.exit(2)  # ExitCode.USAGE, which lies in one of the packages in question
    from pipeline.cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()
