"""Random programs of threads and tasks over a lock, a semaphore and an RWLock: nobody is inside who must not be, and in
the end everything is free."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from parties import Party, pause, wait, waiting

from tideloop.sync import Lock, RLock, RWLock, Semaphore

KINDS = st.sampled_from(["thread", "tideloop", "asyncio"])
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["lock", "rlock", "semaphore", "read", "write"]),
        st.sampled_from([None, 0, 0.0005, 0.002]),
        st.booleans(),
    ),
    min_size=1,
    max_size=12,
)


class World:
    """The primitives, and who is inside of each."""

    def __init__(self, fair: bool, policy: Any) -> None:
        self.shared = RWLock(policy)
        self.sides = {
            "lock": Lock(fair=fair),
            "rlock": RLock(fair=fair),
            "semaphore": Semaphore(2, fair=fair),
            "read": self.shared.read(),
            "write": self.shared.write(),
        }
        self.inside = dict.fromkeys(self.sides, 0)

    def check(self) -> None:
        inside = self.inside
        assert inside["lock"] <= 1
        assert inside["rlock"] <= 1
        assert inside["semaphore"] <= 2
        assert inside["write"] + bool(inside["read"]) <= 1

    async def run(self, steps: list[tuple[str, float | None, bool]]) -> None:
        for name, timeout, stays in steps:
            side = self.sides[name]
            if not await wait(side.acquire(timeout=timeout)):
                assert timeout is not None
                continue
            self.inside[name] += 1
            try:
                self.check()
                if stays:
                    await pause(0.0002)
                self.check()
            finally:
                self.inside[name] -= 1
                side.release()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    parties=st.lists(st.tuples(KINDS, STEPS, st.booleans()), min_size=2, max_size=4),
    fair=st.booleans(),
    policy=st.sampled_from(["fair", "reader", "writer"]),
    seed=st.integers(0, 1000),
)
def test_random_programs_keep_the_invariants(parties: Any, fair: bool, policy: str, seed: int) -> None:
    world = World(fair, policy)
    rng = random.Random(seed)
    made = [(Party(kind, world.run, steps), cancelled) for kind, steps, cancelled in parties]
    for party, cancelled in rng.sample(made, len(made)):
        if cancelled:
            party.cancel()
    for party, _ in made:
        party.result()
    assert world.inside == dict.fromkeys(world.sides, 0)
    assert not any(side.locked() for side in world.sides.values())
    assert (world.shared.reading, world.shared.writing) == (0, 0)
    assert [waiting(side) for side in (world.shared, *list(world.sides.values())[:3])] == [0, 0, 0, 0]
    assert "value=2>" in repr(world.sides["semaphore"])
