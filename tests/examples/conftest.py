"""Starts examples, each on stock asyncio and on Tideloop, and ends what a failing test left running."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from programs import Program, Start


@pytest.fixture
def start(loop_kind: str) -> Iterator[Start]:
    """Return a function that starts an example by name with arguments, on the loop under test."""
    started: list[Program] = []

    def start_one(*arguments: str) -> Program:
        started.append(Program(loop_kind, *arguments))
        return started[-1]

    yield start_one
    for program in started:
        program.kill()
