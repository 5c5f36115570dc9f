"""The command line: `tideloop run` a program on Tideloop, `doctor` says what it finds here, `bench` measures loops."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from tideloop._program import CannotRun, run_code, run_module, run_path

__all__ = ["COMMANDS", "main", "main_run"]

COMMANDS = ("run", "doctor", "bench")
INTERRUPTED = 128 + signal.SIGINT

PROGRAM_USAGE = "[-h] [--names] [-m MODULE | -c CODE | FILE | -] [ARGS ...]"


def main(arguments: list[str] | None = None) -> int:
    """Run the `tideloop` command with these arguments, by default the process's own, and return its exit status.

    `run` passes on whatever the program raises, SystemExit and KeyboardInterrupt among it.
    """
    parser = argparse.ArgumentParser(
        prog="tideloop",
        description="Run asyncio programs on Tideloop, look at what it finds here, measure it beside others.",
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
    bench = commands.add_parser(
        "bench",
        help="measure event loops side by side",
        description="Measure event loops side by side, every answer checked. `--list` says what there is to measure.",
        allow_abbrev=False,
    )
    _add_bench(bench)
    options = parser.parse_args(arguments)
    if options.command == "run":
        _run(run, options)
        return 0
    if options.command == "bench":
        try:
            from tideloop._bench import command  # so that nobody else pays for it

            return command.main(options, bench)
        except KeyboardInterrupt:  # before anything is measured: from there on it ends with a table
            return INTERRUPTED
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


def _add_bench(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "workloads", nargs="*", metavar="WORKLOAD", help="workloads, folders of them (by default all), or scaling"
    )
    parser.add_argument(
        "--peers", metavar="A,B", help="by default asyncio,uvloop,rloop,zuvloop; Tideloop always is one"
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds, wider intervals: a first look")
    parser.add_argument(
        "--budget", type=_seconds, metavar="S", help="at most so many seconds per workload (60; quick: 6)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured")
    parser.add_argument(
        "--plot",
        type=Path,
        metavar="FILE",
        help="draw a picture, .png or .svg; several if there are more than 12 workloads",
    )
    parser.add_argument("--list", action="store_true", help="say which workloads there are, and measure nothing")
    parser.add_argument("--workers", type=_workers, metavar="N", help="up to so many processes (`bench scaling` alone)")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"not a number of seconds above 0: {text!r}")
    return seconds


def _workers(text: str) -> int:
    if not text.isdecimal() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"not a number of workers above 1: {text!r}")
    return int(text)


def _run(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    # `-mMODULE ARGS`, in one word, leaves the arguments to `program`.
    for given, run in ((options.module, run_module), (options.code, run_code), (options.program, run_path)):
        if given is None:
            continue
        words = given if run is run_path else [*given, *options.program]
        if run is run_path and words[:1] == ["--"]:
            del words[0]
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
    from tideloop._spawned import install_in_spawned_children

    tideloop.install(names=names)
    install_in_spawned_children(names=names)


def _version() -> str:
    import tideloop

    return getattr(tideloop, "__version__", "(its extension does not load)")


if __name__ == "__main__":
    sys.exit(main())
