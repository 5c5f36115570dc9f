"""Make a virtual environment and install pinned packages in it, with nothing but a bare python3 >= 3.11.

    python3 tools/venv.py .venv tests/requirements-dev.txt [--optional tests/requirements-peers.txt]

Debian ships python3 without ensurepip (it is in python3-venv) and perhaps without pip. Then the environment is made
without pip and pip comes from, in this order: the pip of the host's Python; the pip wheel from the package index that
pip itself would use (PIP_INDEX_URL, pip's configuration files, or the public one), checked against the hash below.
The installation is recorded in the environment, so that a second call with the same files does nothing.
"""

from __future__ import annotations

import argparse
import configparser
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
from pathlib import Path

PIP_WHEEL = "pip-26.3-py3-none-any.whl"
PIP_SHA256 = "f3b60b20ffaadd4415ed7957212a38ac63fa4c5fa375bd0f4a797777940fad13"
PUBLIC_INDEX = "https://pypi.org/simple"
DOWNLOAD_TIMEOUT_S = 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("requirements", type=Path)
    parser.add_argument("--optional", type=Path, help="packages of which each may fail to install, with a warning")
    args = parser.parse_args()
    if sys.version_info < (3, 11):
        sys.exit(f"Tideloop needs Python 3.11 or later; {sys.executable} is {sys.version.split()[0]}")
    record, wanted = args.folder / ".installed", fingerprint(args.requirements, args.optional)
    if record.exists() and record.read_text() == wanted:
        return
    python = make(args.folder)
    install(python, ["-r", str(args.requirements)])
    if args.optional is not None:
        install_optional(python, args.optional)
    record.write_text(wanted)


def fingerprint(*files: Path | None) -> str:
    """What the environment was made from: this Python, and the text of the files, included ones too."""
    text = sys.version
    for file in filter(None, files):
        content = file.read_text()
        text += content
        for included in re.findall(r"^-r (\S+)", content, re.MULTILINE):
            text += (file.parent / included).read_text()
    return hashlib.sha256(text.encode()).hexdigest() + "\n"


def make(folder: Path) -> Path:
    """A fresh environment in `folder`, with pip; returns its Python."""
    # `make` finds python3 in the environment that is to be made anew: what that was made from stays.
    host = getattr(sys, "_base_executable", sys.executable)
    shutil.rmtree(folder, ignore_errors=True)
    python = folder.absolute() / "bin" / "python"
    made = subprocess.run([host, "-m", "venv", str(folder)], capture_output=True, text=True)
    if made.returncode == 0:
        return python
    print(f"{host} has no ensurepip: pip comes by another way", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([host, "-m", "venv", "--without-pip", str(folder)], check=True)
    version = PIP_WHEEL.split("-")[1]
    if subprocess.run([host, "-m", "pip", "--version"], capture_output=True).returncode == 0:
        host = [host, "-m", "pip", "--python", str(python)]
        if subprocess.run([*host, "install", "-q", f"pip=={version}"]).returncode == 0:
            return python
    with tempfile.TemporaryDirectory() as scratch:
        wheel = download_pip(Path(scratch))
        subprocess.run([str(python), f"{wheel}/pip", "install", "-q", "--no-index", str(wheel)], check=True)
    return python


def download_pip(folder: Path) -> Path:
    """The pinned pip wheel."""
    try:
        return download("pip", PIP_WHEEL, PIP_SHA256, folder)
    except OSError as exc:
        sys.exit(
            f"{sys.executable} has neither ensurepip nor pip, and pip could not be fetched ({exc}).\n"
            "Install one of them (on Debian: apt-get install python3-venv), or set PIP_INDEX_URL, and call make again."
        )


def download(project: str, name: str, sha256: str, folder: Path) -> Path:
    """One file of a project, by the index's page of links (PEP 503), whatever an OSError tells of was in the way."""
    page_url = f"{index_url().rstrip('/')}/{project}/"
    page = fetch(page_url).decode()
    links = re.findall(r'href="([^"]*/' + re.escape(name) + r'[^"]*)"', page)
    if not links:
        raise OSError(f"{page_url} does not list {name}")
    content = fetch(urllib.parse.urljoin(page_url, links[0].partition("#")[0]))
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise OSError(f"{page_url} gave a {name} whose SHA-256 is {digest}, not {sha256}")
    file = folder / name
    file.write_bytes(content)
    return file


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=DOWNLOAD_TIMEOUT_S) as answer:
        return bytes(answer.read())


def index_url() -> str:
    """The package index that pip would use here."""
    if "PIP_INDEX_URL" in os.environ:
        return os.environ["PIP_INDEX_URL"]
    home = Path.home()
    config_home = Path(os.environ.get("XDG_CONFIG_HOME", home / ".config"))
    named = [os.environ["PIP_CONFIG_FILE"]] if "PIP_CONFIG_FILE" in os.environ else []
    config = configparser.RawConfigParser()
    config.read([*named, config_home / "pip" / "pip.conf", home / ".pip" / "pip.conf", "/etc/pip.conf"][::-1])
    for section in ("install", "global"):
        if config.has_option(section, "index-url"):
            return config.get(section, "index-url").strip()
    return PUBLIC_INDEX


def install(python: Path, what: list[str]) -> None:
    command = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *what]
    if subprocess.run(command).returncode:
        sys.exit(f"could not install: {' '.join(what)}")


def install_optional(python: Path, requirements: Path) -> None:
    for line in requirements.read_text().splitlines():
        package = line.partition("#")[0].strip()
        if not package:
            continue
        command = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--only-binary", ":all:"]
        if subprocess.run([*command, package]).returncode:
            print(f"!!! {package} cannot be installed here: LEFT OUT of whatever compares with it", flush=True)


if __name__ == "__main__":
    main()
