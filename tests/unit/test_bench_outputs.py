"""The files of a run: found writable before it, and written one by one after it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

if not sys.platform.startswith("linux"):
    pytest.skip("the laboratory runs on Linux", allow_module_level=True)

from tideloop._bench.outputs import Unwritable, claimed, put


def test_what_is_in_a_file_stays_until_it_is_written(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("before")
    with claimed([old, new]):
        assert old.read_text() == "before"
        assert put(new, lambda file: file.write_text("now"))
    assert (old.read_text(), new.read_text()) == ("before", "now")


def test_a_file_that_nothing_was_written_to_does_not_stay(tmp_path: Path) -> None:
    link, empty = tmp_path / "link", tmp_path / "empty"
    link.symlink_to("behind")
    empty.touch()
    with pytest.raises(KeyboardInterrupt), claimed([tmp_path / "new", link, empty]):
        raise KeyboardInterrupt
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "link"]


def test_what_cannot_be_written_is_found_before(tmp_path: Path) -> None:
    for wrong in (tmp_path, Path(), tmp_path / "none" / "file"):
        with pytest.raises(Unwritable, match="cannot be written"), claimed([tmp_path / "new", wrong]):
            pytest.fail("it was not found")
    assert list(tmp_path.iterdir()) == []


def test_two_names_of_one_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("file")
    with pytest.raises(Unwritable, match="the same file"), claimed([tmp_path / "file", tmp_path / "link"]):
        pytest.fail("it was not found")


def test_half_a_file_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def write(file: Path) -> None:
        file.write_text("half")
        raise OSError(28, "No space left on device")

    with claimed([tmp_path / "file"]):
        assert not put(tmp_path / "file", write)
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().err == f"{tmp_path / 'file'} was not written: No space left on device\n"
