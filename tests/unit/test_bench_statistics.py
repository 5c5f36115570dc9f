"""The laboratory's arithmetic: quartiles, the interval of a median, percentiles, the serial share."""

from __future__ import annotations

import random

import pytest

from tideloop._bench.results import Slice, geometric_means, ratios, reference, summarise, time_text
from tideloop._bench.scaling import predicted, serial_share
from tideloop._bench.statistics import geometric_mean, interval_ranks, spread
from tideloop._bench.workload import Histogram


class TestSpread:
    def test_median_and_quartiles_of_an_odd_sample(self) -> None:
        of = spread([5, 1, 4, 2, 3])
        assert (of.q1, of.median, of.q3, of.count) == (2, 3, 4, 5)

    def test_one_value_is_its_own_everything(self) -> None:
        of = spread([7.0])
        assert (of.median, of.q1, of.q3, of.low, of.high, of.level) == (7, 7, 7, 7, 7, 0)

    def test_half_width_is_a_share_of_the_median(self) -> None:
        assert spread([9, 10, 11]).half_width == pytest.approx(0.1)

    # From the table of the binomial distribution: P(2 ≤ X ≤ 4) of 6 trials is 1 - 2/64, and so on.
    @pytest.mark.parametrize(
        ("count", "rank", "level"),
        [(5, 1, 0.9375), (6, 1, 0.96875), (8, 1, 0.9922), (9, 2, 0.9609), (21, 6, 0.9734), (25, 8, 0.9567)],
    )
    def test_ranks_of_the_interval_are_those_of_the_binomial_distribution(
        self, count: int, rank: int, level: float
    ) -> None:
        assert interval_ranks(count) == (rank, pytest.approx(level, abs=1e-4))

    def test_interval_holds_the_true_median_as_often_as_it_says(self) -> None:
        seeded = random.Random(5)
        held = 0
        for _ in range(2000):
            of = spread([seeded.expovariate(1.0) for _ in range(21)])
            held += of.low <= 0.6931 <= of.high
        assert 0.955 < held / 2000 < 0.99


def test_geometric_mean_of_a_ratio_and_its_inverse_is_one() -> None:
    assert geometric_mean([4, 0.25]) == pytest.approx(1)


class TestHistogram:
    def test_percentiles_are_right_to_one_percent(self) -> None:
        histogram = Histogram()
        for latency in range(1, 100_001):
            histogram.add(latency)
        for percent in (1, 50, 99, 99.9):
            assert histogram.percentile_ns(percent) == pytest.approx(percent * 1000, rel=0.01)
        assert len(histogram.counts) < 1000
        assert histogram.total == 100_000

    def test_pairs_make_the_same_one_again(self) -> None:
        first = Histogram([(100, 3), (1_000_000, 1)])
        first.add(77)
        again = Histogram(first.pairs())
        again.merge(Histogram())
        assert again.pairs() == first.pairs()

    def test_without_latencies_there_is_no_percentile(self) -> None:
        with pytest.raises(ValueError, match="no latencies"):
            Histogram().percentile_ns(50)


class TestSerialShare:
    @pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 1.0])
    def test_it_is_found_again_in_speed_ups_that_follow_the_law(self, share: float) -> None:
        assert serial_share({n: predicted(share, n) for n in range(1, 9)}) == pytest.approx(share)

    def test_more_speed_up_than_workers_is_no_negative_share(self) -> None:
        assert serial_share({2: 2.1, 4: 4.3}) == 0


class TestSummary:
    def rounds(self) -> list[dict[str, Slice]]:
        """The machine gets slower from round to round; `fast` is always twice as fast as uvloop."""
        return [
            {"uvloop": Slice(10, 1000 * k, 2000 * k), "fast": Slice(20, 1000 * k, 2000 * k, Histogram([(500, 20)]))}
            for k in (1, 2, 3, 40)
        ]

    def test_ratios_are_taken_within_a_round_so_that_drift_does_not_matter(self) -> None:
        assert ratios(self.rounds(), "fast", "uvloop") == [0.5] * 4
        figures = summarise(self.rounds(), "fast", "uvloop", (100, 200))
        assert figures.ratio is not None
        assert (figures.ratio.median, figures.ratio.low, figures.ratio.high) == (0.5, 0.5, 0.5)
        assert figures.cpu_ns.median == 125
        assert figures.rounds["cost"] == [50, 100, 150, 2000]
        assert figures.rounds["wall_ns"] == [2000, 4000, 6000, 80000]
        assert figures.rounds["p50_us"] == [pytest.approx(0.5, rel=0.01)] * 4
        assert "p99_us" not in figures.rounds, "twenty requests have none"
        assert (figures.verified, figures.resident_bytes, figures.peak_bytes) == (80, 100, 200)

    def test_percentiles_need_enough_requests(self) -> None:
        figures = summarise(self.rounds(), "fast", "uvloop", (None, None))
        assert figures.latency_us["p50"] == pytest.approx(0.5, rel=0.01)
        assert figures.latency_us["p99"] is None
        assert figures.latency_missing == "80 requests are too few"
        without = summarise(self.rounds(), "uvloop", None, (None, None))
        assert set(without.latency_us.values()) == {None}
        assert set(without.rounds) == {"cost", "operations", "wall_ns"}
        assert without.latency_missing == "the workload has no requests"

    def test_reference_is_uvloop_and_without_it_asyncio(self) -> None:
        assert reference(["asyncio", "tideloop", "uvloop"]) == "uvloop"
        assert reference(["tideloop", "asyncio"]) == "asyncio"
        assert reference(["tideloop"]) is None

    def test_means_of_no_results_are_none(self) -> None:
        assert geometric_means([]) == {}


@pytest.mark.parametrize(
    ("ns", "text"),
    [(7.4, "7 ns"), (999.6, "1.00 µs"), (1234, "1.23 µs"), (345_678, "346 µs"), (1.5e7, "15.0 ms"), (2e9, "2.00 s")],
)
def test_times_have_three_digits(ns: float, text: str) -> None:
    assert time_text(ns) == text
