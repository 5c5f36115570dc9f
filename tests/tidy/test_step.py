"""The sum at the end of a CI run is only as true as the reading of what each runner prints."""

import sys

import pytest

from tidy import tree

sys.path.insert(0, str(tree.ROOT / "tools"))

from step import count


@pytest.mark.parametrize(
    ("text", "status", "counts"),
    [
        ("     Summary [   0.1s] 5 tests run: 5 passed, 2 skipped\n", 0, (5, 0)),
        ("     Summary [   0.1s] 5 tests run: 4 passed (1 slow), 1 failed, 2 skipped\n", 100, (4, 1)),
        ("test result: ok. 3 passed; 0 failed; 0 ignored\ntest result: FAILED. 3 passed; 2 failed;", 101, (6, 2)),
        ("==== 1 failed, 10 passed, 7 skipped, 2 errors in 4.69s ====\n", 1, (10, 3)),
        ("1034 passed, 3 xfailed in 83.69s (0:01:23)\n", 0, (1037, 0)),
        ("511 passed, 3 failed\n", 1, (511, 3)),
        ("10 passed in 4.6s\n", 137, (10, 1)),
        ("no tests ran in 0.01s\n", 5, (0, 1)),
        ("All checks passed!\n", 0, (1, 0)),
        ("error: it does not compile\n", 101, (0, 1)),
    ],
)
def test_counts_are_read_as_the_runner_means_them(text, status, counts):
    assert count(text, status) == counts
