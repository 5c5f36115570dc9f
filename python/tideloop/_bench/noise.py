"""Is the machine quiet enough to conclude anything? Other programs, other guests, and a processor that changes pace."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Set
from pathlib import Path
from typing import Any

from tideloop._bench.statistics import spread

__all__ = ["FOREIGN_MAX", "PACE_MAX", "STEAL_MAX", "Noise"]

#: Shares of the processors in use that others may take before figures support no conclusion.
FOREIGN_MAX = 0.10
STEAL_MAX = 0.02
#: How far the quartiles of a fixed piece of work's time may be apart, as a share of the median.
PACE_MAX = 0.10
#: Work of about 2 ms: long beside a clock reading, short beside a slice.
SPIN_STEPS = 40_000
NAMED_MAX = 3
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Noise:
    """Watches some processors from its making to `report`."""

    def __init__(self, processors: Set[int], spin_on: int) -> None:
        """Make it before the laboratory's processes start, and ask it after they have ended: they are no noise."""
        self._processors = processors
        self._spin_on = spin_on
        self._begun = time.monotonic()
        self._ticks = _ticks(processors)
        self._ours_s = _ours_s()
        self._programs = _programs()
        self._spins_ns: list[int] = []

    def spin(self) -> None:
        """Time a fixed piece of work on the peers' processor; called before each round."""
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {self._spin_on})
        begun = time.perf_counter_ns()
        for _ in range(SPIN_STEPS):
            pass
        self._spins_ns.append(time.perf_counter_ns() - begun)
        os.sched_setaffinity(0, before)

    def report(self) -> dict[str, Any]:
        """Return what was seen as a JSON object; "seen" has what is too much, as sentences."""
        available_s = max(1e-3, (time.monotonic() - self._begun) * len(self._processors))
        busy, stolen = (now - then for now, then in zip(_ticks(self._processors), self._ticks, strict=True))
        foreign = max(0.0, busy / TICKS_PER_S - (_ours_s() - self._ours_s)) / available_s
        steal = stolen / TICKS_PER_S / available_s
        pace = spread(self._spins_ns) if self._spins_ns else None
        pace_spread = (pace.q3 - pace.q1) / pace.median if pace else 0.0
        programs = self._busiest() if foreign > FOREIGN_MAX else []
        seen = []
        if foreign > FOREIGN_MAX:
            names = f" (the busiest: {', '.join(programs)})" if programs else ""
            seen.append(f"other programs took {foreign:.0%} of the processors in use{names}")
        if steal > STEAL_MAX:
            seen.append(f"the hypervisor gave {steal:.0%} of the time to other guests")
        if pace_spread > PACE_MAX:
            seen.append(f"a fixed piece of work took times whose quartiles are {pace_spread:.0%} apart")
        return {"foreign": foreign, "steal": steal, "pace": pace_spread, "programs": programs, "seen": seen}

    def _busiest(self) -> list[str]:
        """Return the names of the programs that have used most since the beginning, of those that still run."""
        used = {key: ticks - self._programs.get(key, 0) for key, ticks in _programs().items() if key[0] != os.getpid()}
        most = sorted(used.items(), key=lambda item: -item[1])[:NAMED_MAX]
        return [f"{name} {ticks / TICKS_PER_S:.1f} s" for (_, name), ticks in most if ticks]


def _ticks(processors: Set[int]) -> tuple[int, int]:
    """Return for how many clock ticks these processors were busy, and how many the hypervisor took, since the start."""
    busy = stolen = 0
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in processors:
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
            busy += user + nice + system + irq + softirq
            stolen += steal
    return busy, stolen


def _ours_s() -> float:
    """Return the processor time of this process and of its children that have ended."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def _programs() -> dict[tuple[int, str], int]:
    """Return the clock ticks that each process has used, by its number and name."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text()
        except OSError:  # it has ended
            continue
        name, _, rest = text.partition("(")[2].rpartition(")")
        fields = rest.split()
        found[int(path.parent.name), name] = int(fields[11]) + int(fields[12])
    return found
