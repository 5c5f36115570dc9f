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
    "tideloop-py": {"tideloop-core", "tideloop-sys", "pyo3", "parking_lot", "socket2", "rustix", "memchr"},
}
# What core is given by its callers and never takes itself: time, files, sockets, processes, threads.
NOT_IN_CORE = re.compile(r"\b(Instant::now|SystemTime|std::(fs|net|os|process|env)\b|thread::(spawn|sleep)|pyo3)")
UNSAFE_PLACES = re.compile(
    r"^crates/(tideloop-sys/(src|tests)/.*|tideloop-py/src/cell\.rs|tideloop-py/src/slots(\.rs|/.*))$"
)
# Modules of the package that are programs: they may use extras, and nothing else may use them.
PROGRAMS = {"__main__", "cli", "doctor", "_demo", "_program"}
EXTRAS = {"rich", "matplotlib", "aiohttp", "uvloop", "rloop"}


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


def test_core_forbids_unsafe_code():
    assert "#![forbid(unsafe_code)]" in (tree.ROOT / "crates/tideloop-core/src/lib.rs").read_text()


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
    return {path.stem: path for path in tree.files("python *.py")}


def imports(path, top_level_only):
    """Names of the modules that a file imports, with the package's own as 'tideloop.x'."""
    module = ast.parse(path.read_text())
    for node in ast.walk(module):
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            node.body = []  # never run
    nodes = module.body if top_level_only else ast.walk(module)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level == 0:
                yield node.module
            elif node.module:
                yield f"tideloop.{node.module}"
            else:
                yield from (f"tideloop.{alias.name}" for alias in node.names)


def test_the_loop_needs_nothing_but_the_standard_library():
    foreign = [
        f"{tree.name(path)}: {name}"
        for module, path in package().items()
        for name in imports(path, top_level_only=False)
        if name.partition(".")[0] not in sys.stdlib_module_names | {"tideloop"}
        and not (module in PROGRAMS and name.partition(".")[0] in EXTRAS)
    ]
    assert foreign == []


def test_nothing_uses_the_programs_but_the_programs():
    found = [
        f"{tree.name(path)}: {name}"
        for module, path in package().items()
        if module not in PROGRAMS
        for name in imports(path, top_level_only=False)
        if name.startswith("tideloop.") and name.split(".")[1] in PROGRAMS
    ]
    assert found == []


def test_the_modules_of_the_package_import_each_other_without_a_circle():
    graph = {
        module: {name.split(".")[1] for name in imports(path, top_level_only=True) if name.startswith("tideloop.")}
        for module, path in package().items()
        if module != "__init__"
    }
    while graph:
        leaves = {module for module, needs in graph.items() if not needs & set(graph)}
        assert leaves, f"a circle among {sorted(graph)}"
        graph = {module: needs for module, needs in graph.items() if module not in leaves}
