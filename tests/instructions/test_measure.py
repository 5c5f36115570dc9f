"""The measuring itself, with a file of two workloads: one of them does a little more."""

import shutil
import sys

import pytest

from instructions import measure

WORKLOADS = """
import contextlib, types

async def nothing():
    pass

async def first(given, n):  # on some Pythons what runs first takes a little more
    for _ in range(n):
        await nothing()

async def plain(given, n):
    for _ in range(n):
        await nothing()

async def heavier(given, n):
    for step in range(n):
        await nothing()
        step + step

async def plain_again(given, n):
    for _ in range(n):
        await nothing()

row = dict(given=contextlib.nullcontext(), operations=1, sizes=(1000, 6000))
ROWS = {work.__name__: types.SimpleNamespace(work=work, **row) for work in (first, plain, heavier, plain_again)}
"""


@pytest.fixture
def workloads(tmp_path):
    if sys.platform != "linux" or shutil.which("valgrind") is None:
        pytest.skip("valgrind, which counts the instructions, is not installed here")
    file = tmp_path / "workloads.py"
    file.write_text(WORKLOADS)
    return file


@pytest.mark.timeout(300)
def test_a_slowed_workload_is_told_from_one_that_is_not(workloads):
    pytest.importorskip("tideloop", reason="tideloop cannot be imported", exc_type=ImportError)
    count = measure.instructions(workloads)
    assert count["plain"] == pytest.approx(count["plain_again"], rel=0.01)
    assert count["plain"] * 1.03 < count["heavier"] < count["plain"] * 1.5


def test_what_happens_once_drops_out_of_a_count():
    once, each = 5000, 7
    sections = [(size, once + each * size) for size in (100, 300)]
    assert measure.per_operation(sections) == each


def test_what_happens_now_and_then_drops_out_of_a_count():
    sections = [(100, 9999), (300, 2100), (100, 700), (300, 2100), (100, 700), (300, 3333)]
    assert measure.per_operation(sections) == 7
