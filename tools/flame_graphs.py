"""Draw the flame graphs of docs/performance.md: kernel, interpreter, Python's functions and the extension in one.

    make flame-graphs                       all of them, into docs/performance
    make flame-graphs GRAPHS='wait_for'     one

perf samples a worker of `tideloop bench` while the laboratory keeps it busy, and inferno draws. Needs Linux, perf (on
Debian: linux-perf), cargo for inferno, and Python 3.13 or later, which tells perf about Python's functions
(`-X perf_jit`); FLAME_PYTHON=… names it. The extension is a release build that keeps its symbols.
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pythons import ROOT

PAGES = ROOT / "docs" / "performance"
BUILD = ROOT / "build" / "flames"
SITE = BUILD / "site"
VENV = ROOT / ".venv-profile"
PYTHON = VENV / "bin" / "python"
INFERNO = ROOT / "build" / "tools"
INFERNO_VERSION = "0.12.8"
SECONDS, QUICK_SECONDS = 3.0, 0.5
END_LIMIT_S = 10.0
#: Samples per second; a prime, so that it keeps no step with what it samples.
FREQUENCY_HZ = 997
#: Of each stack, in bytes: what perf copies to unwind it afterwards. 64 frames of an application fit.
STACK_BYTES = 32768
#: Frames narrower than so many per cent are left out: nobody can read them, and the pictures stay small.
NARROWEST_PERCENT = 0.25
#: Where a turn of the loop begins: what is below it is the same for every program.
TURNS = "_native::event_loop::methods::<impl _native::event_loop::EventLoop>::__pymethod__run_turns__"
#: What is changed in the names of frames, for the reader's sake: folders, and the steps between two functions of
#: Python, of C and of Rust that each call takes.
SHORTER = (
    (rb"py::([^;:]*):[^;]*?/(?:flames/site|site-packages|python3\.\d+)/([^;]*?)_\[j\]", rb"\1 (\2)_[j]"),
    (
        rb";(?:py_trampoline_evaluator|PyObject_Vectorcall\w*|method_vectorcall\w*|pyo3::impl_::trampoline::[^;]*)(?=;)",
        b"",
    ),
    (rb";py_trampoline_evaluator(?= )", b";_PyEval_EvalFrameDefault"),
    (re.escape(TURNS.encode()), b"EventLoop._run_turns (Rust::)"),
)


@dataclass(frozen=True)
class Graph:
    """One picture: a workload of the laboratory on a peer."""

    workload: str
    peer: str
    title: str

    @property
    def name(self) -> str:
        return f"{self.workload}-{self.peer}".replace("+", "-names")


GRAPHS = (
    Graph("protocol", "tideloop", "TCP echo of 1 KiB, a protocol, 100 connections: the server"),
    Graph("aiohttp_server", "tideloop", "aiohttp says hello, 32 connections: the server"),
    Graph("wait_for", "tideloop", "asyncio.wait_for on Tideloop's loop"),
    Graph("wait_for", "tideloop+", "tideloop.wait_for"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("graphs", nargs="*", help="names of pictures or workloads; all without")
    parser.add_argument("--quick", action="store_true", help="half a second each: to see whether it works")
    parser.add_argument("--out", type=Path, default=PAGES, help="the folder for the pictures (docs/performance)")
    options = parser.parse_args()
    chosen = [graph for graph in GRAPHS if not options.graphs or {graph.name, graph.workload} & {*options.graphs}]
    if not chosen:
        parser.error(f"no such graph; there are {', '.join(graph.name for graph in GRAPHS)}")
    if Path(sys.executable).parent != PYTHON.parent:
        prepare()
        inner = [str(PYTHON), "-P", __file__, *sys.argv[1:]]
        path = f"{SITE}{os.pathsep}{ROOT / 'tools'}"
        environment = {**os.environ, "PYTHONPATH": path}
        raise SystemExit(subprocess.run(inner, env=environment).returncode)
    options.out.mkdir(parents=True, exist_ok=True)
    for graph in chosen:
        draw(graph, QUICK_SECONDS if options.quick else SECONDS, options.out)


def prepare() -> None:
    """Make all that is needed: an environment, the extension with its symbols, inferno."""
    python = os.environ.get("FLAME_PYTHON") or recent_python()
    if not shutil.which("perf"):
        sys.exit("perf is not installed (on Debian: apt-get install linux-perf)")
    run([python, "tools/venv.py", str(VENV), "tests/requirements-test.txt"])
    target = ROOT / "target" / "profile"
    build = ["cargo", "build", "--quiet", "--release", "--locked", "-p", "tideloop-py", "--target-dir", str(target)]
    run(build, PYO3_PYTHON=str(PYTHON), PYO3_BUILD_EXTENSION_MODULE="1", CARGO_PROFILE_RELEASE_STRIP="none")
    shutil.rmtree(SITE, ignore_errors=True)
    ignored = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree(ROOT / "python" / "tideloop", SITE / "tideloop", ignore=ignored)
    shutil.copy(target / "release" / "lib_native.so", SITE / "tideloop" / "_native.so")
    if not (INFERNO / "bin" / "inferno-flamegraph").exists():
        install = ["cargo", "install", "--quiet", "--locked", "--root", str(INFERNO), "--version", INFERNO_VERSION]
        run([*install, "--no-default-features", "--features", "cli", "inferno"])


def recent_python() -> str:
    """A Python that writes down for perf what it compiles, on PATH or among pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    names = [shutil.which(f"python3.{minor}") for minor in (14, 13)]
    names += [str(path) for minor in (14, 13) for path in sorted(pyenv.glob(f"3.{minor}.*/bin/python3"))]
    probe = "import sysconfig; assert sysconfig.get_config_var('PY_HAVE_PERF_TRAMPOLINE') == 1"
    for name in filter(None, names):
        if subprocess.run([name, "-c", probe], capture_output=True).returncode == 0:
            return name
    sys.exit("no Python >= 3.13 with support for perf was found: FLAME_PYTHON=… names one")


def run(command: list[str], **environment: str) -> None:
    print("+", " ".join(command), flush=True)
    subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, **environment})


def draw(graph: Graph, seconds: float, out: Path) -> None:
    """Sample the workload, draw the picture, and print whose code the time was spent in."""
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tl-")))
        with busy(graph, work, seconds + 1) as pid:
            record(pid, seconds, work / "perf.data")
        stack.callback(forget, pid)
        run(["perf", "inject", "--jit", "--input", str(work / "perf.data"), "--output", str(work / "jit.data")])
        script = ["perf", "script", "--no-inline", "--input", str(work / "jit.data")]
        print(f"{graph.name}.svg: whose code it is", flush=True)
        report = ["perf", "report", "--stdio", "--no-children", "--call-graph", "none", "--sort", "dso", "--quiet"]
        run([*report, "--percent-limit", "0.5", "--input", str(work / "jit.data")])
        collapse = [str(INFERNO / "bin" / "inferno-collapse-perf"), "--all", "--skip-after", TURNS]
        folded = readable(piped(script, collapse))
    (BUILD / f"{graph.name}.folded").write_bytes(folded)
    look = ["--title", graph.title, "--hash", "--colors", "js", "--minwidth", str(NARROWEST_PERCENT)]
    look += ["--countname", "samples", "--fontsize", "11", "--width", "1200"]
    picture = subprocess.run(
        [str(INFERNO / "bin" / "inferno-flamegraph"), *look], input=folded, stdout=subprocess.PIPE, check=True
    )
    (out / f"{graph.name}.svg").write_bytes(picture.stdout)


def readable(folded: bytes) -> bytes:
    """The stacks with names that fit into a picture."""
    for pattern, shorter in SHORTER:
        folded = re.sub(pattern, shorter, folded)
    return folded


def forget(pid: int) -> None:
    """Remove what Python and perf wrote about the functions of a process, at a place that cannot be chosen."""
    for pattern in (f"jit-{pid}.dump", f"jitted-{pid}-*.so", f"perf-{pid}.map"):
        for file in Path("/tmp").glob(pattern):
            file.unlink()


def record(pid: int, seconds: float, data: Path) -> None:
    # The clock of Python's notes (-k), and stacks unwound by the compilers' tables: Pythons have no frame pointers.
    event = ["-e", "cpu-clock", "-F", str(FREQUENCY_HZ), "-k", "CLOCK_MONOTONIC"]
    stacks = ["--call-graph", f"dwarf,{STACK_BYTES}"]
    target = ["--pid", str(pid), "--output", str(data), "--", "sleep", str(seconds)]
    subprocess.run(["perf", "record", "--quiet", *event, *stacks, *target], check=True, stderr=subprocess.DEVNULL)


def piped(first: list[str], second: list[str]) -> bytes:
    """What the second command makes of what the first one prints."""
    with subprocess.Popen(first, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as source:
        return subprocess.run(second, stdin=source.stdout, stdout=subprocess.PIPE, check=True).stdout


@contextmanager
def busy(graph: Graph, folder: Path, seconds: float) -> Iterator[int]:
    """Have the laboratory work on the workload for so long; give the worker's process id."""
    catalogue, children = (importlib.import_module(f"tideloop._bench.{name}") for name in ("catalogue", "children"))
    (entry,) = catalogue.select([graph.workload])
    where = importlib.import_module("tideloop._bench.environment").placement()
    told: dict[str, Any] = {"module": entry.module, "peer": graph.peer, "folder": str(folder)}
    os.environ["PYTHON_PERF_JIT_SUPPORT"] = "1"  # for the worker, which inherits it, and for no other process
    worker = children.Child("worker", [where.peer], tideloop=True, **told)
    del os.environ["PYTHON_PERF_JIT_SUPPORT"]
    load = None
    try:
        up = worker.ready()
        if "address" in up:
            load = children.Child(
                "load_process", [where.load], tideloop=True, module=entry.module, address=up["address"]
            )
            load.ready()
            load.ask(seconds + 30, seconds=0.3)  # to warm up
            load.tell(seconds=seconds)
        else:
            warm = worker.ask(30, calls=20)
            worker.tell(calls=round(20 * seconds * 1e9 / warm["wall_ns"]))
        yield worker.process.pid
    finally:
        # Interrupted, not killed: Python writes the last of its functions down at its end.
        worker.process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            worker.process.wait(END_LIMIT_S)
        for child in filter(None, (load, worker)):
            child.stop()


if __name__ == "__main__":
    main()
