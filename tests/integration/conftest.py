"""Real servers for the tests of real libraries, certificates that are made for them, and warnings of the libraries.

They run by `make integration` alone, in an environment of their own: see tools/real_libraries.py. With TIDELOOP_NAMES=1
the libraries find the native names in asyncio: `install(names=True)` comes before they are imported.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

if os.environ.get("TIDELOOP_NAMES") == "1":
    import tideloop

    tideloop.install(names=True)
    assert asyncio.Lock is tideloop.Lock

import trustme

from integration.servers import HOST, PASSWORD, Servers

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import servers as programs

# No workload here takes a tenth of it; within pytest's own limit, so that the test's tasks are seen in the report.
SECONDS_MAX = 45.0


@dataclass(frozen=True)
class Certificates:
    """One run's certificate authority, a server's certificate for 127.0.0.1 and localhost, both sides' contexts."""

    authority: trustme.CA
    issued: trustme.LeafCert
    folder: Path

    def server(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.issued.configure_cert(context)
        return context

    def client(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        return context

    @property
    def authority_file(self) -> Path:
        return self.folder / "ca.crt"

    @property
    def chain_file(self) -> Path:
        return self.folder / "server.crt"

    @property
    def key_file(self) -> Path:
        return self.folder / "server.key"

    def texts(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in (self.authority_file, self.chain_file, self.key_file)}


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    authority = trustme.CA()
    made = Certificates(authority, authority.issue_cert(HOST, "localhost"), tmp_path_factory.mktemp("certificates"))
    authority.cert_pem.write_to_path(str(made.authority_file))
    for blob in made.issued.cert_chain_pems:
        blob.write_to_path(str(made.chain_file), append=True)
    made.issued.private_key_pem.write_to_path(str(made.key_file))
    return made


@pytest.fixture(scope="session")
def servers(certificates: Certificates) -> Iterator[Servers]:
    """PostgreSQL and Redis, for all tests together."""
    found = {name: programs.find(name) for name in programs.PACKAGES}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        pytest.fail(f"{' and '.join(missing)} not found: tools/servers.py installs them", pytrace=False)
    paths = {name: path for name, path in found.items() if path is not None}
    running = Servers(paths, programs.environment(), certificates.texts())
    yield running
    running.stop()


@dataclass(frozen=True)
class Address:
    host: str
    port: int
    tls_port: int
    folder: Path
    password: str
    restart: Callable[[], None]


def _address(servers: Servers, name: str) -> Address:
    known = servers.addresses[name]
    folder, tls_port = Path(known["folder"]), known.get("tls", known["tcp"])
    return Address(HOST, known["tcp"], tls_port, folder, PASSWORD, lambda: servers.restart(name))


@pytest.fixture
def postgres(servers: Servers) -> Address:
    """Where PostgreSQL listens: user tideloop, database postgres."""
    return _address(servers, "postgres")


@pytest.fixture
def redis_server(servers: Servers) -> Address:
    """Where Redis listens: TCP, TLS and the Unix socket `folder / "socket"`."""
    return _address(servers, "redis")


@pytest.fixture
def run(loop: asyncio.AbstractEventLoop) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """`run(coroutine)` on the test's `loop`, which is the current one, within a limit: its result, or its exception."""
    asyncio.set_event_loop(loop)

    async def limited(coroutine: Coroutine[Any, Any, Any]) -> Any:
        async with asyncio.timeout(SECONDS_MAX):
            return await coroutine

    return lambda coroutine: loop.run_until_complete(limited(coroutine))
