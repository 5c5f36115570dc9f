"""The command line: `tideloop run` runs a program on Tideloop, `tideloop doctor` says what this machine offers it."""

from __future__ import annotations

import argparse
import sys

from tideloop._program import CannotRun, run_code, run_module, run_path

__all__ = ["main", "main_run"]

PROGRAM_USAGE = "[-h] [--names] [-m MODULE | -c CODE | FILE | -] [ARGS ...]"


def main(arguments: list[str] | None = None) -> int:
    """Run the `tideloop` command with these arguments, by default the process's own, and return its exit status.

    `run` passes on whatever the program raises, SystemExit and KeyboardInterrupt among it.
    """
    parser = argparse.ArgumentParser(
        prog="tideloop",
        description="Run asyncio programs on Tideloop, and look at what it finds here.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"tideloop {_version()}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    run = commands.add_parser(
        "run",
        usage=f"tideloop run {PROGRAM_USAGE}",
        help="run an asyncio program, unchanged, on Tideloop",
        description="Run an asyncio program, unchanged, on Tideloop. Everything after it is its own.",
        allow_abbrev=False,
    )
    _add_program(run)
    doctor = commands.add_parser(
        "doctor",
        help="show versions, kernel features, limits and optional parts",
        description="Show what Tideloop finds on this machine. The exit status is 1 if something is broken.",
        allow_abbrev=False,
    )
    doctor.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    if options.command == "run":
        _run(run, options)
        return 0
    from tideloop import doctor as examination  # not needed to run a program

    return examination.main(as_json=options.json)


def main_run(arguments: list[str] | None = None) -> int:
    """Run `python -m tideloop` with these arguments, as main(["run", …]) does with the same ones."""
    parser = argparse.ArgumentParser(
        prog="python -m tideloop",
        usage=f"%(prog)s [--version] {PROGRAM_USAGE}",
        description="Run an asyncio program, unchanged, on Tideloop. Everything after it is its own.",
        epilog="The commands of `tideloop` work here too: `python -m tideloop doctor`.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"tideloop {_version()}")
    _add_program(parser)
    _run(parser, parser.parse_args(arguments))
    return 0


def _add_program(parser: argparse.ArgumentParser) -> None:
    """Add python's own ways to name a program. Whichever comes first takes all that follows it."""
    rest = argparse.REMAINDER
    parser.add_argument("--names", action="store_true", help="give it Tideloop's primitives and streams, too")
    parser.add_argument("-m", dest="module", nargs=rest, help="run a module, by its name")
    parser.add_argument("-c", dest="code", nargs=rest, help="run a string")
    parser.add_argument("program", nargs=rest, help="run a file, or - for standard input")


def _run(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    # `-mMODULE ARGS`, in one word, leaves the arguments to `program`.
    for given, run in ((options.module, run_module), (options.code, run_code), (options.program, run_path)):
        if given is None:
            continue
        words = given if run is run_path else [*given, *options.program]
        if not words:
            parser.error("which program? give FILE, -m MODULE, -c CODE, or - for standard input")
        _install(options.names)
        try:
            run(words[0], words[1:])
        except CannotRun as error:
            parser.exit(error.status, f"{parser.prog}: {error}\n")
        return


def _install(names: bool) -> None:
    import tideloop

    tideloop.install(names=names)


def _version() -> str:
    import tideloop

    return getattr(tideloop, "__version__", "(its extension does not load)")


if __name__ == "__main__":
    sys.exit(main())
