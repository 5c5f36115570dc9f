"""Runs another program inside this process as `python` would: its argv, sys.path[0], `__main__` and tracebacks.

The program's module takes the place of `__main__` and keeps it, also after the last line has run: threads that outlive
it, exit handlers, pickling and multiprocessing's "spawn" look there. What it raises goes on to the interpreter, which
alone knows how to end: SystemExit with its status, KeyboardInterrupt by the signal, all else with a traceback, from
which an excepthook takes the frames that are ours.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import linecache
import os
import pkgutil
import sys
from importlib.machinery import BuiltinImporter, ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType, TracebackType
from typing import Any

__all__ = ["CannotRun", "run_code", "run_module", "run_path"]

#: What `python` itself exits with when it cannot open a file, and when it finds no module.
STATUS_NO_FILE = 2
STATUS_NO_MODULE = 1


class CannotRun(Exception):
    """There is no such program. `status` is what `python` would exit with."""

    def __init__(self, reason: str, status: int) -> None:
        super().__init__(reason)
        self.status = status


def run_path(path: str, arguments: list[str]) -> None:
    """Run a file, a folder or zip archive that holds a `__main__` module, or with "-" what standard input says.

    Raises CannotRun if it is not there, and whatever the program raises. Counterpart: `python PATH ARGUMENTS`.
    """
    sys.argv[:] = [path, *arguments]
    full = os.path.join(os.getcwd(), path)
    if path == "-":
        _set_first_path("")
        _execute(_compile(sys.stdin.buffer.read(), "<stdin>"), None, "<stdin>", BuiltinImporter)
    elif pkgutil.get_importer(full) is not None:
        _set_first_path(full)
        spec = PathFinder.find_spec("__main__", [full])
        if spec is None:
            raise CannotRun(f"no __main__ module in {path!r}", STATUS_NO_MODULE)
        _execute(_code_of(spec), spec)
    else:
        try:
            with io.open_code(full) as file:
                source = file.read()
        except OSError as error:
            reason = f"can't open file {full!r}: [Errno {error.errno}] {error.strerror}"
            raise CannotRun(reason, STATUS_NO_FILE) from None
        _set_first_path(os.path.dirname(os.path.realpath(path)))
        _execute(_compile(source, full), None, full, SourceFileLoader("__main__", full))


def run_module(name: str, arguments: list[str]) -> None:
    """Run a module by its dotted name; of a package, its `__main__` module.

    Raises CannotRun if it is not there, and whatever the program raises. Counterpart: `python -m NAME ARGUMENTS`.
    """
    sys.argv[:] = ["-m", *arguments]  # what the packages above it see while they are imported
    _set_first_path(os.getcwd())
    spec = _find_module(name)
    code = _code_of(spec)
    sys.argv[0] = spec.origin or name
    _execute(code, spec)


def run_code(source: str, arguments: list[str]) -> None:
    """Run a string. Raises whatever it raises. Counterpart: `python -c SOURCE ARGUMENTS`."""
    sys.argv[:] = ["-c", *arguments]
    _set_first_path("")
    if sys.version_info >= (3, 13):  # from there on its lines are shown in tracebacks
        linecache.cache["<string>"] = (len(source), None, source.splitlines(keepends=True), "<string>")
    _execute(_compile(source, "<string>"), None, None, BuiltinImporter)


def _set_first_path(entry: str) -> None:
    if not sys.flags.safe_path:  # else there is no such entry, and sys.path[0] is the standard library
        sys.path[0] = entry


def _find_module(name: str) -> ModuleSpec:
    """Return the spec of what `-m NAME` runs; the packages above it are imported on the way."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        reason = f"no module named {name!r} can be looked for: {type(error).__name__}: {error}"
        raise CannotRun(reason, STATUS_NO_MODULE) from error
    if spec is None:
        raise CannotRun(f"no module named {name!r}", STATUS_NO_MODULE)
    if spec.submodule_search_locations is None:
        return spec
    inner = None if name.endswith("__main__") else importlib.util.find_spec(name + ".__main__")
    if inner is None:
        raise CannotRun(f"{name!r} is a package without a __main__ module", STATUS_NO_MODULE)
    return inner


def _code_of(spec: ModuleSpec) -> CodeType:
    get_code = getattr(spec.loader, "get_code", None)
    code = get_code(spec.name) if get_code is not None else None
    if not isinstance(code, CodeType):
        raise CannotRun(f"module {spec.name!r} is not written in Python", STATUS_NO_MODULE)
    return code


def _compile(source: str | bytes, filename: str) -> CodeType:
    try:
        return compile(source, filename, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        _show_without_our_frames(error, None)
        raise


def _execute(code: CodeType, spec: ModuleSpec | None, file: str | None = None, loader: Any = None) -> None:
    """Run the code as `__main__`, whose attributes are those that `python` gives it."""
    module = ModuleType("__main__")
    names: dict[str, Any] = {"__builtins__": sys.modules["builtins"], "__loader__": loader}
    if spec is not None:
        names |= {"__spec__": spec, "__loader__": spec.loader, "__package__": spec.parent}
        names |= {"__file__": spec.origin, "__cached__": spec.cached}
    elif file is not None:
        names |= {"__file__": file, "__cached__": None}
    if "__annotations__" in vars(sys.modules["__main__"]):  # up to 3.13 they are there before the first line
        names["__annotations__"] = {}
    vars(module).update(names)
    sys.modules["__main__"] = module
    try:
        exec(code, vars(module))
    except SystemExit:
        raise
    except BaseException as error:
        ours = error.__traceback__
        _show_without_our_frames(error, ours and ours.tb_next)
        raise


def _show_without_our_frames(error: BaseException, traceback: TracebackType | None) -> None:
    """Make the interpreter show this exception, on its way out, with that traceback.

    The exception passes through our callers on its way, each of which adds itself to its traceback again.
    """
    hook = sys.excepthook

    def excepthook(kind: type[BaseException], value: BaseException, shown: TracebackType | None) -> None:
        sys.excepthook = hook
        if value is error:
            shown = traceback
            value.__traceback__ = traceback
        hook(kind, value, shown)

    sys.excepthook = excepthook
