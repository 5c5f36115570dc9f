"""Calls go down, data goes up: who may depend on whom, and where unsafe code may stand."""

import ast
import re
import sys

import pytest

from tidy import tree

# Crates and what each may depend on, beside the standard library. The names of the layers are the point:
# whatever is not here, such as a second way to do system calls, needs a decision.
MAY_DEPEND_ON = {
    "tideloop-core": {"crossbeam-queue", "crossbeam-utils", "memchr", "loom"},
    "tideloop-sys": {"rustix", "socket2", "libc"},
    "tideloop-load": {"rustix"},
    "tideloop-py": {
        "tideloop-core",
        "tideloop-load",
        "tideloop-sys",
        "pyo3",
        "parking_lot",
        "socket2",
        "rustix",
        "memchr",
    },
}
# What core is given by its callers and never takes itself: time, files, sockets, processes, threads.
NOT_IN_CORE = re.compile(r"\b(Instant::now|SystemTime|std::(fs|net|os|process|env)\b|thread::(spawn|sleep)|pyo3)")
UNSAFE_PLACES = re.compile(
    r"^crates/(tideloop-sys/(src|tests)/.*|tideloop-py/src/cell\.rs|tideloop-py/src/slots(\.rs|/.*))$"
)
# Modules of the package that are programs: they may use extras, and nothing else may use them.
PROGRAMS = {"__main__", "cli", "doctor", "_bench", "_demo", "_program"}
# What a module may import because it runs only where that has been imported: in a task of trio there is trio.
GUESTS = {"_doors": {"trio"}}
EXTRAS = set("rich matplotlib uvloop rloop aiohttp asyncpg httpx redis uvicorn websockets".split())


def code(path):
    """A Rust file without comments, strings and its unit tests, line numbers kept."""
    text = path.read_text()
    blank = re.compile(r'//[^\n]*|/\*.*?\*/|b?r#*".*?"#*|b?"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])\'', re.DOTALL)
    text = blank.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
    return text.partition("#[cfg(test)]\nmod ")[0]


@pytest.mark.parametrize("crate", MAY_DEPEND_ON)
def test_a_crate_depends_only_on_what_its_layer_may(crate):
    manifest = tree.toml(f"crates/{crate}/Cargo.toml")
    tables = [manifest, *manifest.get("target", {}).values()]
    depends = {name for table in tables for name in table.get("dependencies", {})}
    assert depends - MAY_DEPEND_ON[crate] == set()


def test_the_workspace_has_no_crate_without_a_layer():
    members = {member.rpartition("/")[2] for member in tree.toml("Cargo.toml")["workspace"]["members"]}
    assert members == set(MAY_DEPEND_ON)


@pytest.mark.parametrize("crate", ["tideloop-core", "tideloop-load"])
def test_a_crate_without_a_reason_for_unsafe_code_forbids_it(crate):
    assert "#![forbid(unsafe_code)]" in (tree.ROOT / f"crates/{crate}/src/lib.rs").read_text()


def test_core_takes_no_time_and_calls_no_system():
    found = [
        f"{tree.name(path)}: {match[0]}"
        for path in tree.files("crates *.rs")
        if tree.name(path).startswith("crates/tideloop-core/src/")
        for match in NOT_IN_CORE.finditer(code(path))
    ]
    assert found == []


def test_unsafe_code_stands_only_in_its_places():
    found = [
        f"{tree.name(path)}:{number}"
        for path in tree.files("crates *.rs")
        if not UNSAFE_PLACES.match(tree.name(path))
        for number, line in enumerate(code(path).splitlines(), 1)
        if re.search(r"\bunsafe\b", line)
    ]
    assert found == []


def test_each_unsafe_block_and_impl_says_why_it_is_sound():
    bare = []
    for path in tree.files("crates *.rs"):
        lines = path.read_text().splitlines()
        for number, line in enumerate(code(path).splitlines()):
            if re.search(r"\bunsafe (\{|impl\b)", line) and not explained(lines, number):
                bare.append(f"{tree.name(path)}:{number + 1}")
    assert bare == []


def explained(lines, number):
    """Is there a SAFETY comment on this line, or in the comment that ends just above its statement?"""
    if "SAFETY:" in lines[number]:
        return True
    for above in reversed(lines[max(0, number - 14) : number]):
        stripped = above.strip()
        if "SAFETY:" in stripped:
            return True
        # A statement or a block that ended: what is above it belongs to something else.
        if stripped.endswith((";", "}")) and not stripped.startswith("//"):
            return False
    return False


def package():
    """The modules of the package by their names below 'tideloop': 'cli', '_demo.plot'; '' is the package itself."""
    found = {}
    for path in tree.files("python *.py"):
        parts = path.relative_to(tree.ROOT / "python" / "tideloop").with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def is_program(module):
    return module.partition(".")[0] in PROGRAMS


def imports(path, top_level_only):
    """Full names of the modules that a file imports."""
    module = ast.parse(path.read_text())
    for node in ast.walk(module):
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            node.body = []  # never run
    folder = path.relative_to(tree.ROOT / "python").parent.parts
    for node in module.body if top_level_only else ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = ".".join(folder[: len(folder) - node.level + 1]) if node.level else ""
            name = ".".join(filter(None, (package, node.module)))
            # `from . import x` may mean a module x; a name that is none does no harm in what asks.
            yield name
            yield from (f"{name}.{alias.name}" for alias in node.names)


def own(name):
    """The module's name below 'tideloop', None for others."""
    return name.removeprefix("tideloop.") if name.startswith("tideloop.") else None


def test_the_loop_needs_nothing_but_the_standard_library():
    foreign = [
        f"{tree.name(path)}: {name}"
        for module, path in package().items()
        for name in imports(path, top_level_only=False)
        if name.partition(".")[0] not in sys.stdlib_module_names | {"tideloop"}
        and not (is_program(module) and name.partition(".")[0] in EXTRAS)
        and name.partition(".")[0] not in GUESTS.get(module, ())
    ]
    assert foreign == []


def test_nothing_uses_the_programs_but_the_programs():
    found = [
        f"{tree.name(path)}: {name}"
        for module, path in package().items()
        if not is_program(module)
        for name in imports(path, top_level_only=False)
        if is_program(own(name) or "")
    ]
    assert found == []


def test_the_modules_of_the_package_import_each_other_without_a_circle():
    graph = {
        module: {own(name) for name in imports(path, top_level_only=True)} - {None, module}
        for module, path in package().items()
        if module
    }
    while graph:
        leaves = {module for module, needs in graph.items() if not needs & set(graph)}
        assert leaves, f"a circle among {sorted(graph)}"
        graph = {module: needs for module, needs in graph.items() if module not in leaves}
