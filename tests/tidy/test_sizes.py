"""A file holds one thing, a function fits a screen. Functions in Rust are clippy's (clippy.toml)."""

import ast

import pytest

from tidy import tree

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70

# Not the stubs of the extension: they have to be one file, as it is one module.
SOURCES = ("crates *.rs", "python *.py", "tests *.py", "tools *.py", "examples *.py", "benches *.py")


def exceptions(kind):
    return tree.toml("tests/tidy/exceptions.toml")[kind]


def judge(sizes, limit, allowed):
    """What is wrong with these sizes, given the list of exceptions."""
    wrong = []
    for what, lines in sizes.items():
        entry = allowed.get(what)
        if entry is None:
            if lines > limit:
                wrong.append(f"{what}: {lines} lines, the limit is {limit}")
        elif lines > entry["lines"]:
            wrong.append(f"{what}: {lines} lines, its exception allows {entry['lines']}: it may only shrink")
        elif lines <= limit:
            wrong.append(f"{what}: {lines} lines, within the limit: take its exception away")
        elif lines < entry["lines"]:
            wrong.append(f"{what}: {lines} lines: lower its exception from {entry['lines']}")
    wrong += [f"{what}: has an exception, but does not exist" for what in allowed if what not in sizes]
    wrong += [f"{what}: its exception gives no reason" for what, entry in allowed.items() if not entry.get("reason")]
    return wrong


def functions():
    found = {}
    for path in tree.files(*(pattern for pattern in SOURCES if pattern.endswith(".py"))):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                found[f"{tree.name(path)}:{node.name}"] = node.end_lineno - node.lineno + 1
    return found


def test_no_file_is_longer_than_the_limit():
    sizes = {tree.name(path): len(path.read_text().splitlines()) for path in tree.files(*SOURCES)}
    assert len(sizes) > 20
    assert judge(sizes, FILE_LINES_MAX, exceptions("files")) == []


def test_no_python_function_is_longer_than_a_screen():
    assert judge(functions(), FUNCTION_LINES_MAX, exceptions("functions")) == []


@pytest.mark.parametrize(
    ("lines", "allowed", "wrong"),
    [
        (10, None, 0),
        (11, None, 1),
        (11, 11, 0),
        (12, 11, 1),
        (11, 12, 1),
        (10, 11, 1),
    ],
)
def test_an_exception_may_only_shrink(lines, allowed, wrong):
    entries = {} if allowed is None else {"x": {"lines": allowed, "reason": "so"}}
    assert len(judge({"x": lines}, 10, entries)) == wrong


def test_every_source_says_first_what_it_is_for():
    silent = []
    for path in tree.files(*SOURCES):
        first = path.read_text().lstrip().splitlines()[:2]
        if first and first[0].startswith("#!"):
            first = first[1:]
        if first and not first[0].startswith(("//!", '"""', "# ")):
            silent.append(tree.name(path))
    assert silent == []
