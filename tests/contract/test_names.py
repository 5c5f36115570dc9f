"""`import tideloop as asyncio`: the names of asyncio and of its modules, all there, with the same signatures."""

import asyncio
import importlib
import inspect
import subprocess
import sys
import textwrap
import types

import pytest

tideloop = pytest.importorskip("tideloop", reason="tideloop cannot be imported", exc_type=ImportError)

#: The modules of asyncio that a program sees: those that importing it imports.
MODULES = sorted(
    name
    for name, value in vars(asyncio).items()
    if isinstance(value, types.ModuleType) and "asyncio." in value.__name__
)


def names(module):
    return sorted({name for name in dir(module) if not name.startswith("_")} | set(getattr(module, "__all__", ())))


def ours(module):
    return importlib.import_module(f"tideloop.{module}")


def theirs(module):
    return importlib.import_module(f"asyncio.{module}")


def fresh(source, *flags):
    """What a program prints, in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, *flags, "-c", textwrap.dedent(source)], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def test_the_package_has_every_name_of_asyncio():
    assert [name for name in names(asyncio) if not hasattr(tideloop, name)] == []
    assert set(asyncio.__all__) - set(tideloop.__all__) == set()
    assert set(names(asyncio)) - set(dir(tideloop)) == set()


@pytest.mark.parametrize("module", MODULES)
def test_a_module_has_every_name_of_its_counterpart(module):
    assert [name for name in names(theirs(module)) if not hasattr(ours(module), name)] == []
    assert set(getattr(theirs(module), "__all__", ())) - set(getattr(ours(module), "__all__", ())) == set()
    assert getattr(tideloop, module) is ours(module)


@pytest.mark.parametrize("module", MODULES)
def test_a_name_means_the_same_in_the_package_and_in_the_module(module):
    both = [name for name in getattr(theirs(module), "__all__", ()) if name in vars(asyncio)]
    if module == "unix_events":
        both.remove("EventLoop") if "EventLoop" in both else None  # ours is no loop of that module's
    assert [name for name in both if getattr(tideloop, name) is not getattr(ours(module), name)] == []


def test_modules_are_reached_by_every_form_of_import():
    fresh("import tideloop; tideloop.subprocess.PIPE; tideloop.sslproto.SSLProtocol; tideloop.log.logger")
    fresh("import tideloop.subprocess; tideloop.subprocess.PIPE; tideloop.run")
    fresh("from tideloop.subprocess import PIPE, Process; from tideloop.trsock import TransportSocket")
    fresh("from tideloop import subprocess, sslproto, sys; subprocess.PIPE; sslproto.SSLProtocol")
    fresh("import tideloop.constants as c, tideloop.mixins as m; c.SENDFILE_FALLBACK_READBUFFER_SIZE")
    fresh("from tideloop import *; run; Queue; timeout; _get_running_loop; CancelledError")


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="it is there from 3.14 on")
def test_a_module_that_this_python_lacks_is_not_found():
    with pytest.raises(ModuleNotFoundError, match=r"tideloop\.graph"):
        importlib.import_module("tideloop.graph")
    with pytest.raises(ImportError):
        exec("from tideloop import graph")
    with pytest.raises(AttributeError, match="module 'tideloop' has no attribute 'graph'"):
        tideloop.graph


def test_exceptions_are_the_very_same_objects():
    checked = 0
    for module, name in [(None, name) for name in names(asyncio)] + [(m, n) for m in MODULES for n in names(theirs(m))]:
        value = getattr(theirs(module) if module else asyncio, name)
        if inspect.isclass(value) and issubclass(value, BaseException):
            assert getattr(ours(module) if module else tideloop, name) is value, f"{module}.{name}"
            checked += 1
    assert checked > 15


def test_importing_it_warns_of_nothing():
    fresh("import tideloop; from tideloop import *; dir(tideloop)", "-W", "error")


class TestTheLoopToUse:
    """get_event_loop() as asyncio's, but the loop that it makes is ours."""

    @staticmethod
    def program(source):
        return fresh(
            "import warnings; warnings.simplefilter('ignore')\nimport tideloop as asyncio\n" + textwrap.dedent(source)
        ).split()

    def test_inside_a_coroutine_it_is_the_running_one(self):
        source = (
            "async def main():\n  print(asyncio.get_event_loop() is asyncio.get_running_loop())\nasyncio.run(main())"
        )
        assert self.program(source) == ["True"]

    @pytest.mark.skipif(sys.version_info >= (3, 14), reason="from 3.14 on none is made")
    def test_without_one_the_main_thread_gets_a_new_one_of_ours(self):
        source = """
            import asyncio as stock
            made = asyncio.get_event_loop()
            print(type(made) is asyncio.EventLoop, made is asyncio.get_event_loop(), made is stock.get_event_loop())
            made.close()
        """
        assert self.program(source) == ["True", "True", "True"]

    @pytest.mark.skipif(sys.version_info < (3, 14), reason="below 3.14 one is made")
    def test_without_one_there_is_none(self):
        source = "try: asyncio.get_event_loop()\nexcept RuntimeError as e: print(str(e).split()[:5])"
        assert "current" in " ".join(self.program(source))

    @pytest.mark.skipif(not (3, 12) <= sys.version_info < (3, 14), reason="a warning on 3.12 and 3.13 only")
    def test_making_one_is_deprecated_where_it_is_called(self):
        source = """
            import warnings, tideloop
            with warnings.catch_warnings(record=True) as seen:
                warnings.simplefilter("always")
                tideloop.get_event_loop().close()
            print(seen[0].category.__name__, seen[0].filename, seen[0].lineno)
        """
        assert fresh(source).split() == ["DeprecationWarning", "<string>", "5"]

    def test_set_to_none_is_an_error_as_in_asyncio(self):
        source = "asyncio.set_event_loop(None)\ntry: asyncio.get_event_loop()\nexcept RuntimeError: print('none')"
        assert self.program(source) == ["none"]
