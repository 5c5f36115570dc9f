"""docs/performance.md: its figures stand where it says they do, its pictures are there and small, its programs run."""

import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from tidy import tree

PAGE = tree.ROOT / "docs" / "performance.md"
TEXT = PAGE.read_text()
PICTURES = PAGE.parent / "performance"
PICTURE_BYTES_MAX = 300_000
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
# A row that cites a decision record: the cells before it, and the record's file.
CITED = re.findall(r"^\| (.*) \| \[\d{4}\]\((decisions/[\w-]+\.md)\) \|$", TEXT, re.MULTILINE)
PROGRAMS = re.findall(r"```python\n(.*?)```\n(?:\s*```text\n(.*?)```)?", TEXT, re.DOTALL)

pytestmark = pytest.mark.loop_kinds("tideloop")


@pytest.mark.parametrize(("row", "record"), CITED)
def test_a_figure_of_a_decision_record_stands_there(row, record, new_loop):
    figures = {*NUMBER.findall(row)}
    there = {*NUMBER.findall((PAGE.parent / record).read_text())}
    assert figures - there == set()


def test_most_decisions_with_figures_are_told_of():
    assert len({record for _, record in CITED}) >= 6
    assert sum(bool(NUMBER.search(row)) for row, _ in CITED) >= 10


def test_each_picture_is_shown_and_small_and_well_formed():
    shown = {name.rpartition("/")[2] for name in re.findall(r"\]\((performance/[^)]*)\)", TEXT)}
    there = {path.name for path in PICTURES.iterdir()}
    assert shown == there
    assert {"scaling.svg", "protocol-tideloop.svg", "wait_for-tideloop-names.svg"} <= there
    for path in PICTURES.glob("*.svg"):
        assert path.stat().st_size < PICTURE_BYTES_MAX, path.name
        assert ElementTree.parse(path).getroot().tag.endswith("svg"), path.name


def test_no_picture_names_a_folder_of_one_machine():
    found = [path.name for path in PICTURES.iterdir() if re.search(r"/(home|root|work|tmp|usr)/", path.read_text())]
    assert found == []


@pytest.mark.parametrize(("program", "printed"), PROGRAMS)
def test_a_program_of_the_page_runs(program, printed, new_loop):
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stderr) == (0, "")
    if printed:
        # What was measured differs from run to run: the words and the number of lines do not.
        assert NUMBER.sub("0", " ".join(done.stdout.split())) == NUMBER.sub("0", " ".join(printed.split()))


def test_each_workload_that_is_named_exists_and_its_command_runs():
    pytest.importorskip("rich", reason="the laboratory needs rich, of tideloop[bench]")
    commands = re.findall(r"^\$ tideloop (bench .*?)(?: +#.*)?$", TEXT, re.MULTILINE)
    assert len(commands) >= 3
    listed = subprocess.run(
        [sys.executable, "-m", "tideloop.cli", "bench", "--list"], capture_output=True, text=True, check=True
    ).stdout
    for command in commands:
        named = [word for word in command.split()[1:] if re.fullmatch(r"[a-z]\w*", word)]
        assert [word for word in named if word not in ("scaling", *re.findall(r"\w+", listed))] == [], command
    quick = [
        sys.executable,
        "-m",
        "tideloop.cli",
        "bench",
        "wait_for",
        "--quick",
        "--budget",
        "2",
        "--peers",
        "asyncio",
    ]
    done = subprocess.run(quick, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    assert "wait_for" in done.stdout and "asyncio" in done.stdout
