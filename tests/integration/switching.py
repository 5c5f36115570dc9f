"""docs/guide/switching.md as its reader uses it: each command, in a folder with the files that stand above it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from tidy import tree

PAGE = tree.ROOT / "docs" / "guide" / "switching.md"
# What pip writes for the command `tideloop`, which the checkout has not.
TIDELOOP = f"#!{sys.executable}\nimport sys\nfrom tideloop.cli import main\nsys.exit(main())\n"
HOST = "127.0.0.1"
ANSWER_SECONDS_MAX = 40.0
STOP_SECONDS_MAX = 10.0


@dataclass(frozen=True)
class Example:
    """A command of the page, what the page prints below it, and the files that it finds."""

    section: str
    command: str
    printed: str
    files: dict[str, str]


@dataclass
class Page:
    examples: list[Example] = field(default_factory=list)
    # What the page says that an application answers, and that a cell shows.
    answers: set[str] = field(default_factory=set)
    # Files that no command of their section comes after.
    unused: set[tuple[str, str]] = field(default_factory=set)


def read() -> Page:
    """The page's blocks in order. A file's name is the last one in code before it; each section has a new folder."""
    page, section, name = Page(), "", ""
    common: dict[str, str] = {}
    files = common
    tokens = MarkdownIt().parse(PAGE.read_text())
    for before, token in zip([tokens[0], *tokens], tokens, strict=False):
        if token.type == "inline" and before.tag == "h2":
            section, files = token.content, dict(common)
        elif token.type == "inline":
            name = _last_file(token) or name
        elif token.type == "fence" and token.info == "console":
            command, _, printed = token.content.removeprefix("$ ").partition("\n")
            page.examples.append(Example(section, command, printed, dict(files)))
            page.unused -= {(section, file) for file in files}
        elif token.type == "fence" and token.info == "text":
            page.answers.add(token.content)
        elif token.type == "fence":
            files[name] = token.content
            if section:
                page.unused.add((section, name))
    return page


def _last_file(paragraph: Token) -> str:
    """The last name of a file that the paragraph has in code; nothing where it has none."""
    names = [child.content for child in paragraph.children or () if child.type == "code_inline"]
    return next((name for name in reversed(names) if name.endswith((".py", ".json", ".ipynb"))), "")


def lay_out(example: Example, folder: Path) -> None:
    """Write the example's files; a notebook's text is its one cell. The folder is the user's home as well."""
    for name, text in example.files.items():
        path = folder / name.removeprefix("~/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_notebook(text) if path.suffix == ".ipynb" else text)
    command = folder / "bin" / "tideloop"
    command.parent.mkdir()
    command.write_text(TIDELOOP)
    command.chmod(0o755)


def _notebook(cell: str) -> str:
    code = {"cell_type": "code", "id": "one", "metadata": {}, "execution_count": None, "outputs": [], "source": cell}
    return json.dumps({"cells": [code], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


@contextlib.contextmanager
def started(command: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The command, in a shell and a process group of its own, which is ended after.

    Its output goes to `folder / "log"`, and it sees no settings but the page's.
    """
    tools = [str(folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]
    settings = {"PATH": ":".join(tools), "HOME": str(folder), "COLUMNS": "80"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            shell=True,
            cwd=folder,
            env=settings,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(STOP_SECONDS_MAX)


def free_port() -> int:
    with socket.create_server((HOST, 0)) as sock:
        return int(sock.getsockname()[1])


def first_answer(port: int, process: subprocess.Popen[bytes]) -> str:
    """What the server on this port answers as soon as it does; nothing when it ends before."""
    deadline = time.monotonic() + ANSWER_SECONDS_MAX
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            return _ask(port)
        time.sleep(0.02)  # it says in no common way when it listens
    return ""


def _ask(port: int) -> str:
    with contextlib.closing(http.client.HTTPConnection(HOST, port, timeout=STOP_SECONDS_MAX)) as connection:
        connection.request("GET", "/")
        return connection.getresponse().read().decode()
