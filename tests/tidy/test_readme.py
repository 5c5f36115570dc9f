"""What README.md promises, tried: its program, its commands' names, and what it says is not there yet."""

import re
import subprocess
import sys

import pytest

from tidy import tree

README = (tree.ROOT / "README.md").read_text()

pytestmark = pytest.mark.loop_kinds("tideloop")


def test_the_first_program_prints_what_it_should(new_loop):
    (program,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[0, 1, 2]\n", "")


def test_every_make_target_that_is_named_exists():
    named = set(re.findall(r"(?:^\$ |`)make ([a-z-]+)", README, re.MULTILINE))
    targets = set(re.findall(r"^([a-z-]+):", (tree.ROOT / "Makefile").read_text(), re.MULTILINE))
    assert named
    assert named - targets == set()


def test_every_link_into_the_tree_leads_somewhere():
    pages = [tree.ROOT / "README.md", tree.ROOT / "ARCHITECTURE.md", *tree.files("docs *.md")]
    dead = [
        f"{tree.name(page)}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert dead == []
