"""What a measurement gives: figures of each peer at each workload, as objects and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from tideloop._bench.catalogue import Entry
from tideloop._bench.statistics import Spread, geometric_mean, spread
from tideloop._bench.workload import Held, Histogram

__all__ = [
    "REQUESTS_FOR",
    "ROUNDS_FOR_QUARTILES",
    "Figures",
    "Result",
    "Slice",
    "cost_text",
    "counted",
    "geometric_means",
    "summarise",
    "time_text",
]

#: Percentiles that are given, and from how many requests on they mean something.
REQUESTS_FOR = {50.0: 10, 99.0: 200, 99.9: 2000}
COST_UNITS = {"cpu": "ns of CPU", "wall": "ns", "memory": "bytes"}
#: With fewer, quartiles are nothing but the least and the most, or what lies between two.
ROUNDS_FOR_QUARTILES = 3
INTERRUPTED = "it was interrupted"
REFERENCES = ("uvloop", "asyncio")


@dataclass
class Slice:
    """One peer's turn in one round."""

    operations: int
    cpu_ns: int
    wall_ns: int
    latencies: Histogram = field(default_factory=Histogram)

    @property
    def cpu_per_operation_ns(self) -> float:
        """What an operation costs."""
        return self.cpu_ns / self.operations


@dataclass
class Figures:
    """One peer at one workload."""

    cpu_ns: Spread
    """What an operation costs, in the result's `cost_unit`: its name is right for most workloads, not for all."""
    ratio: Spread | None
    """That, divided by the reference's in the same round; None without a reference."""
    per_s: float
    """Operations per second of wall time, the median of the rounds."""
    latency_us: dict[str, float | None]
    """"p50", "p99", "p99.9"; None where `latency_missing` says why."""
    latency_missing: str | None
    resident_bytes: int | None
    """Memory of the peer's process after the warm-up, and the most until the end; None where it says nothing."""
    peak_bytes: int | None
    verified: int
    """How many operations were found right, those of the warm-up left out."""
    rounds: dict[str, list[Any]]
    """What was seen in each round, a list per figure: "cost" of an operation, how many "operations", the slice's
    "wall_ns"; where there are requests also "p50_us" and so on, None where a round had too few of them."""


@dataclass
class Result:
    """All peers at one workload."""

    name: str
    folder: str
    title: str
    unit: str
    kind: str
    clock: str
    """"cpu", "wall" or "memory": what `cpu_ns` was measured with."""
    cost_unit: str
    """What `cpu_ns` and the rounds' "cost" are counted in, as COST_UNITS names it."""
    reference: str | None = None
    peers: dict[str, Figures] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    """Peers that were left out, and why."""
    failed: dict[str, str] = field(default_factory=dict)
    """Peers that gave a wrong answer, crashed or hung."""
    details: dict[str, str] = field(default_factory=dict)
    """The end of what failed peers wrote to standard error."""
    missing: str | None = None
    """Why nothing was measured at all."""
    rounds: int = 0
    ended: str = "nothing was measured"
    """Why it ended: the intervals were narrow, the budget was spent, or somebody wanted it."""
    seconds: float = 0.0
    sharing: str | None = None
    """What server and client share that should be apart; None if nothing, or if there is but one of them."""
    noise: dict[str, Any] = field(default_factory=dict)

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl+C ended it."""
        return self.ended == INTERRUPTED

    @property
    def conclusive(self) -> bool:
        """Whether the machine was quiet enough for the figures to mean something."""
        return not self.noise.get("seen")

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return asdict(self) | {"conclusive": self.conclusive}

    @classmethod
    def of(cls, entry: Entry) -> Result:
        """Return an empty result for a workload."""
        workload = entry.workload
        clock = "memory" if isinstance(workload, Held) else "wall" if getattr(workload, "wall", False) else "cpu"
        kind = type(workload).__name__.lower()
        return cls(entry.name, entry.folder, workload.title, workload.unit, kind, clock, COST_UNITS[clock])


def reference(peers: list[str]) -> str | None:
    """Return the peer that the others are compared with."""
    return next((name for name in REFERENCES if name in peers), None)


def ratios(rounds: list[dict[str, Slice]], peer: str, base: str) -> list[float]:
    """Return what the peer's operation costs, divided by the reference's, in each round."""
    return [each[peer].cpu_per_operation_ns / each[base].cpu_per_operation_ns for each in rounds]


def summarise(
    rounds: list[dict[str, Slice]], peer: str, base: str | None, memory: tuple[int | None, int | None]
) -> Figures:
    """Make the figures of a peer that took part in every round."""
    slices = [each[peer] for each in rounds]
    seen = Histogram()
    for each in slices:
        seen.merge(each.latencies)
    latencies = _percentiles_us(seen)
    missing = None
    if not seen.total:
        missing = "the workload has no requests"
    elif None in latencies.values():
        missing = f"{seen.total} requests are too few"
    costs = [each.cpu_per_operation_ns for each in slices]
    return Figures(
        cpu_ns=spread(costs),
        ratio=spread(ratios(rounds, peer, base)) if base else None,
        per_s=spread([each.operations * 1e9 / each.wall_ns for each in slices]).median,
        latency_us=latencies,
        latency_missing=missing,
        resident_bytes=memory[0],
        peak_bytes=memory[1],
        verified=sum(each.operations for each in slices),
        rounds=_each_round(slices),
    )


def _percentiles_us(seen: Histogram) -> dict[str, float | None]:
    return {
        f"p{percent:g}": seen.percentile_ns(percent) / 1e3 if seen.total >= needed else None
        for percent, needed in REQUESTS_FOR.items()
    }


def _each_round(slices: list[Slice]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {
        "cost": [round(each.cpu_per_operation_ns, 1) for each in slices],
        "operations": [each.operations for each in slices],
        "wall_ns": [each.wall_ns for each in slices],
    }
    latencies = [_percentiles_us(each.latencies) for each in slices]
    for name in latencies[0]:
        column = [each[name] for each in latencies]
        if any(value is not None for value in column):
            found[f"{name}_us"] = column
    return found


def geometric_means(results: list[Result]) -> dict[str, tuple[float, int]]:
    """Return for each peer the geometric mean of its ratios of time to uvloop's, and over how many workloads it is."""
    found: dict[str, list[float]] = {}
    for result in results:
        for peer, figures in result.peers.items():
            if figures.ratio and result.reference == "uvloop" and result.clock != "memory":
                found.setdefault(peer, []).append(figures.ratio.median)
    return {peer: (geometric_mean(values), len(values)) for peer, values in found.items()}


def cost_text(cost: float, clock: str) -> str:
    """Return what an operation costs, in bytes if it was measured in memory, else as a time."""
    return f"{cost:,.0f} bytes" if clock == "memory" else time_text(cost)


def counted(number: int, what: str) -> str:
    """Return a number of things in words, such as "1 round"."""
    return f"{number} {what}" + "s" * (number != 1)


def time_text(ns: float) -> str:
    """Return a time in the unit that suits it, with three digits."""
    for scale, unit in ((1, "ns"), (1e3, "µs"), (1e6, "ms")):
        value = ns / scale
        if round(value) < 1000:
            return f"{value:.0f} {unit}" if value >= 100 or scale == 1 else f"{value:#.3g} {unit}"
    return f"{ns / 1e9:#.3g} s"
