"""Each workload on channels and on scale, measured for a moment: servers answer rightly, and the floor takes part."""

from __future__ import annotations

import asyncio
import resource
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

if not sys.platform.startswith("linux"):
    pytest.skip("the laboratory reads Linux's /proc", allow_module_level=True)

from tls_support import needs_openssl

from tideloop._bench import catalogue, crowds, environment, measure, peers
from tideloop._bench.catalogue import Entry
from tideloop._bench.measure import Plan
from tideloop._bench.workload import Held, Served, WrongAnswer

pytestmark = pytest.mark.loop_kinds("asyncio")

MOMENT = Plan(slice_s=0.01, rounds_min=1, narrow=100.0, budget_s=0.1)
#: A second way to look at the same, or too much for a test: a million timers take seconds and half a GB.
LEFT_OUT = {"protocol_10k", "protocol_1000", "protocol_16k", "timers_1m", "switch_100k"}

ENTRIES = [
    pytest.param(entry, marks=[needs_openssl] if "tls" in entry.workload.needs else [], id=entry.name)
    for entry in catalogue.all_entries().values()
    if entry.folder in ("channels", "scale") and entry.name not in LEFT_OUT
]


def test_too_few_descriptors_are_found_before_anything_waits_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (1024, 4096))
    entries = catalogue.all_entries()
    reason = "it needs 11,100 descriptors, and the limit here is 4,096 (ulimit -Hn)"
    assert entries["idle_memory"].why_missing() == reason
    missing = [entry.name for entry in entries.values() if "descriptors" in (entry.why_missing() or "")]
    assert missing == ["idle_10k", "idle_memory", "protocol_10k"]
    monkeypatch.setattr(resource, "getrlimit", lambda which: (1024, 11_100))
    assert entries["idle_memory"].why_missing() is None


def test_every_workload_says_how_many_descriptors_it_needs() -> None:
    for entry in catalogue.all_entries().values():
        if isinstance(entry.workload, Served):
            connections = getattr(entry.workload.load, "connections", 0)
            assert entry.workload.descriptors >= connections or connections <= 100, entry.name


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_workload_is_measured_on_each_peer_that_can(entry: Entry) -> None:
    missing = entry.why_missing()
    if missing and "descriptors" in missing:
        pytest.skip(missing)
    names = ["asyncio", "tideloop", "tideloop+", "raw_epoll"]
    result = measure.measure(
        entry, [peers.find(name) for name in names], MOMENT, environment.placement(), lambda what, part: None
    )
    assert (result.failed, result.missing) == ({}, None)
    floor = isinstance(entry.workload, Served) and entry.workload.floor
    expected = ["asyncio", "tideloop", *["tideloop+"] * entry.workload.names, *["raw_epoll"] * floor]
    assert sorted(result.peers) == sorted(expected)
    assert result.clock == ("memory" if isinstance(entry.workload, Held) else "cpu")
    for figures in result.peers.values():
        assert figures.verified > 0
        assert figures.cpu_ns.median > 0
    if isinstance(entry.workload, Served) and entry.name != "proxy":
        assert all(figures.latency_missing != "the workload has no requests" for figures in result.peers.values())


def test_every_workload_on_streams_has_the_floor_beside_it() -> None:
    tcp = [entry for entry in catalogue.all_entries().values() if entry.workload.title.startswith("TCP, ")]
    assert len(tcp) > 5
    assert all(isinstance(entry.workload, Served) and entry.workload.floor for entry in tcp)


def test_tasks_that_wait_meanwhile_are_made_once(run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
    async def twice() -> list[int]:
        body, seen = crowds.switches(waiting=7), []
        for _ in range(2):
            await body(asyncio, 1000)
            seen.append(len(asyncio.all_tasks()))
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        return seen

    assert run(twice()) == [8, 8]


class Timers:
    """A loop, and a module with it, whose timers never run, or run at once."""

    def __init__(self, at_once: bool = False) -> None:
        self.pending: set[Timer] = set()
        self.at_once = at_once

    def get_running_loop(self) -> Timers:
        return self

    def call_later(self, delay: float, callback: Callable[..., object], *arguments: object) -> Timer:
        if self.at_once:
            callback(*arguments)
        timer = Timer(self)
        self.pending.add(timer)
        return timer

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Timer:
    def __init__(self, loop: Timers) -> None:
        self.loop = loop

    def cancel(self) -> None:
        self.loop.pending.remove(self)


def test_timers_that_are_pending_meanwhile_are_made_once(run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
    body, names = crowds.timers(pending=7), Timers()
    for _ in range(2):
        run(body(names, 1000))
        assert len(names.pending) == 7


def test_a_timer_that_runs_though_it_was_cancelled_is_found(run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
    with pytest.raises(WrongAnswer, match="2 timers have run that must not"):
        run(crowds.timers(pending=1)(Timers(at_once=True), 1))
