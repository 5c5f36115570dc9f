"""Watch: the newest value, and waiting for a newer one."""

from __future__ import annotations

import gc
import weakref

import pytest
from channel_support import Here, World, in_every_world

from tideloop.channels import Closed, Watch, Watcher


def test_a_watch_has_the_value_that_was_set_last():
    level = Watch("low")
    assert (level.value, level.closed) == ("low", False)
    level.set("high")
    assert level.value == "high"
    assert repr(level) == "<tideloop.channels.Watch, 0 waiting>"
    assert str(Watch[int]) == "tideloop.channels.Watch[int]"


def test_a_watcher_knows_what_it_has_seen():
    level = Watch(0)
    watcher = level.subscribe()
    assert isinstance(watcher, Watcher)
    assert (watcher.has_changed, repr(watcher)) == (False, "<tideloop.channels.Watcher without news>")
    level.set(1)
    level.set(2)
    assert (watcher.has_changed, repr(watcher)) == (True, "<tideloop.channels.Watcher with news>")
    assert (watcher.changed(), watcher.has_changed) == (2, False)
    with pytest.raises(TimeoutError):
        watcher.changed(timeout=0.01)
    level.set(3)
    assert (watcher.value, watcher.has_changed) == (3, False)
    with pytest.raises(TimeoutError):
        watcher.changed(timeout=0)
    # An equal value is news, too.
    level.set(3)
    assert watcher.changed() == 3


def test_the_last_value_before_the_close_is_seen():
    with Watch(0) as level:
        watcher, late = level.subscribe(), level.subscribe()
        level.set(1)
    assert (level.closed, level.value) == (True, 1)
    with pytest.raises(Closed) as caught:
        level.set(2)
    assert caught.value.channel is level
    assert (level.value, watcher.changed(), list(late)) == (1, 1, [1])
    with pytest.raises(Closed) as caught:
        watcher.changed()
    assert caught.value.channel is watcher
    assert list(level.subscribe()) == []


@in_every_world
def test_everybody_sees_the_last_value_and_never_an_older_one_again(world: World):
    level = Watch(0)
    watchers = [level.subscribe() for _ in range(4)]

    async def change(here: Here):
        for value in range(1, 301):
            level.set(value)
            if value % 20 == 0:
                await here.pause()
        level.close()

    def watching(watcher):
        async def watch(here: Here):
            return [value async for value in here.each(watcher)]

        return watch

    for seen in world.gather(change, *map(watching, watchers))[1:]:
        assert seen[-1] == 300
        assert seen == sorted(set(seen))


@in_every_world
def test_who_waits_is_woken_by_the_next_value(world: World):
    level = Watch("old")

    async def watch(here: Here):
        return await here.call(level.subscribe().changed)

    async def change(here: Here):
        while "3 waiting" not in repr(level):
            await here.pause(0.001)
        level.set("new")

    assert world.gather(watch, watch, watch, change)[:3] == ["new"] * 3


@in_every_world
def test_a_close_ends_who_waits(world: World):
    level = Watch(0)

    async def watch(here: Here):
        with pytest.raises(Closed):
            await here.call(level.subscribe().changed)
        return "ended"

    async def close(here: Here):
        while "2 waiting" not in repr(level):
            await here.pause(0.001)
        level.close()

    assert world.gather(watch, close, watch)[::2] == ["ended", "ended"]


@in_every_world
def test_a_wait_that_times_out_has_seen_nothing(world: World):
    level = Watch(0)
    watcher = level.subscribe()
    total = 300

    async def change(here: Here):
        for value in range(1, total + 1):
            level.set(value)
            await here.pause(0.0002 if value % 2 else 0.0)

    async def watch(here: Here):
        seen = 0
        while seen < total:
            try:
                newer = await here.call(watcher.changed, timeout=0.0002)
            except TimeoutError:
                continue
            assert newer > seen
            seen = newer
        return seen

    assert world.gather(change, watch)[1] == total


def test_a_watch_in_a_cycle_dies_and_lets_go_of_old_values():
    class Value:
        pass

    level, old, new = Watch(None), Value(), Value()
    level.set(old)
    gone = [weakref.ref(old)]
    del old
    assert gone[0]() is level.value
    level.set(new)
    assert gone[0]() is None
    new.watcher = level.subscribe()
    gone += [weakref.ref(level), weakref.ref(new)]
    del level, new
    gc.collect()
    assert [reference() for reference in gone] == [None] * 3


def test_a_finalizer_may_set_the_value_that_displaces_its_object():
    level = Watch(None)

    class Value:
        def __del__(self):
            level.set("set by the finalizer")

    level.set(Value())
    level.set("next")
    assert level.value == "set by the finalizer"
