"""uvloop's source distribution, which holds its tests: fetched from the package index into build/, and unpacked there.

Not by `pip download`, which would compile uvloop for minutes only to learn its name.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import venv  # noqa: E402

import pythons  # noqa: E402

BUILD = ROOT / "build" / "uvloop-suite"
ARCHIVE = "uvloop-0.23.0.tar.gz"
SHA256 = "28d160f51ab4da3b187063652e643dea6831072add4adc1e6d62afbe73b6be27"
SOURCE = BUILD / ARCHIVE.removesuffix(".tar.gz")
REQUIREMENTS = ROOT / "tests" / "requirements-uvloop-suite.txt"


def fetch() -> str | None:
    """Have the distribution in SOURCE, as it was published; otherwise the reason why not."""
    BUILD.mkdir(parents=True, exist_ok=True)
    archive = BUILD / ARCHIVE
    if not archive.exists() or hashlib.sha256(archive.read_bytes()).hexdigest() != SHA256:
        try:
            venv.download("uvloop", ARCHIVE, SHA256, BUILD)
        except OSError as exc:
            return f"{ARCHIVE} cannot be had: {exc}"
    # Unpacked anew each time: nobody has edited what is judged by.
    shutil.rmtree(SOURCE, ignore_errors=True)
    with tarfile.open(archive) as packed:
        wanted = [m for m in packed.getmembers() if "/vendor/" not in m.name]
        packed.extractall(BUILD, members=wanted, filter="data")
    return None


def packages(python: pythons.Installed) -> Path:
    """The folder with what the tests import and our own do not, for one Python."""
    site = BUILD / f"site-{python.version}"
    record, wanted = site / ".installed", REQUIREMENTS.read_text()
    if not record.exists() or record.read_text() != wanted:
        shutil.rmtree(site, ignore_errors=True)
        pip = [*python.command, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--only-binary", ":all:"]
        pip += ["--no-deps", "--target", python.inside(site), "-r", python.inside(REQUIREMENTS)]
        subprocess.run(pip, cwd=ROOT, check=True)
        record.write_text(wanted)
    return site
