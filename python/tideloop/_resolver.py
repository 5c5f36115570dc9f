"""Names and addresses: numeric ones are answered at once, the others by a small pool of threads of the loop's own.

Not the default executor, where a slow name server would hold up everybody else's work; and of daemon threads, because
a name server that never answers must hold up neither loop.close() nor the end of the program.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from . import _native
from ._executors import deliver_threadsafe

__all__ = ["RESOLVER_THREADS_MAX", "Resolver"]

# Threads per loop. glibc's resolver waits 5 s for a server that is down; this many such waits at a time do not
# hold up the next lookup, and no program has more than a handful of names to look up at once.
RESOLVER_THREADS_MAX = 8

_AddrInfo = tuple[Any, Any, int, str, Any]  # family, type, protocol, canonical name, address
_Job = tuple[asyncio.Future[Any], Callable[..., Any], tuple[Any, ...]]

_NUMERIC_ADDRESS = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
_NUMERIC_NAME = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV


class Resolver(_native.EventLoop):
    """Mixin: getaddrinfo and getnameinfo."""

    __slots__ = ()

    _resolver_pool: _ResolverPool | None

    def __init__(self) -> None:
        super().__init__()
        self._resolver_pool = None

    async def getaddrinfo(
        self,
        host: bytes | str | None,
        port: bytes | str | int | None,
        *,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        """Return what ``socket.getaddrinfo`` returns for the same arguments, without blocking the loop.

        Raises socket.gaierror with the codes that socket.getaddrinfo gives.
        Counterpart: :meth:`asyncio.loop.getaddrinfo`.
        """
        self._check_closed()
        return _numeric_addresses(host, port, family, type, proto, flags) or await self._resolve(
            socket.getaddrinfo, host, port, family, type, proto, flags
        )

    async def getnameinfo(self, sockaddr: Any, flags: int = 0) -> tuple[str, str]:
        """Return ``(host, service)`` as ``socket.getnameinfo`` does, without blocking the loop.

        Raises socket.gaierror as it does. Counterpart: :meth:`asyncio.loop.getnameinfo`.
        """
        self._check_closed()
        if flags & _NUMERIC_NAME == _NUMERIC_NAME:
            return socket.getnameinfo(sockaddr, flags)
        name: tuple[str, str] = await self._resolve(socket.getnameinfo, sockaddr, flags)
        return name

    async def _resolve_address(
        self, address: Any, *, family: int = 0, type: int = socket.SOCK_STREAM, proto: int = 0, flags: int = 0
    ) -> list[_AddrInfo]:
        """Addresses for a ``(host, port, …)`` tuple; the flow info and scope id of an IPv6 one are kept.

        Only names and services go through ``self.getaddrinfo``, which users replace.
        """
        host, port, *rest = address
        # The C library cuts a port to 16 bits; bind() and connect() are to see such a port themselves, and refuse it.
        oversized = _oversized_port(port)
        asked = port if oversized is None else 0
        infos = _numeric_addresses(host, asked, family, type, proto, flags) if host is not None else []
        if not infos:
            infos = await self.getaddrinfo(host, asked, family=family, type=type, proto=proto, flags=flags)
        if oversized is None and not any(rest):
            return infos
        return [(*info[:4], _merge_address(info[4], oversized, rest)) for info in infos]

    def _resolve(self, call: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        if self._resolver_pool is None:
            self._resolver_pool = _ResolverPool()
        waiting: asyncio.Future[Any] = self.create_future()
        self._resolver_pool.submit((waiting, call, args))
        return waiting

    def _close_resolver(self) -> None:
        pool, self._resolver_pool = self._resolver_pool, None
        if pool is not None:
            pool.close()


def _numeric_addresses(
    host: bytes | str | None, port: bytes | str | int | None, family: int, type: int, proto: int, flags: int
) -> list[_AddrInfo]:
    """What getaddrinfo() finds without asking anybody; nothing for names, services and errors.

    The C library translates, so that scope ids, canonical names and odd spellings ("127.1") come out as in a full call.
    """
    try:
        return [*socket.getaddrinfo(host, port, family, type, proto, flags | _NUMERIC_ADDRESS)]
    except (OSError, ValueError, TypeError, OverflowError):
        return []  # the full call will describe what is wrong, if anything is


def _oversized_port(port: bytes | str | int | None) -> int | None:
    """The port, if it is a number that no port has."""
    try:
        number = int(port or 0)
    except ValueError:
        return None  # the name of a service
    return None if 0 <= number <= 0xFFFF else number


def _merge_address(found: Any, port: int | None, rest: list[Any]) -> Any:
    """The address that was *found*, with the port, flow info and scope id that the caller gave."""
    host, found_port, *found_rest = found
    merged = [given or had for given, had in zip(rest, found_rest, strict=False)] + found_rest[len(rest) :]
    return (host, found_port if port is None else port, *merged)


class _ResolverPool:
    """Threads that take jobs from one queue; None in the queue ends one of them."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._asking: set[threading.Thread] = set()  # those inside a system call that may take long
        self._closed = False
        # One permit per thread that waits for a job which nobody has been promised yet.
        self._idle = threading.Semaphore(0)

    def submit(self, job: _Job) -> None:
        """Called by the loop's thread only."""
        self._jobs.put(job)
        if not self._idle.acquire(blocking=False) and len(self._threads) < RESOLVER_THREADS_MAX:
            name = f"tideloop-resolver_{len(self._threads)}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def close(self) -> None:
        """End all threads: wait for those that end at once, leave those that wait for an answer."""
        # A thread says that it asks before it looks at this flag, so one that is not seen asking below will not.
        self._closed = True
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            if thread not in self._asking:
                thread.join()

    def _work(self) -> None:
        # Signals are for threads that Python's handlers can interrupt, and none of them is to end a lookup with EINTR.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while (job := self._jobs.get()) is not None:
            self._answer(*job)
            del job  # the future and its loop must not live on while this thread waits
            self._idle.release()

    def _answer(self, waiting: asyncio.Future[Any], call: Callable[..., Any], args: tuple[Any, ...]) -> None:
        result, failure = None, None
        self._asking.add(threading.current_thread())
        try:
            if self._closed or waiting.cancelled():
                return
            result = call(*args)
        except BaseException as error:
            failure = error
        finally:
            self._asking.discard(threading.current_thread())
        deliver_threadsafe(waiting.get_loop(), waiting, result, failure)
