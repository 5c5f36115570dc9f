"""@synchronized: one thread at a time per object, and no double locking."""

import copy
import dataclasses
import pickle
import threading

import pytest

from shared.threads import WAIT_S_MAX, in_threads
from tideloop.sync import synchronized


class Meeting:
    """Notices when two threads are in it at once."""

    def __init__(self):
        self.inside = 0
        self.visits = 0

    def visit(self):
        self.inside += 1
        assert self.inside == 1
        threading.Event().wait(0.0005)
        assert self.inside == 1
        self.visits += 1
        self.inside -= 1


@synchronized("add", "remove", "swap")
class Shop(Meeting):
    def add(self, n=1):
        """Adds."""
        for _ in range(n):
            self.visit()

    def remove(self):
        self.visit()

    def swap(self):
        self.remove()
        self.add()

    def look(self):
        return self.visits


def test_threads_are_in_named_methods_one_after_another():
    shop = Shop()
    in_threads(6, lambda index: [(shop.add, shop.remove, shop.swap)[index % 3]() for _ in range(20)])
    assert shop.look() == 160


def test_without_it_threads_meet():
    """The test of the tests."""
    meeting = Meeting()

    def visit(_):
        try:
            for _ in range(50):
                meeting.visit()
        except AssertionError:
            return True
        return False

    assert any(in_threads(4, visit))


def test_objects_do_not_wait_for_each_other():
    both = threading.Barrier(2)

    @synchronized("enter")
    class Room:
        def enter(self):
            both.wait(WAIT_S_MAX)

    in_threads(2, lambda _: Room().enter())


def test_one_method_and_inherited_ones_share_the_lock_of_the_object():
    class Base(Meeting):
        @synchronized
        def first(self):
            self.visit()

    class Derived(Base):
        @synchronized
        def second(self):
            self.visit()

        def first(self):
            super().first()

    derived = Derived()
    in_threads(4, lambda index: [(derived.first, derived.second)[index % 2]() for _ in range(20)])
    assert derived.visits == 80


def test_a_derived_class_may_name_its_own_methods_and_inherited_ones():
    @synchronized("look", "extra")
    class Bigger(Shop):
        def extra(self):
            self.visit()

    bigger = Bigger()
    in_threads(4, lambda index: [(bigger.extra, bigger.add)[index % 2]() for _ in range(20)])
    assert bigger.look() == 80
    assert Shop.look is not Bigger.look


def test_a_function_has_a_lock_of_its_own():
    meeting = Meeting()

    @synchronized
    def visit(n=1, *, say=None):
        """Visits."""
        for _ in range(n):
            meeting.visit()
        return say

    assert in_threads(4, lambda index: visit(10, say=index)) == [0, 1, 2, 3]
    assert (visit.__name__, visit.__doc__, meeting.visits) == ("visit", "Visits.", 40)

    class Static:
        @staticmethod
        @synchronized
        def visit():
            meeting.visit()

        @classmethod
        @synchronized
        def visit_too(cls):
            meeting.visit()

    in_threads(2, lambda _: [Static.visit() for _ in range(5)])
    in_threads(2, lambda _: [Static.visit_too() for _ in range(5)])
    assert meeting.visits == 60


def test_double_locking_is_refused():
    with pytest.raises(TypeError, match="double locking: add is named twice"):
        synchronized("add", "remove", "add")
    with pytest.raises(TypeError, match="double locking: class .*Shop is synchronised already"):
        synchronized("look")(Shop)
    with pytest.raises(TypeError, match="double locking: .*add is synchronised already"):

        @synchronized("add")
        class Derived(Shop):
            pass

    with pytest.raises(TypeError, match="double locking: .*visit is synchronised already"):

        @synchronized("visit")
        class Both:
            @synchronized
            def visit(self):
                pass

    with pytest.raises(TypeError, match="double locking"):
        synchronized(synchronized(lambda self: None))


async def coroutine_function(self):
    pass


async def asynchronous_generator(self):
    yield


def generator(self):
    yield


@pytest.mark.parametrize("function", [coroutine_function, asynchronous_generator, generator])
def test_what_can_be_suspended_is_refused(function):
    with pytest.raises(TypeError, match=r"a coroutine function|generator: it would hold the lock"):
        synchronized(function)
    with pytest.raises(TypeError, match="while it is suspended"):
        synchronized("method")(type("Class", (), {"method": function}))


def test_what_is_no_method_is_refused_and_nothing_has_changed():
    class Plain:
        number = 5

        def method(self):
            pass

        @staticmethod
        def static():
            pass

        @property
        def prop(self):
            pass

    method = Plain.method
    for name in ("number", "static", "prop"):
        with pytest.raises(TypeError, match=f"{name} is no method"):
            synchronized("method", name)(Plain)
    with pytest.raises(AttributeError, match="absent"):
        synchronized("method", "absent")(Plain)
    assert Plain.method is method
    synchronized("method")(Plain)
    for attempt in (
        lambda: synchronized(),
        lambda: synchronized(Plain),
        lambda: synchronized("method", 5),
        lambda: synchronized("method")(5),
        lambda: synchronized(5),
        lambda: synchronized(print),
    ):
        with pytest.raises(TypeError):
            attempt()


def test_slots_need_one_for_the_lock():
    @synchronized("visit")
    class Without:
        __slots__ = ("visits",)

        def visit(self):
            self.visits = 1

    with pytest.raises(TypeError, match="add '_synchronized_lock' to its __slots__"):
        Without().visit()

    @synchronized("visit")
    class With:
        __slots__ = ("_synchronized_lock", "visits")

        def visit(self):
            self.visits = 1

    with_slot = With()
    with_slot.visit()
    assert with_slot.visits == 1


def test_frozen_classes_and_those_with_a_getattr_work_too():
    @synchronized("get")
    @dataclasses.dataclass(frozen=True)
    class Frozen:
        value: int

        def get(self):
            return self.value

    @synchronized("get")
    class Proxy:
        def __getattr__(self, name):
            return name

        def get(self):
            return self.anything

    assert (Frozen(5).get(), Proxy().get(), repr(Frozen(5)), Frozen(5) == Frozen(5)) == (
        *(5, "anything"),
        *(repr(Frozen(5)), True),
    )


def test_deep_copies_and_pickles_have_locks_of_their_own():
    shop = Shop()
    shop.add()
    for other in (copy.deepcopy(shop), pickle.loads(pickle.dumps(shop))):
        other.add()
        assert (other.visits, shop.visits) == (2, 1)
        assert other._synchronized_lock is not shop._synchronized_lock


def test_an_exception_lets_the_next_one_in():
    @synchronized
    def fail():
        raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            in_threads(1, lambda _: fail())


def test_threads_that_come_first_together_get_one_lock():
    for _ in range(200):
        shop = Shop()
        in_threads(3, lambda _, shop=shop: shop.add(0))
    locks = []
    for _ in range(100):
        shop = Shop()

        def first(_, shop=shop):
            shop.add(0)
            return id(shop._synchronized_lock)

        locks.append(len(set(in_threads(3, first))))
    assert set(locks) == {1}
