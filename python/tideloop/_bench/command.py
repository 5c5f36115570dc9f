"""`tideloop bench`: what is asked for, measured one after another, with a bar that says how far it is."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import suppress
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tideloop._bench import catalogue, environment, peers
from tideloop._bench.catalogue import Entry
from tideloop._bench.ending import Ending, ending
from tideloop._bench.measure import FULL, QUICK, Plan, measure
from tideloop._bench.outputs import Unwritable, claimed, printed, put
from tideloop._bench.peers import Peer
from tideloop._bench.results import Result

__all__ = ["main"]

SCALING = "scaling"
WRONG_USE = 2


def main(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Run the command with the options of `tideloop bench`; return its exit status.

    0; 1 if a peer failed, something is missing without which nothing can be measured, or a file could not be written;
    2 if the command makes no sense; 130 after Ctrl+C, and likewise after SIGTERM and SIGHUP.
    """
    if not sys.platform.startswith("linux"):
        print("tideloop bench reads processor times from Linux's /proc: it runs there only", file=sys.stderr)
        return 1
    with ending() as end:
        try:
            return _main(options, parser, end)
        except KeyboardInterrupt:
            return end.status
        except Unwritable as error:
            print(f"tideloop bench: {error}", file=sys.stderr)
            return WRONG_USE


def _main(options: argparse.Namespace, parser: argparse.ArgumentParser, end: Ending) -> int:
    _check(options, parser)
    try:
        entries = [] if SCALING in options.workloads else catalogue.select(options.workloads)
        chosen, missing = _peers(options.peers)
    except (catalogue.Unknown, KeyError) as error:
        parser.error(error.args[0])
    for name, reason in catalogue.broken().items():
        print(f"{name} is left out, it is no workload: {reason}", file=sys.stderr)
    if options.list:
        return 0 if printed(lambda: _list(entries)) else 1
    if lacking := _missing_extras(options):
        print(f"tideloop bench needs {lacking}: pip install 'tideloop[bench]'", file=sys.stderr)
        return 1
    pictures = _pictures(options.plot, entries) if options.plot else []
    with claimed([*[options.json] * bool(options.json), *pictures]):
        if SCALING in options.workloads:
            from tideloop._bench.scaling.command import main as scaling

            return scaling(options, end)
        return _run(options, entries, chosen, missing, end)


def _check(options: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Refuse what makes no sense, before anything is measured for it."""
    if options.plot and options.plot.suffix.lower() not in (".png", ".svg"):
        parser.error(f"--plot writes .png or .svg, not {options.plot.suffix or 'a file without an ending'}")
    if SCALING not in options.workloads:
        if options.workers is not None:
            parser.error(f"--workers belongs to `tideloop bench {SCALING}`")
    elif options.workloads != [SCALING] or options.list or options.peers or options.budget:
        parser.error(f"{SCALING} is measured by itself: its options are --workers, --quick, --json and --plot")


def _pictures(output: Path, entries: list[Entry]) -> list[Path]:
    """Return the names of all pictures that there may be."""
    from tideloop._bench import plot

    return plot.files(output, max(1, len(plot.parts(entries, lambda entry: entry.folder))))


def _missing_extras(options: argparse.Namespace) -> str:
    wanted = [] if options.list else ["rich", *["matplotlib"] * bool(options.plot)]
    return " and ".join(name for name in wanted if find_spec(name) is None)


def _peers(text: str | None) -> tuple[list[Peer], dict[str, str]]:
    """Return the peers of `--peers`, ours at the end, and which of them are missing here for what reason."""
    names = [name.strip() for name in text.split(",") if name.strip()] if text is not None else [*peers.DEFAULT]
    wanted = [peers.find(name) for name in dict.fromkeys([*names, *peers.OURS])]
    wanted.sort(key=lambda peer: peer.ours)
    reasons = {peer.name: peers.why_missing(peer) for peer in wanted}
    missing = {name: reason for name, reason in reasons.items() if reason}
    return [peer for peer in wanted if peer.name not in missing], missing


def _list(entries: list[Entry]) -> None:
    width = max((len(entry.name) for entry in entries), default=0)
    for folder in dict.fromkeys(entry.folder for entry in entries):
        print(folder)
        for entry in entries:
            if entry.folder == folder:
                reason = entry.why_missing()
                title = entry.workload.title.replace("`", "")
                print(f"  {entry.name:<{width}}  {title}" + (f"  (left out here: {reason})" if reason else ""))


def _plan(options: argparse.Namespace) -> Plan:
    plan = QUICK if options.quick else FULL
    return replace(plan, budget_s=options.budget) if options.budget else plan


def _run(
    options: argparse.Namespace, entries: list[Entry], chosen: list[Peer], missing: dict[str, str], end: Ending
) -> int:
    from tideloop._bench.progress import progress  # needs rich, unlike --list

    where = environment.placement()
    around = environment.describe(chosen, [entry.workload for entry in entries], where) | {
        "load_before": environment.load()
    }
    done: list[Result] = []
    with progress(len(entries)) as advance, suppress(KeyboardInterrupt):
        for number, entry in enumerate(entries):
            say = advance(number, f"{entry.name} {number + 1}/{len(entries)}")
            done.append(measure(entry, chosen, _plan(options), where, say))
            if end.number is not None:
                break
    around["load_after"] = environment.load()
    complete = _give(options, done, around, chosen, missing)
    failed = any(result.failed for result in done) or not any(result.peers for result in done)
    return end.status or int(failed or not complete)


def _give(
    options: argparse.Namespace,
    done: list[Result],
    around: dict[str, Any],
    chosen: list[Peer],
    missing: dict[str, str],
) -> bool:
    """Write all that was asked for, each by itself; return whether all of it could be written."""
    from tideloop._bench import report

    document = report.document(done, around, chosen, missing) | {"plan": _plan(options).as_json()}
    complete = True
    if options.json:
        complete &= put(options.json, lambda file: file.write_text(json.dumps(document, indent=1) + "\n"))
    complete &= printed(lambda: report.show(done, around, missing))
    if options.plot:
        complete &= _draw(document, options.plot)
    return complete


def _draw(document: dict[str, Any], output: Path) -> bool:
    """Draw as many pictures as it takes; return whether all could be written."""
    from tideloop._bench import plot

    if not any(result["peers"] for result in document["workloads"].values()):
        print(f"nothing was measured: {output} is not drawn", file=sys.stderr)
        return True
    pictures = plot.parts(plot.shown(document), lambda group: group["folder"])
    complete = True
    for number, (groups, file) in enumerate(zip(pictures, plot.files(output, len(pictures)), strict=True), 1):
        if put(file, partial(plot.draw, document, groups, (number, len(pictures)))):
            print(f"picture: {file}", file=sys.stderr)
        else:
            complete = False
    return complete
