"""Growth that a commit records must have its reason in the commit's message, in one step or in many."""

import os
import shutil
import subprocess

import pytest

from instructions import baseline, history
from instructions.baseline import Entry

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed here")

HERE, THERE = "this machine", "another machine"


class Repository:
    """A repository with a file of counts; each commit records some."""

    def __init__(self, root):
        self.root, self.file = root, root / "tests" / "baseline.json"
        self.file.parent.mkdir()
        self.git("init", "--quiet")

    def git(self, *arguments):
        nobody = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
        who = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *who, *arguments], cwd=self.root, check=True, env={**os.environ, **nobody})

    def record(self, message, *, where=HERE, **rows):
        counts = baseline.read(self.file)
        counts[where] = Entry(commit=message, uncommitted=False, rows=rows)
        baseline.write(counts, self.file)
        self.git("add", ".")
        self.git("commit", "--quiet", "--message", message)

    def verdict(self):
        return history.judge(history.recordings(self.file, self.root))

    def unexplained(self):
        return [(growth.row, growth.before, growth.now) for growth in self.verdict().unexplained.values()]


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path)


def test_growth_within_the_limit_needs_no_reason(repository):
    repository.record("first", sleep=1000.0)
    repository.record("second", sleep=1029.0)
    assert repository.unexplained() == []


def test_growth_over_the_limit_without_a_reason_is_found(repository):
    repository.record("first", sleep=1000.0, lock=500.0)
    repository.record("second", sleep=1031.0, lock=500.0)
    assert repository.unexplained() == [("sleep", 1000.0, 1031.0)]


@pytest.mark.parametrize("line", ["Instructions: sleep: it checks more", "Instructions: *: it is another compiler"])
def test_growth_with_its_reason_is_taken(repository, line):
    repository.record("first", sleep=1000.0)
    repository.record(f"second\n\nA paragraph.\n{line}\nAnother line.", sleep=1500.0)
    assert repository.unexplained() == []
    assert repository.verdict().rows(HERE) == {"sleep": 1500.0}


@pytest.mark.parametrize(
    "line",
    [
        "Instructions: lock: it checks more",
        "Instructions: sleep:",
        "Instructions: sleep: …",
        "Instructions: sleep: - . … !",
        "Instructions: sleep: slower",
        "Instructions: sleep: see above",
        "sleep: it checks more",
    ],
)
def test_what_is_no_reason_for_this_row_is_not_taken(repository, line):
    repository.record("first", sleep=1000.0)
    repository.record(f"second\n\n{line}", sleep=1500.0)
    assert repository.unexplained() == [("sleep", 1000.0, 1500.0)]


def test_many_steps_within_the_limit_do_not_add_up_unseen(repository):
    for step in range(5):
        repository.record(f"step {step}", sleep=1000.0 * 1.029**step)
    assert [(row, before) for row, before, _ in repository.unexplained()] == [("sleep", 1000.0)]
    assert repository.verdict().rows(HERE) == {"sleep": 1000.0}


def test_what_was_gained_counts_from_then_on(repository):
    repository.record("first", sleep=1000.0)
    repository.record("second", sleep=900.0)
    repository.record("third", sleep=950.0)
    assert repository.unexplained() == [("sleep", 900.0, 950.0)]


def test_after_growth_with_a_reason_steps_are_counted_anew(repository):
    repository.record("first", sleep=1000.0)
    repository.record("second\n\nInstructions: sleep: it checks more", sleep=1200.0)
    repository.record("third", sleep=1230.0)
    assert repository.unexplained() == []
    repository.record("fourth", sleep=1240.0)
    assert repository.unexplained() == [("sleep", 1200.0, 1240.0)]


def test_a_reason_can_be_given_by_a_later_commit(repository):
    repository.record("first", sleep=1000.0)
    repository.record("second", sleep=1500.0)
    repository.record("third\n\nInstructions: sleep: as said above", sleep=1500.0)
    assert repository.unexplained() == []
    assert repository.verdict().rows(HERE) == {"sleep": 1500.0}


def test_a_row_that_went_and_came_back_is_compared_with_what_it_was(repository):
    repository.record("first", sleep=1000.0)
    repository.record("second", lock=500.0)
    repository.record("third", sleep=1500.0, lock=500.0)
    assert repository.unexplained() == [("sleep", 1000.0, 1500.0)]


def test_a_row_that_is_gone_needs_a_reason(repository):
    repository.record("first", sleep=1000.0, lock=500.0)
    repository.record("second", sleeping=1500.0, lock=500.0)
    assert repository.unexplained() == [("sleep", 1000.0, None)]
    repository.record("third", sleeping=1500.0, lock=501.0)
    assert repository.unexplained() == [("sleep", 1000.0, None)]
    repository.record("fourth\n\nInstructions: sleep: it is called sleeping", sleeping=1500.0, lock=500.0)
    assert repository.unexplained() == []
    assert repository.verdict().rows(HERE) == {"sleeping": 1500.0, "lock": 500.0}


def test_a_row_that_is_gone_with_a_reason_is_gone_in_every_environment(repository):
    repository.record("first", sleep=1000.0, lock=500.0)
    repository.record("second", where=THERE, sleep=2000.0, lock=600.0)
    repository.record("third\n\nInstructions: sleep: nobody uses it", lock=500.0)
    assert repository.unexplained() == []
    assert repository.verdict().rows(THERE) == {"lock": 600.0}
    assert repository.verdict().known() == {"lock"}


def test_a_shallow_clone_knows_where_it_begins(repository, tmp_path_factory):
    for step in range(3):
        repository.record(f"step {step}", sleep=1000.0 + 100 * step)
    assert history.beginnings(repository.root) == set()
    assert not any(recording.cut for recording in history.recordings(repository.file, repository.root))
    place = tmp_path_factory.mktemp("shallow") / "clone"
    repository.git("clone", "--quiet", "--depth", "2", repository.root.as_uri(), str(place))
    found = history.recordings(place / "tests" / "baseline.json", place)
    assert [(recording.message.strip(), recording.cut) for recording in found] == [("step 1", True), ("step 2", False)]
    assert [growth.row for growth in history.judge(found).unexplained.values()] == ["sleep"]


def test_this_repositorys_own_history_is_in_order():
    if history.head() is None:
        pytest.skip("there is no git history")
    assert history.judge(history.recordings()).unexplained == {}


def test_environments_are_not_compared_with_each_other(repository):
    repository.record("first", sleep=1000.0)
    repository.record("second", where=THERE, sleep=2000.0)
    assert repository.unexplained() == []
    assert repository.verdict().rows(THERE) == {"sleep": 2000.0}
    assert repository.verdict().rows("nowhere") == {}


def test_growth_that_another_environment_explained_leaves_nothing_to_compare_with(repository):
    repository.record("first", sleep=1000.0, lock=500.0)
    repository.record("second", where=THERE, sleep=2000.0)
    repository.record("third\n\nInstructions: sleep: it checks more", where=THERE, sleep=4000.0)
    assert repository.verdict().rows(HERE) == {}
    repository.record("fourth", sleep=2000.0, lock=500.0)
    assert repository.unexplained() == []
    assert repository.verdict().rows(HERE) == {"sleep": 2000.0, "lock": 500.0}


def test_a_commit_that_takes_the_file_away_is_no_recording(repository):
    repository.record("first", sleep=1000.0)
    repository.git("rm", "--quiet", str(repository.file))
    repository.git("commit", "--quiet", "--message", "away")
    assert repository.verdict().rows(HERE) == {"sleep": 1000.0}


def test_where_there_is_no_repository_there_is_no_head(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert history.head(tmp_path) is None


def test_changed_sources_are_told_from_others(repository):
    repository.record("first", sleep=1000.0)
    head = history.head(repository.root)
    (repository.root / "notes").write_text("new")
    assert not history.changed_since(head, ["tests"], repository.root)
    (repository.root / "tests" / "new.py").write_text("new")
    assert history.changed_since(head, ["tests"], repository.root)
