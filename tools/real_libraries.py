"""Real libraries on Tideloop against real servers: install both, then run tests/integration.

    python3 tools/real_libraries.py [WHEEL]

The servers come from Debian's packages (tools/servers.py), the libraries from the package index into .venv-integration.
Without a wheel the tests run on what `make build` made. Where the servers cannot be had, that is said loudly, and
where CI is set it is a failure.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import servers
from step import missing, step

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv-integration"
PYTHON = str(VENV / "bin" / "python")
IN_CI = bool(os.environ.get("CI"))
WITH_NAMES = {"TIDELOOP_REQUIRED": "1", "TIDELOOP_NAMES": "1"}
# pytest-asyncio is there to be tried in a pytest of its own; in ours it would make loops beside the tests'.
TESTS = "-m pytest -q -p no:asyncio --durations=5 tests/integration".split()


def run(wheel: Path | None = None) -> bool:
    """Whether everything passed, on the wheel for this Python or on the checkout; True where it could not be tried."""
    try:
        servers.ensure()
    except servers.CannotBeInstalled as exc:
        return missing(f"real libraries and servers: {exc}", IN_CI)
    libraries = [sys.executable, "tools/venv.py", str(VENV), "tests/requirements-integration.txt"]
    return (
        step("venv for integration", libraries)
        and install(wheel)
        and step("integration", [PYTHON, *TESTS], env={"TIDELOOP_REQUIRED": "1"})
        # Once more, with the native names in asyncio: what the libraries import is ours.
        and step("integration, names", [PYTHON, *TESTS, "-k", "tideloop"], env=WITH_NAMES)
    )


def install(wheel: Path | None) -> bool:
    """Install the wheel, or point at the sources, where the extension of this Python lies beside them."""
    (pointer,) = (folder / "tideloop.pth" for folder in VENV.glob("lib/python3.*/site-packages"))
    pip = [PYTHON, "-m", "pip", "-q", "--disable-pip-version-check"]
    pointer.unlink(missing_ok=True)
    if wheel is not None:
        return step(
            "install for integration", [*pip, "install", "--no-index", "--no-deps", "--force-reinstall", str(wheel)]
        )
    pointer.write_text(f"{ROOT / 'python'}\n")
    return step("uninstall the wheel", [*pip, "uninstall", "-y", "tideloop"])


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(0 if run(*map(Path, sys.argv[1:2])) else 1)
