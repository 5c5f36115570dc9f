"""`tideloop doctor` reports facts, exits with 0 where all works, and names what does not."""

from __future__ import annotations

import json
import os
import platform
import resource
import select
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from programs import WAIT_S

DOCTOR = [sys.executable, "-m", "tideloop", "doctor"]


def run(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*DOCTOR, *arguments], capture_output=True, text=True, timeout=WAIT_S, **options)  # type: ignore[call-overload, no-any-return]


def test_json_holds_facts_that_can_be_checked() -> None:
    pytest.importorskip("tideloop._native", reason="an installation without the extension is rightly called broken")
    done = run("--json")
    report = json.loads(done.stdout)
    assert (done.returncode, done.stderr, report["problems"]) == (0, "", [])
    assert report["python"]["version"] == platform.python_version()
    assert report["python"]["gil_enabled"] == getattr(sys, "_is_gil_enabled", lambda: True)()
    assert report["system"]["processors"] == os.cpu_count()
    assert report["tideloop"]["loads"] and report["tideloop"]["runs"]
    if hasattr(select, "epoll"):
        assert report["kernel"]["epoll"] == "yes"
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert report["limits"]["descriptors"] == f"{soft} of {hard}"


def test_text_names_every_section() -> None:
    done = run()
    for section in ("tideloop", "python", "system", "kernel", "limits", "optional"):
        assert section in done.stdout.split()
    assert done.returncode == (0 if "everything works" in done.stdout else 1)


def test_text_needs_no_rich() -> None:
    # A None in sys.modules makes an import fail, as if it were not installed.
    program = "import sys; sys.modules['rich.console'] = None; from tideloop.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", program, "doctor"], capture_output=True, text=True, timeout=WAIT_S, check=False
    )
    assert "\nkernel\n" in done.stdout
    assert "Traceback" not in done.stderr


def test_missing_extension_is_named_and_status_is_1(tmp_path: Path) -> None:
    tideloop = pytest.importorskip("tideloop", reason="there is no package to copy")
    source = Path(tideloop.__file__).parent
    shutil.copytree(source, tmp_path / "tideloop", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    (tmp_path / "tideloop" / "_native.cpython-27-x86_64-linux-gnu.so").touch()
    done = run(env={**os.environ, "PYTHONPATH": str(tmp_path)}, cwd=tmp_path)
    assert done.returncode == 1
    assert "not built for this Python" in done.stderr
    assert "cpython-27" in done.stderr
    assert "Traceback" not in done.stderr


def test_too_few_descriptors_are_a_problem() -> None:
    done = run(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40)))
    assert done.returncode == 1
    assert "ulimit -n" in done.stderr
