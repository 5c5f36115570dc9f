"""Measuring one workload: all peers are up side by side, and slices of a twentieth of a second take turns."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tideloop._bench import results
from tideloop._bench.catalogue import Entry
from tideloop._bench.children import Child, Failed, Lacking
from tideloop._bench.ending import held_back
from tideloop._bench.environment import Placement
from tideloop._bench.noise import Noise
from tideloop._bench.peers import Peer
from tideloop._bench.results import Result, Slice
from tideloop._bench.statistics import LEVEL, spread
from tideloop._bench.workload import Held, Histogram, Operations, Requests, Served

__all__ = ["FULL", "QUICK", "Plan", "measure"]

#: A call that takes longer than this hangs.
SLICE_LIMIT_S = 30.0
CALLS_GROWTH_MAX = 10

Say = Callable[[str, float], None]


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    slice_s: float
    rounds_min: int
    narrow: float
    """Half of the interval of each median ratio, as a share of it, has to be below this."""
    budget_s: float
    """After so long a workload ends, however wide the intervals are. At least one round is made."""
    quick: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON object, with what is the same for every plan."""
        return asdict(self) | {"interval_level": LEVEL, "slice_limit_s": SLICE_LIMIT_S}


# Short slices, for what disturbs a ratio is what happens between its two halves. On a machine of unsteady pace, after
# the same time (8 s, 4 runs of each in turn), the intervals of sleep0 and protocol were ±8.4 % and ±10.0 % with slices
# of 0.1 s (medians), ±4.9 % and ±4.5 % with 0.05 s, ±2.0 % and ±2.8 % with 0.02 s. Not shorter still: neighbouring
# rounds resemble each other, which the interval does not know of, so that many short ones look surer than they are.
FULL = Plan(slice_s=0.05, rounds_min=21, narrow=0.015, budget_s=60.0)
QUICK = Plan(slice_s=0.05, rounds_min=5, narrow=0.05, budget_s=6.0, quick=True)


def measure(entry: Entry, chosen: list[Peer], plan: Plan, where: Placement, say: Say) -> Result:
    """Measure one workload on these peers, those that cannot left out. KeyboardInterrupt ends it with what there is.

    `say` is told what is being done and how far it is, from 0 to 1, and only between slices.
    """
    result = Result.of(entry)
    try:
        _measure(result, entry, chosen, plan, where, say)
    except KeyboardInterrupt:
        result.ended = results.INTERRUPTED
    return result


def _measure(result: Result, entry: Entry, chosen: list[Peer], plan: Plan, where: Placement, say: Say) -> None:
    result.missing = entry.why_missing()
    reasons = {peer.name: entry.why_not_on(peer) for peer in chosen}
    result.skipped = {name: reason for name, reason in reasons.items() if reason}
    if result.missing:
        return
    processors = [where.peer]
    if isinstance(entry.workload, Operations) and entry.workload.wall:
        processors = []  # threads may use all that there are
    elif isinstance(entry.workload, Served) or (isinstance(entry.workload, Requests) and entry.workload.service):
        result.sharing = where.sharing
    watched = {where.peer, where.load} if processors else os.sched_getaffinity(0)
    noise = Noise(watched, where.peer)
    begun = time.monotonic()
    session = _Session(entry, plan, where, processors, result)
    try:
        with _on_processor(where.load):
            session.run([peer for peer in chosen if peer.name not in result.skipped], noise, say)
    finally:
        with held_back():
            session.close()
            result.seconds = time.monotonic() - begun
            result.noise = noise.report()
            session.conclude()


class _Session:
    """The processes of one workload and what they did so far."""

    def __init__(self, entry: Entry, plan: Plan, where: Placement, processors: list[int], result: Result) -> None:
        self.entry = entry
        self.plan = plan
        self.where = where
        self.processors = processors
        self.result = result
        self.subjects: dict[str, _Subject] = {}
        self.rounds: list[dict[str, Slice]] = []
        self._memory: dict[str, tuple[int | None, int | None]] = {}
        self._stack = ExitStack()

    def run(self, peers: list[Peer], noise: Noise, say: Say) -> None:
        """Start all, warm up, and make rounds until it is enough."""
        say("starting", 0.0)
        self._start(peers)
        deadline = time.monotonic() + self.plan.budget_s
        for name, subject in list(self.subjects.items()):
            say(f"warming up {subject.peer.title}", 0.0)
            self._attempt(name, lambda subject=subject: subject.warm_up(self.plan.slice_s))  # type: ignore[misc]
        while self.subjects:
            number = len(self.rounds)
            noise.spin()
            done = self._round(number)
            if done:
                self.rounds.append(done)
            widest = self._widest()
            over = time.monotonic() >= deadline
            if over or (len(self.rounds) >= self.plan.rounds_min and widest <= self.plan.narrow):
                self.result.ended = "the budget was spent" if over else "the intervals are narrow"
                return
            left = 1 - max(0.0, deadline - time.monotonic()) / self.plan.budget_s
            part = max(left, min(number / self.plan.rounds_min, self.plan.narrow / max(widest, 1e-9), 0.99))
            say(f"round {number + 1}" + f", ±{widest:.1%}" * (len(self.rounds) > 1), part)

    def _round(self, number: int) -> dict[str, Slice]:
        """Give each peer its turn, in an order that is another one each time: nobody always follows the same one."""
        names = list(self.subjects)
        turn = number // 2 % len(names)
        names = names[turn:] + names[:turn]
        done: dict[str, Slice] = {}
        for name in names if number % 2 == 0 else reversed(names):
            slice_ = self._attempt(name, self.subjects[name].slice)
            if slice_ is not None:
                done[name] = slice_
        return done

    def _attempt(self, name: str, action: Callable[[], Slice | None]) -> Slice | None:
        """Do something with a peer; if it fails, the peer is out, and the others go on."""
        try:
            return action()
        except Failed as failure:
            self._drop(name, failure)
            return None

    def _drop(self, name: str, failure: Failed) -> None:
        subject = self.subjects.pop(name)
        if isinstance(failure, Lacking) and not subject.peer.ours:
            self.result.skipped[name] = f"it does not implement this ({failure})"
        else:
            self.result.failed[name] = str(failure)
            self.result.details[name] = failure.details
        subject.stop()

    def _widest(self) -> float:
        """Return the half width of the widest interval of a ratio, as a share; of the costs if nothing is compared."""
        names = list(self.subjects)
        base = results.reference(names)
        rounds = [each for each in self.rounds if all(name in each for name in names)]
        if not rounds or not names:
            return 1.0
        if base is None or len(names) == 1:
            samples = [[each[name].cpu_per_operation_ns for each in rounds] for name in names]
        else:
            samples = [results.ratios(rounds, name, base) for name in names if name != base]
        return max(spread(sample).half_width for sample in samples)

    def _start(self, peers: list[Peer]) -> None:
        """Start a service if there is one, then a process for each peer, and wait until all are up."""
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="tl-", ignore_cleanup_errors=True)))
        specification: dict[str, Any] = {"module": self.entry.module}
        if "tls" in self.entry.workload.needs:
            try:
                certificate, key = _certificate(folder)
            except (OSError, subprocess.CalledProcessError) as error:
                self.result.missing = f"no certificate could be made, for which openssl is needed: {error}"
                return
            specification |= {"certificate": str(certificate), "key": str(key)}
        if isinstance(self.entry.workload, Requests) and self.entry.workload.service:
            home = folder / "service"
            home.mkdir()
            on = [self.where.load]
            with held_back():
                service = Child("service_process", on, tideloop=True, graceful=True, folder=str(home), **specification)
                self._stack.callback(service.stop)
            try:
                specification["service"] = service.ready()["address"]
            except Failed as failure:
                self.result.missing = f"{self.entry.workload.service.name} did not start: {failure}"
                self.result.details["service"] = failure.details
                return
        for number, peer in enumerate(peers):
            home = folder / str(number)
            home.mkdir()
            with held_back():
                subject = _Subject(peer, self.entry, self.processors, self.where, home, specification)
                self._stack.callback(subject.stop)
            self.subjects[peer.name] = subject
        for name, subject in list(self.subjects.items()):
            self._attempt(name, subject.connect)

    def close(self) -> None:
        """Note what memory the peers took, and end all processes."""
        for name, subject in self.subjects.items():
            self._memory[name] = subject.memory()
        self._stack.close()

    def conclude(self) -> None:
        """Put the figures into the result."""
        names = list(self.subjects)
        rounds = [each for each in self.rounds if all(name in each for name in names)]
        self.result.rounds = len(rounds)
        self.result.reference = base = results.reference(names)
        for name in names if rounds else []:
            self.result.peers[name] = results.summarise(rounds, name, base, self._memory[name])


class _Subject:
    """One peer at one workload: its process, and for a server the process that puts the load on it."""

    def __init__(
        self,
        peer: Peer,
        entry: Entry,
        processors: list[int],
        where: Placement,
        folder: Path,
        specification: dict[str, Any],
    ) -> None:
        self.peer = peer
        self._entry = entry
        self._where = where
        own: dict[str, Any] = {"peer": peer.name, "folder": str(folder)}
        tideloop = peer.module.partition(".")[0] == "tideloop"
        self._worker = Child("worker", processors, tideloop=tideloop, **own, **specification)
        self._load: Child | None = None
        self._calls = 1
        self._resident: int | None = None

    def connect(self) -> None:
        """Wait until the process is up; connect the load to it."""
        up = self._worker.ready()
        if isinstance(self._entry.workload, Served):
            on = [self._where.load]
            with held_back():
                module = self._entry.module
                self._load = Child("load_process", on, tideloop=True, module=module, address=up["address"])
            self._load.ready()

    def warm_up(self, slice_s: float) -> None:
        """Work for about three slices; find out how many calls a slice has."""
        self._slice_s = slice_s
        until = time.monotonic() + 3 * slice_s
        while True:
            seen = self.slice()
            share = seen.wall_ns / 1e9 / slice_s
            if not self._load:
                wanted = round(self._calls / share) if share else self._calls * CALLS_GROWTH_MAX
                self._calls = max(1, min(wanted, self._calls * CALLS_GROWTH_MAX))
            if time.monotonic() >= until and (share > 0.5 or self._load):
                break
        self._resident = _memory(self._worker.process.pid, "VmRSS")

    def slice(self) -> Slice:
        """Work for one slice. Failed if the answer is wrong, late or missing."""
        done = self._put_load(self._load) if self._load else self._worker.ask(SLICE_LIMIT_S, calls=self._calls)
        if not done["operations"]:
            raise Failed("not one operation was finished")
        seen = Histogram((latency, count) for latency, count in done["latencies"])
        return Slice(done["operations"], done["cpu_ns"], done["wall_ns"], seen)

    def _put_load(self, load: Child) -> dict[str, Any]:
        try:
            cpu = _cpu_ns(self._worker.process.pid)
            done = load.ask(SLICE_LIMIT_S + self._slice_s, seconds=self._slice_s)
            done["cpu_ns"] = _cpu_ns(self._worker.process.pid) - cpu
        except Failed:
            self._worker.raise_if_ended()  # then that is the reason, whatever the load says of it
            raise
        return done

    def memory(self) -> tuple[int | None, int | None]:
        """Return the memory after the warm-up, and the most so far; nothing where the process is not the peer's."""
        workload = self._entry.workload
        if self.peer.floor or isinstance(workload, Held) or workload.unit == "start":
            return None, None
        return self._resident, _memory(self._worker.process.pid, "VmHWM")

    def stop(self) -> None:
        """End its processes."""
        if self._load:
            self._load.stop()
        self._worker.stop()


def _cpu_ns(pid: int) -> int:
    """Return the processor time in ns of all threads of a process, also of those that have ended.

    By the clock that the kernel keeps for each process; its number is clock_getcpuclockid(3)'s.
    """
    try:
        return time.clock_gettime_ns(~pid << 3 | 2)
    except OSError as error:
        raise Failed("the server is gone") from error


def _memory(pid: int, field: str) -> int | None:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    found = re.search(rf"^{field}:\s*(\d+) kB", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def _certificate(folder: Path) -> tuple[Path, Path]:
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run([*command.split(), *names, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


@contextmanager
def _on_processor(number: int) -> Iterator[None]:
    """Keep the laboratory itself off the peers' processor."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {number})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
