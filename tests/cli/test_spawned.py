"""`tideloop run` and the children that multiprocessing starts: each has Tideloop, however it came to be."""

import multiprocessing
import subprocess
import sys

import pytest
from programs import WAIT_S

pytestmark = pytest.mark.loop_kinds("tideloop")

PROGRAM = """
import asyncio, sys
from asyncio import Lock
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, set_executable

def look(generations):
    if generations:
        with ProcessPoolExecutor(1, get_context(sys.argv[1])) as pool:
            return pool.submit(look, generations - 1).result()
    with asyncio.Runner() as runner:
        return f"{type(runner.get_loop()).__module__} {Lock.__module__}"

if __name__ == "__main__":
    set_executable(sys.argv[2])
    print(look(int(sys.argv[3])))
"""


def run(tmp_path, *arguments, python=sys.executable):
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, *arguments[:-2], str(tmp_path / "program.py"), arguments[-2], python, arguments[-1]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_children_and_grandchildren_run_on_the_loop_of_the_program(method, tmp_path):
    for generations in "012":
        assert run(tmp_path, "-m", "tideloop", method, generations) == "tideloop._loop asyncio.locks"


def test_names_are_in_place_before_a_child_imports_the_program(tmp_path):
    for generations in "012":
        assert run(tmp_path, "-m", "tideloop", "--names", "spawn", generations) == "tideloop._loop tideloop.locks"


def test_children_on_another_python_are_left_alone(tmp_path):
    other = tmp_path / "python"
    other.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    other.chmod(0o755)
    assert "asyncio" in run(tmp_path, "-m", "tideloop", "spawn", "1", python=str(other)).split()[0]
