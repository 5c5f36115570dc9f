"""What the package offers by name: complete, documented and typed."""

import ast
import asyncio
import importlib
import inspect

import pytest

from tidy import tree

tideloop = pytest.importorskip("tideloop", reason="tideloop cannot be imported", exc_type=ImportError)


def public(module):
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not inspect.ismodule(value) and name != "annotations"
    }


def test_all_lists_every_public_name_and_no_other():
    assert public(tideloop) - set(tideloop.__all__) == set()
    assert [name for name in tideloop.__all__ if not hasattr(tideloop, name)] == []


def test_all_is_sorted():
    assert list(tideloop.__all__) == sorted(tideloop.__all__)


def test_every_public_name_of_ours_has_a_docstring():
    values = {name: getattr(tideloop, name) for name in tideloop.__all__}
    bare = [
        name
        for name, value in values.items()
        if callable(value) and getattr(asyncio, name, None) is not value and not (value.__doc__ or "").strip()
    ]
    assert bare == []


def own_methods(cls):
    """Public methods that are ours: not inherited from the standard library."""
    for base in cls.__mro__:
        if base.__module__.partition(".")[0] != "tideloop":
            continue
        for name, value in vars(base).items():
            if not name.startswith("_") and (callable(value) or isinstance(value, property | classmethod)):
                yield name, value


def test_every_public_method_has_a_docstring():
    bare = sorted(
        {
            f"{name}.{method}"
            for name in tideloop.__all__
            if inspect.isclass(cls := getattr(tideloop, name))
            for method, value in own_methods(cls)
            if not (value.__doc__ or "").strip()
        }
    )
    assert bare == []


def test_the_package_says_that_it_is_typed():
    assert (tree.ROOT / "python/tideloop/py.typed").exists()
    assert (tree.ROOT / "python/tideloop/_native.pyi").exists()


def test_the_stubs_document_nothing_that_the_module_lacks():
    native = importlib.import_module("tideloop._native")
    stubs = ast.parse((tree.ROOT / "python/tideloop/_native.pyi").read_text())
    classes = {node.name for node in stubs.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")}
    assert {name for name in classes if not hasattr(native, name)} == set()
