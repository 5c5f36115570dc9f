"""The compiled half: what crates/tideloop-py exports, as the Python half uses it.

To a type checker, the native classes derive from asyncio's: at run time isinstance() says so, through the `__class__`
property or the derived class in this package.
"""

import asyncio
import socket
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextvars import Context
from ssl import SSLContext
from types import GenericAlias
from typing import Any, ClassVar, Final, Self, TypeVar, TypeVarTuple, Unpack, final

from _typeshed import ReadableBuffer, WriteableBuffer
from typing_extensions import disjoint_base

__all__ = [
    "DatagramTransport",
    "EventLoop",
    "Future",
    "Handle",
    "Listener",
    "Queue",
    "ReadPipeTransport",
    "SockCall",
    "SocketTransport",
    "Spawner",
    "StreamReader",
    "Task",
    "TimerHandle",
    "TlsProtocol",
    "TlsTransport",
    "WritePipeTransport",
    "__version__",
    "all_tasks",
    "task_count",
]

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")
_Descriptor = int | Any
"""A descriptor, or something with a fileno()."""

__version__: Final[str]

def all_tasks() -> list[Task[Any]]:
    """Every native task that is not done, of any loop."""

def _current_task(event_loop: asyncio.AbstractEventLoop, default: Any = None, /) -> Any:
    """The native task that a loop runs at the moment, or what asyncio has for a foreign loop."""

def _set_current_task(event_loop: asyncio.AbstractEventLoop, task: Task[Any] | None, /) -> bool:
    """Whether the loop is native, and has been given its current task."""

def _register_queues(queue: type[Queue], lifo: type[Queue], priority: type[Queue]) -> None:
    """Makes the classes that derive from Queue known; called once."""

def task_count() -> int:
    """How many native tasks there are."""

@disjoint_base
class Future(asyncio.Future[_T]):
    """asyncio.Future, native."""

    def __init__(self, *_args: Any, loop: asyncio.AbstractEventLoop | None = None) -> None: ...
    @classmethod
    def __class_getitem__(cls, item: Any) -> GenericAlias: ...

@disjoint_base
class Task(asyncio.Task[_T]):
    """asyncio.Task, native."""

    def get_context(self) -> Context: ...

@disjoint_base
class Handle(asyncio.Handle):
    """asyncio.Handle, native."""

    def get_context(self) -> Context: ...

@final
class TimerHandle(asyncio.TimerHandle):
    """asyncio.TimerHandle, native."""

    def get_context(self) -> Context: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __lt__(self, other: asyncio.TimerHandle, /) -> bool: ...
    def __le__(self, other: asyncio.TimerHandle, /) -> bool: ...
    def __gt__(self, other: asyncio.TimerHandle, /) -> bool: ...
    def __ge__(self, other: asyncio.TimerHandle, /) -> bool: ...

@disjoint_base
class EventLoop(asyncio.AbstractEventLoop):  # type: ignore[misc]  # the other half completes it
    """The loop's hot half: turns, timers, handles, futures, tasks, descriptors."""

    slow_callback_duration: float
    """Seconds that a callback may take before debug mode reports it."""

    def call_soon(
        self, callback: Callable[[Unpack[_Ts]], object], *args: *_Ts, context: Context | None = None
    ) -> Handle: ...
    def call_soon_threadsafe(
        self, callback: Callable[[Unpack[_Ts]], object], *args: *_Ts, context: Context | None = None
    ) -> Handle: ...
    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[_Ts]], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> TimerHandle: ...
    def call_at(
        self, when: float, callback: Callable[[Unpack[_Ts]], object], *args: *_Ts, context: Context | None = None
    ) -> TimerHandle: ...
    def time(self) -> float: ...
    def create_future(self) -> Future[Any]: ...
    def create_task(
        self,
        coro: Generator[Any, None, _T] | Coroutine[Any, Any, _T],
        *,
        name: str | None = None,
        context: Context | None = None,
        **kwargs: Any,
    ) -> asyncio.Task[_T]: ...
    def set_task_factory(self, factory: Callable[..., asyncio.Future[Any]] | None) -> None: ...
    def get_task_factory(self) -> Callable[..., asyncio.Future[Any]] | None: ...
    def get_debug(self) -> bool: ...
    def set_debug(self, enabled: bool) -> None: ...
    def is_running(self) -> bool: ...
    def is_closed(self) -> bool: ...
    def stop(self) -> None: ...
    def sock_recv(self, sock: socket.socket, nbytes: int) -> SockCall[bytes]: ...
    def sock_recv_into(self, sock: socket.socket, buf: WriteableBuffer) -> SockCall[int]: ...
    def sock_recvfrom(self, sock: socket.socket, bufsize: int) -> SockCall[tuple[bytes, Any]]: ...
    def sock_recvfrom_into(
        self, sock: socket.socket, buf: WriteableBuffer, nbytes: int = 0
    ) -> SockCall[tuple[int, Any]]: ...
    def sock_sendall(self, sock: socket.socket, data: ReadableBuffer) -> SockCall[None]: ...
    def sock_sendto(self, sock: socket.socket, data: ReadableBuffer, address: Any) -> SockCall[int]: ...
    def sock_accept(self, sock: socket.socket) -> SockCall[tuple[socket.socket, Any]]: ...
    def _sock_connected(self, sock: socket.socket, address: Any) -> SockCall[None]: ...
    def _wait_readable(self, sock: socket.socket) -> SockCall[None]: ...
    def _wait_writable(self, sock: socket.socket) -> SockCall[None]: ...
    def add_reader(self, fd: _Descriptor, callback: Callable[[Unpack[_Ts]], object], *args: *_Ts) -> None: ...
    def add_writer(self, fd: _Descriptor, callback: Callable[[Unpack[_Ts]], object], *args: *_Ts) -> None: ...
    def remove_reader(self, fd: _Descriptor) -> bool: ...
    def remove_writer(self, fd: _Descriptor) -> bool: ...
    @property
    def _thread_id(self) -> int | None: ...
    def _check_closed(self) -> None: ...
    def _enter_run(self) -> None: ...
    def _leave_run(self) -> None: ...
    def _run_turns(self) -> None: ...
    def _close_native(self) -> None: ...
    def _wakeup_sock(self, fd: int | None) -> None: ...
    def _attach_transport_check(self, fd: int) -> None: ...
    def _add_reader(self, fd: int, callback: Callable[..., object], *args: Any) -> Handle: ...
    def _add_writer(self, fd: int, callback: Callable[..., object], *args: Any) -> Handle: ...
    def _remove_reader(self, fd: int) -> bool: ...
    def _remove_writer(self, fd: int) -> bool: ...
    def _simulate_clock(self, ns: int | None) -> None: ...
    def _timers_pending(self) -> int: ...
    def _ready_len(self) -> int: ...
    def _registrations_len(self) -> int: ...
    def _use_asyncio_tasks(self, enabled: bool) -> None: ...

@final
class SockCall(Coroutine[Any, Any, _T]):
    """The coroutine of a sock_* call."""

    def __await__(self) -> SockCall[_T]: ...  # type: ignore[override]
    def __next__(self) -> Any: ...
    def send(self, value: Any) -> Any: ...
    def throw(self, type: Any, value: Any = None, traceback: Any = None, /) -> Any: ...
    def close(self) -> None: ...
    @property
    def __name__(self) -> str: ...
    @property
    def __qualname__(self) -> str: ...
    @property
    def cr_running(self) -> bool: ...
    @property
    def cr_await(self) -> Future[None] | None: ...

@final
class ReadCall(Coroutine[Any, Any, _T]):
    """The coroutine of a read of a stream."""

    def __await__(self) -> ReadCall[_T]: ...  # type: ignore[override]
    def __next__(self) -> Any: ...
    def send(self, value: Any) -> Any: ...
    def throw(self, type: Any, value: Any = None, traceback: Any = None, /) -> Any: ...
    def close(self) -> None: ...
    @property
    def __name__(self) -> str: ...
    @property
    def __qualname__(self) -> str: ...
    @property
    def cr_running(self) -> bool: ...
    @property
    def cr_suspended(self) -> bool: ...
    @property
    def cr_await(self) -> Future[None] | None: ...

@disjoint_base
class StreamReader(asyncio.StreamReader):
    """asyncio's stream reader, native."""

    _buffer: bytearray
    _limit: Any
    _eof: bool
    _paused: bool
    _waiter: asyncio.Future[Any] | None
    _exception: Any
    _transport: Any
    _loop: Any
    _source_traceback: Any
    def __init__(self, limit: int = 65536, loop: asyncio.AbstractEventLoop | None = None) -> None: ...
    def read(self, n: int = -1) -> ReadCall[bytes]: ...
    def readexactly(self, n: int) -> ReadCall[bytes]: ...
    def readline(self) -> ReadCall[bytes]: ...
    def readuntil(self, separator: ReadableBuffer | tuple[ReadableBuffer, ...] = b"\n") -> ReadCall[bytes]: ...
    def __aiter__(self) -> Self: ...
    def __anext__(self) -> ReadCall[bytes]: ...
    def _replace_transport(self, transport: asyncio.BaseTransport) -> None: ...
    def _wakeup_waiter(self) -> None: ...
    def _maybe_resume_transport(self) -> None: ...

@final
class SocketTransport(asyncio.Transport):
    """asyncio's selector socket transport, native."""

    def __init__(
        self,
        loop: EventLoop,
        sock: socket.socket,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[None] | None = None,
        extra: dict[str, Any] | None = None,
        server: asyncio.AbstractServer | None = None,
    ) -> None: ...
    @property
    def _sock(self) -> socket.socket | None: ...
    @property
    def _sock_fd(self) -> int: ...
    def _make_empty_waiter(self) -> Future[None]: ...
    def _make_writable_waiter(self) -> Future[None]: ...
    def _reset_empty_waiter(self) -> None: ...

@disjoint_base
class ReadPipeTransport(asyncio.ReadTransport):
    """The reading end of a pipe, native."""

    _pipe: Any
    def __init__(
        self,
        loop: EventLoop,
        pipe: Any,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[None] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None: ...
    def _release(self) -> None: ...

@disjoint_base
class WritePipeTransport(asyncio.WriteTransport):
    """The writing end of a pipe, native."""

    _pipe: Any
    def __init__(
        self,
        loop: EventLoop,
        pipe: Any,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[None] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def is_reading(self) -> bool: ...
    def _release(self) -> None: ...

@final
class DatagramTransport(asyncio.Transport, asyncio.DatagramTransport):
    """asyncio's selector datagram transport, native."""

    def __init__(
        self,
        loop: EventLoop,
        sock: socket.socket,
        protocol: asyncio.BaseProtocol,
        address: Any = None,
        waiter: asyncio.Future[None] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None: ...

@final
class TlsProtocol(asyncio.Protocol):
    """What stands between a transport and a TLS connection's protocol, as asyncio's SSLProtocol."""

    def __new__(
        cls,
        loop: EventLoop,
        app_protocol: asyncio.BaseProtocol,
        sslcontext: SSLContext,
        waiter: asyncio.Future[None] | None,
        server_side: bool,
        server_hostname: str | None,
        call_connection_made: bool,
        ssl_handshake_timeout: float,
        ssl_shutdown_timeout: float,
    ) -> Self: ...
    @property
    def _app_transport(self) -> TlsTransport: ...
    @property
    def _direct(self) -> bool: ...
    def _feed(self, data: bytes | bytearray) -> None: ...

@final
class TlsTransport(asyncio.Transport):
    """What a TLS connection's protocol is given."""

    def get_read_buffer_limits(self) -> tuple[int, int]: ...
    def set_read_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...
    def get_read_buffer_size(self) -> int: ...

@final
class Spawner:
    """Starts children of one loop on threads of their own."""

    supported: ClassVar[bool]
    def __new__(cls) -> Self: ...
    def fileno(self) -> int: ...
    def submit(
        self,
        programs: list[bytes],
        arguments: list[bytes],
        environment: list[bytes] | None,
        directory: bytes | None,
        standard: Sequence[int],
        keep: list[int],
        flags: tuple[bool, bool, bool],
        umask: int,
        process_group: int,
    ) -> int: ...
    @staticmethod
    def call(function: Callable[[], object]) -> None: ...
    def take(self) -> list[tuple[int, int, int, str | None, int]]: ...
    def close(self) -> None: ...

@final
class Listener:
    """Accepts connections on one listening socket until it is closed; the socket stays its maker's."""

    def __new__(
        cls,
        loop: EventLoop,
        sock: socket.socket,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        server: asyncio.AbstractServer | None = None,
        backlog: int = 100,
    ) -> Self: ...
    def close(self) -> None: ...

@disjoint_base
class Queue:
    """What Queue, LifoQueue and PriorityQueue have in common; their hot methods are put into those."""

    _finished: asyncio.Event
    _getters: Any
    _is_shutdown: bool
    _loop: asyncio.AbstractEventLoop | None
    _maxsize: Any
    _putters: Any
    _queue: Any
    _unfinished_tasks: int

    def __init__(self, maxsize: int = 0) -> None: ...
    @property
    def maxsize(self) -> int: ...
    def empty(self) -> bool:
        """Whether there is no item."""

    def full(self) -> bool:
        """Whether there is no room."""

    def join(self) -> Coroutine[Any, Any, None]:
        """Wait until everything is done."""

    def qsize(self) -> int:
        """The number of items."""

    def shutdown(self, immediate: bool = False) -> None:
        """Have put raise QueueShutDown, and get when the queue is empty."""

    def _format(self) -> str:
        """The part of the repr that says what the queue holds."""

    def _joiners(self) -> list[Any]:
        """The futures of those who wait in join."""

    def _waiting(self) -> tuple[list[Any], list[Any]]:
        """The futures of those who wait for an item, and for room."""
