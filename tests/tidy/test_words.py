"""What has no business in the tree: the paths and addresses of one machine, and work left open without a reason."""

import re

from tidy import tree

TEXTS = (
    *(". *.rs", ". *.py", ". *.pyi", ". *.md", ". *.toml", ". *.txt", ". *.lock", ". *.yml", ". *.yaml", ". *.sh"),
    *(". Makefile", ". run", ". .gitignore"),
)
# Written in pieces, so that this file does not hold them itself.
MACHINE_PATHS = re.compile("|".join(["/wor" + "k/", "/roo" + "t/", "/tmp/(tar" + "get|plan|venv)"]))
OPEN_WORK = re.compile("|".join(["TO" + "DO", "FIX" + "ME", "X" + "XX\\b", "todo" + "!\\(", "unimplemented" + "!\\("]))
INDEX_SETTINGS = re.compile(r"--(extra-)?index-url|--find-links|replace-with|registry *= *\"")
KNOWN_KINDS = {"white-box", "channel", "limit"}
LOCK_SOURCE = "registry+https://github.com/rust-lang/crates.io-index"


def lines_with(pattern, *kinds):
    return [
        f"{tree.name(path)}:{number}: {line.strip()[:100]}"
        for path in tree.files(*kinds)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if pattern.search(line)
    ]


def test_no_path_of_one_machine_is_in_the_tree():
    assert lines_with(MACHINE_PATHS, *TEXTS) == []


def test_no_work_is_left_open_in_a_comment():
    assert lines_with(OPEN_WORK, ". *.rs", ". *.py", ". *.pyi") == []


def test_packages_come_from_wherever_the_user_says():
    assert lines_with(INDEX_SETTINGS, ". *.toml", ". *.txt", ". Makefile") == []
    lock = (tree.ROOT / "Cargo.lock").read_text()
    assert set(re.findall(r'^source = "([^"]*)"', lock, re.MULTILINE)) == {LOCK_SOURCE}


def test_every_requirement_is_pinned_exactly():
    loose = [
        f"{tree.name(path)}: {line}"
        for path in tree.files("tests requirements-*.txt")
        for line in path.read_text().splitlines()
        if line.strip() and not line.startswith("#") and not re.fullmatch(r"-r \S+|[\w-]+==[\w.]+", line)
    ]
    assert loose == []


def test_every_known_failure_of_a_foreign_suite_has_its_reason():
    listed = tree.toml("tests/conformance/known_failures.toml")["failure"]
    assert [entry for entry in listed if not entry["reason"] or entry["kind"] not in KNOWN_KINDS] == []
    assert [entry for entry in listed if entry["kind"] != "channel" and not entry.get("line")] == []
    tests = [test for entry in listed for test in entry["tests"]]
    assert sorted(tests) == sorted(set(tests))
