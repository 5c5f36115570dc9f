"""Random programs over every primitive, on a simulated clock: what happens, and in which order, is what asyncio does.

`python tests/simulation --help` runs many more of them.
"""

import pytest

from simulation.compare import difference, smallest
from simulation.kinds import JUDGE, KINDS, Names
from simulation.mutants import MUTANTS, names_with

PROGRAMS = 500
CAUGHT_WITHIN = 1500

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != JUDGE])
def test_random_programs_do_what_they_do_on_asyncio(kind):
    for seed in range(PROGRAMS):
        if found := difference(seed, kind):
            pytest.fail(str(smallest(found)), pytrace=False)


def test_judge_does_the_same_twice():
    assert [seed for seed in range(100) if difference(seed, JUDGE)] == []


@pytest.mark.parametrize("name", [name for name, (mutant, *_) in MUTANTS.items() if isinstance(mutant, type)])
def test_derived_class_without_a_mistake_is_not_found(name):
    names = names_with(name, getattr(Names(), name))
    assert not any(difference(seed, JUDGE, names) for seed in range(200))


@pytest.mark.parametrize(
    ("name", "mutant"),
    [pytest.param(name, mutant, id=mutant.__name__) for name, mutants in MUTANTS.items() for mutant in mutants],
)
def test_primitive_with_a_mistake_is_found(name, mutant):
    names = names_with(name, mutant)
    assert any(difference(seed, JUDGE, names) for seed in range(CAUGHT_WITHIN))
