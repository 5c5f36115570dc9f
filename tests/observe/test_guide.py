"""The report in docs/guide/deadlocks.md is one that its program makes."""

import re
import subprocess
import sys

from tidy import tree

PAGE = tree.ROOT / "docs" / "guide" / "deadlocks.md"


def shape(report):
    """What does not differ from run to run, with the members in the order of their kinds."""
    text = re.sub(r"0x[0-9a-f]+", "0x", report)
    text = re.sub(r"for \d+\.\d{3} s", "for 0 s", text)
    text = re.sub(r"at \S+:\d+, in", "at FILE, in", text)
    text = re.sub(r"thread '\w+'", "thread ''", text)
    first, *members = re.split(r"\n(?=task|thread)", text.strip())
    return [first, *sorted(members)]


def test_the_report_on_the_page_is_what_the_program_on_it_prints(tmp_path):
    text = PAGE.read_text()
    program = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1].replace("report=show", "report=print")
    shown = re.search(r"compares the shape -->\n```text\n(.*?)```", text, re.DOTALL)[1]
    file = tmp_path / "bank.py"
    file.write_text(program)
    done = subprocess.run([sys.executable, file], capture_output=True, text=True, timeout=30, check=True)
    printed = done.stdout.removesuffix("['DeadlockError']\n")
    assert shape(printed) == shape(shown)
