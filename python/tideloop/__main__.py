"""`python -m tideloop FILE ARGS…` runs an asyncio program on Tideloop; the commands of `tideloop` work here too."""

import os.path
import sys

from tideloop.cli import main, main_run

if __name__ == "__main__":
    # A file by the name of a command is a program: whoever wants the command has `tideloop` for it.
    command: bool = sys.argv[1:2] in (["run"], ["doctor"]) and not os.path.exists(sys.argv[1])
    sys.exit(main() if command else main_run())
