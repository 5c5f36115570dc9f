"""The process that keeps a service, such as a database, for as long as its workload is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tideloop._bench import catalogue
from tideloop._bench.workload import Requests

__all__ = ["main"]


def main(specification: dict[str, Any], commands: Iterator[dict[str, Any]], say: Callable[..., None]) -> None:
    """Start the workload's service, say where it is, and stop it when there is nobody left to give commands."""
    workload = catalogue.load(specification["module"])
    assert isinstance(workload, Requests) and workload.service is not None
    with workload.service.start(Path(specification["folder"])) as address:
        say(ready=True, address=address)
        for _ in commands:
            pass
