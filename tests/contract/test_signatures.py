"""Every function, class and method under Tideloop's names can be called as asyncio's of the running version.

The signatures of native functions count: inspect.signature() reads them from their text signatures. Ours may take more
than asyncio's, as long as a call that asyncio accepts means the same.
"""

import asyncio
import functools
import importlib
import inspect
import types

import pytest

tideloop = pytest.importorskip("tideloop", reason="tideloop cannot be imported", exc_type=ImportError)

MODULES = sorted(
    name
    for name, value in vars(asyncio).items()
    if isinstance(value, types.ModuleType) and "asyncio." in value.__name__
)

#: Differences that are meant, each with its reason.
KNOWN: dict[str, str] = {}


def public(namespace):
    return sorted(name for name in dir(namespace) if not name.startswith("_"))


def callables():
    """Each public callable that is not the same object in both: its name, asyncio's and ours."""
    seen = set()
    for module in (None, *MODULES):
        theirs = importlib.import_module(f"asyncio.{module}" if module else "asyncio")
        ours = importlib.import_module(f"tideloop.{module}" if module else "tideloop")
        for name in public(theirs):
            pair = getattr(theirs, name), getattr(ours, name)
            # A loop is made in its own way.
            if pair[0] is pair[1] or not callable(pair[0]) or pair in seen or name == "EventLoop":
                continue
            seen.add(pair)
            yield f"{module or 'asyncio'}.{name}", *pair


PAIRS = {name: pair for name, *pair in callables()}


def parameters(function, is_method):
    """What a call may pass; None where Python cannot tell."""
    try:
        found = list(inspect.signature(function).parameters.values())
    except (ValueError, TypeError):
        return None
    # Those that can only be passed by position may have any name.
    found = [p.replace(name=f"position_{n}") if p.kind == p.POSITIONAL_ONLY else p for n, p in enumerate(found)]
    return found[1:] if is_method else found


def same_default(one, other):
    # A private sentinel is as good as another.
    return one is other or one == other or (type(one) is object and type(other) is object)


def differences(theirs, ours, is_method=False):
    """In which ways a call that asyncio takes would be taken otherwise by ours."""
    expected, found = parameters(theirs, is_method), parameters(ours, is_method)
    if expected is None:
        return
    if found is None:
        yield "no signature"
        return
    kinds = [parameter.kind.name for parameter in found]
    if kinds == ["VAR_POSITIONAL", "VAR_KEYWORD"] and len(expected) != 2:
        yield "takes anything"
        return
    by_name = {parameter.name: (place, parameter) for place, parameter in enumerate(found)}
    for place, parameter in enumerate(expected):
        our_place, our = by_name.pop(parameter.name, (None, None))
        by_position = parameter.kind <= parameter.POSITIONAL_OR_KEYWORD
        if our is None:
            yield f"no parameter {parameter}"
        elif our.kind != parameter.kind or (by_position and place != our_place):
            yield f"{our} is {our.kind.description}, in asyncio {parameter.kind.description}"
        elif not same_default(parameter.default, our.default):
            yield f"{our}, in asyncio {parameter}"
    for _, more in by_name.values():
        if more.default is more.empty and more.kind not in (more.VAR_POSITIONAL, more.VAR_KEYWORD):
            yield f"{more} must be given"


def test_there_are_native_names_to_compare():
    assert len(PAIRS) > 5


@pytest.mark.parametrize("name", PAIRS)
def test_a_call_that_asyncio_takes_is_taken(name):
    theirs, ours = PAIRS[name]
    assert inspect.isclass(theirs) == inspect.isclass(ours)
    found = [(name + method, text) for method, text in walk(theirs, ours)]
    assert [(place, text) for place, text in found if place not in KNOWN] == []


def walk(theirs, ours):
    """The differences of a function, or of a class and its methods."""
    yield from (("", text) for text in differences(theirs, ours))
    for method in public(theirs) if inspect.isclass(theirs) else ():
        expected, found = getattr(theirs, method), getattr(ours, method, None)
        if found is None and expected is not None:
            yield f".{method}", "is not there"
        elif callable(expected) and expected is not found:
            bound = isinstance(inspect.getattr_static(theirs, method), staticmethod | classmethod)
            yield from ((f".{method}", text) for text in differences(expected, found, not bound))


@pytest.mark.parametrize("name", [name for name, (theirs, _) in PAIRS.items() if inspect.isclass(theirs)])
def test_a_class_is_a_class_of_asyncios(name):
    """Programs test with isinstance; Future, Task and handles answer by their ``__class__``."""
    theirs, ours = PAIRS[name]
    if not issubclass(theirs, asyncio.Future | asyncio.Handle | asyncio.AbstractEventLoop):
        assert issubclass(ours, theirs)


@pytest.mark.parametrize("name", PAIRS)
def test_a_name_is_that_of_asyncio(name):
    theirs, ours = PAIRS[name]
    assert ours.__name__ == theirs.__name__
    assert ours.__qualname__.rpartition(".")[2] == theirs.__qualname__.rpartition(".")[2]


@pytest.mark.filterwarnings("ignore:.*iscoroutinefunction:DeprecationWarning")
@pytest.mark.parametrize("name", PAIRS)
def test_what_makes_coroutines_in_asyncio_does(name):
    theirs, ours = PAIRS[name]
    methods = public(theirs) if inspect.isclass(theirs) else ()
    for expected, found in [(theirs, ours), *((getattr(theirs, method), getattr(ours, method)) for method in methods)]:
        assert tideloop.iscoroutinefunction(found) >= asyncio.iscoroutinefunction(expected), found


@pytest.mark.filterwarnings("ignore:.*iscoroutinefunction:DeprecationWarning")
def test_methods_of_an_object_and_partial_functions_are_known_to_make_coroutines(run):
    async def main():
        lock, told = tideloop.Lock(), tideloop.iscoroutinefunction
        assert told(lock.acquire) and not told(lock.locked) and not told(lock.release)
        assert told(functools.partial(lock.acquire)) and told(functools.partial(tideloop.sleep, 0))
        assert told(tideloop.Queue().get) and told(tideloop.Queue.put) and not told(tideloop.Queue().get_nowait)
        assert not told(len) and not told(print) and not told([].append) and not told(5) and not told({})
        assert told(main) and told(tideloop.open_connection) and not told(tideloop.gather)

    run(main())


def test_a_derived_class_has_the_signature_of_its_own_constructor():
    class Mine(tideloop.Queue):
        def __init__(self, name, *, size=1):
            super().__init__(size)

    class Same(tideloop.Queue):
        pass

    assert str(inspect.signature(Mine)) == "(name, *, size=1)"
    assert inspect.signature(Same) == inspect.signature(tideloop.Queue) == inspect.signature(asyncio.Queue)
    assert str(inspect.signature(tideloop.Queue(1).get)) == "()"


@pytest.mark.parametrize("name", [name for name, (theirs, _) in PAIRS.items() if inspect.isclass(theirs)])
def test_a_constructor_takes_its_defaults_by_name_and_by_position(name, run):
    theirs, ours = PAIRS[name]
    given = inspect.signature(theirs).parameters.values()
    if any(parameter.default is parameter.empty for parameter in given):
        pytest.skip("it has parameters without a default")

    async def make():
        ours(**{p.name: p.default for p in given})
        ours(*(p.default for p in given if p.kind == p.POSITIONAL_OR_KEYWORD))

    run(make())
