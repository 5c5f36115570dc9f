"""`python -m tideloop FILE ARGS…` runs an asyncio program on Tideloop; the commands of `tideloop` work here too."""

import os.path
import sys

from tideloop.cli import COMMANDS, main, main_run


def is_command(name: str) -> bool:
    """Whether this means a command. A program of that name comes first: who wants the command has `tideloop` for it."""
    return name in COMMANDS and not is_program(name)


def is_program(name: str) -> bool:
    """Whether a file, or a folder that can be run, has this name: a folder `bench` of modules is none."""
    return os.path.isfile(name) or os.path.isfile(os.path.join(name, "__main__.py"))


if __name__ == "__main__":
    sys.exit(main() if any(map(is_command, sys.argv[1:2])) else main_run())
