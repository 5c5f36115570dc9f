"""Every example of docs/guide/switching.md: the tool as it is installed, told as the page says, runs on Tideloop."""

import json
import os
import re
import signal

import pytest

from integration import switching

SERVERS = {"aiohttp", "granian", "gunicorn", "hypercorn", "uvicorn"}
NOTEBOOKS = {"Jupyter"}
PROGRAMS = {"anyio", "pytest-asyncio"}
PORT = "8000"
WAIT_S = 40.0

PAGE = switching.read()
EXAMPLES = [pytest.param(example, id=f"{example.section}-{number}") for number, example in enumerate(PAGE.examples, 1)]


def examples(sections):
    return pytest.mark.parametrize("example", [one for one in EXAMPLES if one.values[0].section in sections])


def test_every_section_and_every_file_of_the_page_is_tried():
    assert {example.section for example in PAGE.examples} == SERVERS | NOTEBOOKS | PROGRAMS
    assert PAGE.unused == set()
    assert len(PAGE.answers) == 1


@examples(SERVERS)
def test_a_server_runs_its_application_on_the_loop_that_the_page_says(example, tmp_path):
    port = switching.free_port()
    switching.lay_out(example, tmp_path)
    for path in tmp_path.glob("*.py"):
        path.write_text(path.read_text().replace(PORT, str(port)))
    log = tmp_path / "log"
    with switching.started(example.command.replace(PORT, str(port)), tmp_path) as process:
        assert switching.first_answer(port, process) in PAGE.answers, log.read_text()
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(WAIT_S)
    assert "Traceback" not in log.read_text(), log.read_text()


@examples(PROGRAMS)
def test_a_program_ends_by_printing_what_the_page_says(example, tmp_path):
    switching.lay_out(example, tmp_path)
    with switching.started(example.command, tmp_path) as process:
        process.wait(WAIT_S)
    printed = re.sub(r"in [\d.]+s", "in 0.01s", (tmp_path / "log").read_text())
    assert process.returncode == 0, printed
    assert printed.endswith(example.printed)  # pytest-asyncio warns before, of a setting that it would like to have


@examples(NOTEBOOKS)
def test_a_cell_sees_the_loop_that_the_page_says(example, tmp_path):
    switching.lay_out(example, tmp_path)
    with switching.started(example.command, tmp_path) as process:
        process.wait(WAIT_S)
    assert process.returncode == 0, (tmp_path / "log").read_text()
    (cell,) = json.loads((tmp_path / "notebook.ipynb").read_text())["cells"]
    (output,) = cell["outputs"]
    assert "".join(output["data"]["text/plain"]) + "\n" in PAGE.answers
