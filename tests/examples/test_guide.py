"""Every example of docs/guide: a whole program, which ends well and prints what the page says."""

import re
import subprocess
import sys

import pytest

from tidy import tree

pytestmark = pytest.mark.loop_kinds("tideloop")

BLOCK = re.compile(r"```python\n(.*?)```\n(?:\s*```text\n(.*?)```)?", re.DOTALL)
# switching.md is about other tools, and needs them: tests/integration/test_switching.py.
PAGES = sorted({*(tree.ROOT / "docs" / "guide").glob("*.md")} - {tree.ROOT / "docs" / "guide" / "switching.md"})
EXAMPLES = [
    pytest.param(program, printed, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, (program, printed) in enumerate(BLOCK.findall(page.read_text()), 1)
]
# What -X dev says of a step that took more than 100 ms, which is the busy machine's doing.
SLOW = re.compile(r"^Executing <.*> took \d+\.\d{3} seconds\n", re.MULTILINE)


@pytest.mark.parametrize(("program", "printed"), EXAMPLES)
def test_an_example_prints_what_the_page_says(program, printed, loop_kind):
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", program],
        capture_output=True,
        text=True,
        timeout=50,
        stdin=subprocess.DEVNULL,
    )
    assert (done.returncode, SLOW.sub("", done.stderr)) == (0, "")
    assert done.stdout == printed


def test_each_page_has_examples_and_says_what_differs():
    families = [page for page in PAGES if page.stem not in ("README", "benchmarks")]
    names = "both channels deadlocks primitives processes queues servers shared-data streams tasks threads timeouts"
    assert [page.stem for page in families] == names.split()
    for page in families:
        text = page.read_text()
        assert len(BLOCK.findall(text)) == text.count("```python\n") >= 3, page.stem
        assert "\n## Different from asyncio\n" in text, page.stem
