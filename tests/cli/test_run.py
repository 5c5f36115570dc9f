"""`python -m tideloop` and `tideloop run` against `python` itself: the same program sees and prints the same."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest
from programs import WAIT_S

PYTHON = [sys.executable]
RUNNERS = {
    "python -m tideloop": [sys.executable, "-m", "tideloop"],
    # What pip writes into the script `tideloop`.
    "tideloop run": [sys.executable, "-c", "import sys; from tideloop.cli import main; sys.exit(main())", "run"],
}

#: Says all that a program can see of how it was started.
LOOK = """
import asyncio, os, sys
print(sys.argv, sys.path[0], os.getcwd())
print(__name__, globals().get("__file__"), globals().get("__package__"), __spec__ and __spec__.name, type(__loader__))
print(sorted(globals()), sys.modules["__main__"].__dict__ is globals())
async def main():
    await asyncio.sleep(0)
    return asyncio.get_running_loop().is_running()
print(asyncio.run(main()))
"""


@pytest.fixture(params=RUNNERS)
def runner(request: pytest.FixtureRequest) -> list[str]:
    return RUNNERS[request.param]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a program in every form."""
    (tmp_path / "look.py").write_text(LOOK)
    (tmp_path / "link.py").symlink_to("inside/look.py")
    package = tmp_path / "inside"
    package.mkdir()
    for name, text in {"__init__": "", "__main__": LOOK, "look": LOOK, "bare/__init__": ""}.items():
        (package / name).parent.mkdir(exist_ok=True)
        (package / f"{name}.py").write_text(text)
    with zipfile.ZipFile(tmp_path / "look.zip", "w") as archive:
        archive.writestr("__main__.py", LOOK)
    return tmp_path


def run(
    command: list[str], place: Path, *arguments: str, source: str = "", env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, *arguments],
        cwd=place,
        input=source,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        env=os.environ | (env or {}),
    )


def without_runpy(text: str) -> str:
    """Leave out the frames that `python -m` puts before a program's own."""
    return re.sub(r'^  File "<frozen runpy>".*\n', "", text, flags=re.MULTILINE)


def assert_same(runner: list[str], place: Path, *arguments: str, **options: str) -> subprocess.CompletedProcess[str]:
    """Assert that the program prints and ends the same under `python` and under the runner."""
    wanted = run(PYTHON, place, *arguments, source=options.get("source", ""))
    got = run(runner, place, *arguments, source=options.get("source", ""))
    assert got.stdout == wanted.stdout
    assert got.stderr == without_runpy(wanted.stderr)
    assert got.returncode == wanted.returncode
    return got


@pytest.mark.parametrize(
    "arguments",
    [
        ["look.py"],
        ["./look.py", "-m", "x", "--version", "--", "y", "-h"],
        ["inside/../look.py", "--", "-c"],
        ["link.py"],
        ["--", "look.py", "--", "a"],
        ["inside"],
        ["look.zip", "a"],
        ["-m", "look", "-c", "x", "--json"],
        ["-mlook", "a", "b"],
        ["-m", "inside"],
        ["-m", "inside.look", "run"],
        ["-c", LOOK, "-m", "x"],
        ["-", "a", "-"],
    ],
    ids=" ".join,
)
def test_program_sees_what_it_sees_under_python(runner: list[str], place: Path, arguments: list[str]) -> None:
    done = assert_same(runner, place, *arguments, source=LOOK if arguments[0] == "-" else "")
    assert done.stdout.endswith("True\n")
    assert done.stderr == ""


@pytest.mark.parametrize(
    "source",
    [
        "1 / 0",
        "def f():\n    raise ValueError('x')\ntry:\n    f()\nexcept ValueError:\n    1 / 0",
        "raise ExceptionGroup('several', [ValueError(1), TypeError(2)])",
        "raise RuntimeError('new') from OSError('old')",
        "import asyncio\nasync def main():\n    raise LookupError('in a coroutine')\nasyncio.run(main(), debug=False)",
        "import nowhere_at_all",
        "x = (",
        "import sys; sys.excepthook = lambda *found: print('hook', found[0], found[2].tb_lineno); 1 / 0",
        "import atexit, threading; atexit.register(print, 'end'); threading.Timer(0, print, ['timer']).start(); 1 / 0",
    ],
)
@pytest.mark.parametrize("form", ["file", "-c", "-"])
def test_tracebacks_are_those_of_python(runner: list[str], tmp_path: Path, source: str, form: str) -> None:
    if "asyncio.run" in source:
        pytest.importorskip("tideloop._native", reason="its frames are compared")
    (tmp_path / "program.py").write_text(source)
    arguments = {"file": ["program.py"], "-c": ["-c", source], "-": ["-"]}[form]
    wanted = run(PYTHON, tmp_path, *arguments, source=source)
    got = run(runner, tmp_path, *arguments, source=source)
    assert got.returncode == wanted.returncode == 1
    assert got.stdout == wanted.stdout
    assert program_lines(got.stderr) == program_lines(wanted.stderr)
    assert "tideloop" not in got.stderr or "asyncio.run" in source


def program_lines(text: str) -> list[str]:
    """The lines of a traceback, without the frames of the library that is asyncio's there and partly ours here."""
    kept, in_library = [], False
    for line in text.splitlines():
        if line.startswith("  File "):
            in_library = "asyncio" in line or "tideloop" in line
        elif not line.startswith("    "):
            in_library = False
        if not in_library:
            kept.append(line)
    return kept


def test_traceback_of_a_module_begins_with_the_module(runner: list[str], tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("1 / 0")
    lines = run(runner, tmp_path, "-m", "program").stderr.splitlines()
    assert lines[:2] == ["Traceback (most recent call last):", f'  File "{tmp_path}/program.py", line 1, in <module>']


@pytest.mark.parametrize(
    "source",
    [
        "",
        "raise SystemExit",
        "raise SystemExit(0)",
        "raise SystemExit(7)",
        "import sys; sys.exit('a message')",
        "import asyncio, sys\nasync def main():\n    sys.exit(5)\nasyncio.run(main())",
        "import os; os._exit(9)",
        "raise KeyboardInterrupt",
        "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    ],
)
def test_exit_status_is_that_of_python(runner: list[str], tmp_path: Path, source: str) -> None:
    (tmp_path / "program.py").write_text(source)
    assert_same(runner, tmp_path, "program.py")


def test_interrupted_program_dies_by_the_signal(runner: list[str], tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        textwrap.dedent("""
            import asyncio
            async def main():
                try:
                    print("waiting", flush=True)
                    await asyncio.Event().wait()
                finally:
                    print("cleaned up", flush=True)
            asyncio.run(main())
        """)
    )
    command = [*runner, "program.py"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=WAIT_S)
    assert output == "cleaned up\n"
    assert errors.endswith("KeyboardInterrupt\n")
    assert process.returncode == -signal.SIGINT


def test_spawned_children_find_the_program(runner: list[str], tmp_path: Path) -> None:
    source = textwrap.dedent("""
        import multiprocessing, os
        from concurrent.futures import ProcessPoolExecutor
        def where(number):
            return number, __name__, __file__
        if __name__ == "__main__":
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                print(list(pool.map(where, range(2))))
    """)
    (tmp_path / "program.py").write_text(source)
    for arguments in (["program.py"], ["-m", "program"]):
        assert "__mp_main__" in assert_same(runner, tmp_path, *arguments).stdout


def test_pickle_finds_classes_of_the_program_at_exit(runner: list[str], tmp_path: Path) -> None:
    source = "import atexit, pickle\nclass Thing: pass\natexit.register(lambda: print(len(pickle.dumps(Thing()))))"
    (tmp_path / "program.py").write_text(source)
    assert assert_same(runner, tmp_path, "program.py").stdout != ""


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(["nowhere.py"], 2), (["-m", "nowhere"], 1), (["-m", "inside.nowhere"], 1), (["-m", "inside.bare"], 1)],
)
def test_missing_program_is_one_line_and_the_status_of_python(
    runner: list[str], place: Path, arguments: list[str], status: int
) -> None:
    done = run(runner, place, *arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert len(done.stderr.splitlines()) == 1
    assert arguments[-1].removesuffix(".py") in done.stderr
    assert run(PYTHON, place, *arguments).returncode == status


def test_safe_path_is_kept(place: Path) -> None:
    source = "import sys; print(sys.path)"
    wanted = run([*PYTHON, "-P"], place, "-c", source)
    got = run([*PYTHON, "-P", "-m", "tideloop"], place, "-c", source)
    assert (got.stdout, got.stderr) == (wanted.stdout, "")


def test_program_runs_on_tideloop(runner: list[str], tmp_path: Path) -> None:
    pytest.importorskip("tideloop._native", reason="there is no Tideloop to run on")
    source = textwrap.dedent("""
        import asyncio
        async def main():
            return type(asyncio.get_running_loop()), type(asyncio.current_task())
        for found in (*asyncio.run(main()), type(loop := asyncio.new_event_loop())):
            print(found.__module__.partition(".")[0])
        loop.close()
    """)
    done = run(runner, tmp_path, "-", source=source, env={"PYTHONWARNINGS": "error"})
    assert (done.stdout.split(), done.stderr) == (["tideloop"] * 3, "")


def test_no_program_is_a_usage_error(runner: list[str], tmp_path: Path) -> None:
    for arguments in ([], ["-m"], ["-c"]):
        done = run(runner, tmp_path, *arguments)
        assert done.returncode == 2
        assert "usage:" in done.stderr


def test_version_is_that_of_the_package(tmp_path: Path) -> None:
    tideloop = pytest.importorskip("tideloop._native", reason="its version is printed")
    wanted = f"tideloop {tideloop.__version__}\n"
    assert run(RUNNERS["python -m tideloop"], tmp_path, "--version").stdout == wanted
    assert run(RUNNERS["tideloop run"][:-1], tmp_path, "--version").stdout == wanted
