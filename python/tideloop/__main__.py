"""`python -m tideloop FILE ARGS…` runs an asyncio program on Tideloop; the commands of `tideloop` work here too."""

import os.path
import sys

from tideloop.cli import COMMANDS, main, main_run


def is_program(name: str) -> bool:
    """Whether a file, or a folder that can be run, has this name: a folder `bench` of modules is none."""
    return os.path.isfile(name) or os.path.isfile(os.path.join(name, "__main__.py"))


if __name__ == "__main__":
    # A program by the name of a command is a program: whoever wants the command has `tideloop` for it.
    command = sys.argv[1:2] != [] and sys.argv[1] in COMMANDS and not is_program(sys.argv[1])
    sys.exit(main() if command else main_run())
