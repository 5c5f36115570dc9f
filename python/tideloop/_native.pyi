"""The compiled half: what crates/tideloop-py exports, as the Python half uses it.

To a type checker, the native classes derive from asyncio's: at run time isinstance() says so, through the `__class__`
property or the derived class in this package.
"""

import asyncio
import socket
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterable, Iterator, Sequence
from contextvars import Context
from ssl import SSLContext
from types import GenericAlias, TracebackType
from typing import Any, ClassVar, Final, Protocol, Self, TypeVar, TypeVarTuple, Unpack, final, type_check_only

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
    "StreamReaderProtocol",
    "StreamWriter",
    "Task",
    "TaskGroup",
    "Timeout",
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

def sleep(delay: float, result: Any = None) -> Coroutine[Any, Any, Any]:
    """asyncio.sleep()"""

def wait_for(fut: Awaitable[_T], timeout: float | None) -> Coroutine[Any, Any, _T]:
    """asyncio.wait_for()"""

def shield(arg: Awaitable[_T]) -> asyncio.Future[_T]:
    """asyncio.shield()"""

def ensure_future(
    coro_or_future: Awaitable[_T], *, loop: asyncio.AbstractEventLoop | None = None
) -> asyncio.Future[_T]:
    """asyncio.ensure_future()"""

def create_task(
    coro: Coroutine[Any, Any, _T], *, name: str | None = None, context: Context | None = None, **kwargs: Any
) -> Task[_T]:
    """asyncio.create_task()"""

def timeout(delay: float | None) -> asyncio.Timeout:
    """asyncio.timeout()"""

def timeout_at(when: float | None) -> asyncio.Timeout:
    """asyncio.timeout_at()"""

def _adopt_timeout(class_: type[Timeout], /) -> None:
    """Makes timeouts of this class from now on, which adds nothing to Timeout."""

def _register_stream_reader(class_: type[StreamReader], /) -> None:
    """Give the class that derives from the native reader its methods that read."""

def _register_stream_writer(class_: type[StreamWriter], /) -> None:
    """Give the class that derives from the native writer its hot methods."""

@type_check_only
class _AsCompleted(Iterator[Coroutine[Any, Any, _T]], AsyncIterator[asyncio.Future[_T]], Protocol[_T]): ...

def _as_completed(fs: Iterable[Awaitable[_T]], *, timeout: float | None = None) -> _AsCompleted[_T]:
    """asyncio.as_completed, with `async for` on every version."""

def task_count() -> int:
    """How many native tasks there are."""

@disjoint_base
class Future(asyncio.Future[_T]):
    """asyncio.Future, native."""

    def __init__(self, *, loop: asyncio.AbstractEventLoop | None = None) -> None: ...
    @classmethod
    def __class_getitem__(cls, item: Any) -> GenericAlias: ...

@disjoint_base
class Task(asyncio.Task[_T]):
    """asyncio.Task, native."""

    def get_context(self) -> Context: ...

def _register_task_group(class_: type[TaskGroup], /) -> None:
    """Make the class that derives from the native one whole."""

@disjoint_base
class TaskGroup(asyncio.TaskGroup):
    """asyncio.TaskGroup without its docstring and statistics, native."""

    def __init__(self) -> None: ...
    @property
    def _errors(self) -> list[BaseException]: ...
    @property
    def _on_completed_fut(self) -> Future[bool] | None: ...
    @property
    def _parent_task(self) -> asyncio.Task[Any] | None: ...
    def _tasks_in_order(self) -> list[asyncio.Task[Any]]: ...

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

    def __await__(self) -> Generator[Any, Any, _T]: ...
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
    def cr_frame(self) -> None: ...
    @property
    def cr_await(self) -> Future[None] | None: ...

@final
class DrainCall(Coroutine[Any, Any, None]):
    """The coroutine of a wait for room in a stream's write buffer."""

    def __await__(self) -> Generator[Any, Any]: ...
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
    def cr_frame(self) -> None: ...
    @property
    def cr_await(self) -> Future[None] | None: ...

@final
class WaitClosedCall(Coroutine[Any, Any, None]):
    """The coroutine of a wait for the end of a stream."""

    def __await__(self) -> Generator[Any, Any]: ...
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
    def cr_frame(self) -> None: ...
    @property
    def cr_await(self) -> Future[None] | None: ...

@disjoint_base
class Timeout:
    """asyncio's timeout, native."""

    _state: Any
    _when: float | None
    _task: asyncio.Task[Any] | None
    def __init__(self, when: float | None) -> None: ...
    def when(self) -> float | None: ...
    def reschedule(self, when: float | None) -> None: ...
    def expired(self) -> bool: ...
    def _on_timeout(self) -> None: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None: ...

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
    def __aiter__(self) -> Self: ...
    def __anext__(self) -> Coroutine[Any, Any, bytes]: ...
    def _replace_transport(self, transport: asyncio.BaseTransport) -> None: ...
    def _wakeup_waiter(self) -> None: ...
    def _maybe_resume_transport(self) -> None: ...

@disjoint_base
class StreamReaderProtocol(asyncio.StreamReaderProtocol):
    """asyncio's stream protocol, native."""

    _loop: Any
    _stream_reader_wr: Any
    _strong_reader: Any
    _client_connected_cb: Any
    _task: Any
    _transport: Any
    _stream_writer: Any
    _source_traceback: Any
    _paused: bool
    _over_ssl: bool
    _reject_connection: bool
    def __init__(
        self,
        stream_reader: asyncio.StreamReader | None,
        client_connected_cb: Any = None,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None: ...
    @property
    def _stream_reader(self) -> Any: ...
    @property
    def _closed(self) -> Future[None]: ...
    @property
    def _drain_waiters(self) -> deque[Future[None]]: ...
    @property
    def _connection_lost(self) -> bool: ...
    def _drain_helper(self) -> DrainCall: ...
    def _get_close_waiter(self, _stream: asyncio.StreamWriter) -> Future[None]: ...
    def _replace_transport(self, transport: asyncio.BaseTransport) -> None: ...
    def _replace_writer(self, writer: asyncio.StreamWriter) -> None: ...
    def __del__(self) -> None: ...

@disjoint_base
class StreamWriter(asyncio.StreamWriter):
    """asyncio's stream writer, native but for start_tls."""

    _transport: Any
    _protocol: Any
    _reader: Any
    _loop: Any
    @property
    def _complete_fut(self) -> asyncio.Future[None]: ...
    def wait_closed(self) -> WaitClosedCall: ...
    def __del__(self) -> None: ...

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

@disjoint_base
class _Primitive:
    """What all primitives have: those who wait."""

    _waiters: Any  # deque-like: len, iteration, indexing, append, remove
    _loop: Any

class Lock(_Primitive):
    """The native half of tideloop.Lock."""

    _locked: bool
    def __new__(cls, *args: Any, **kwargs: Any) -> Self: ...

class Event(_Primitive):
    """The native half of tideloop.Event."""

    _value: bool
    def __new__(cls, *args: Any, **kwargs: Any) -> Self: ...

@disjoint_base
class Semaphore(_Primitive):
    """The native half of tideloop.Semaphore and tideloop.BoundedSemaphore."""

    _value: int
    _bound_value: int
    def __new__(cls, *args: Any, **kwargs: Any) -> Self: ...
    def _start(self, value: int, /, *, bounded: bool) -> None: ...

@disjoint_base
class Condition(_Primitive):
    """The native half of tideloop.Condition."""

    @property
    def _lock(self) -> Any: ...
    def __new__(cls, *args: Any, **kwargs: Any) -> Self: ...
    def _start(self, lock: Any, /) -> bool: ...
    def wait_for(self, predicate: Callable[[], _T]) -> Coroutine[Any, Any, _T]: ...
    def notify_all(self) -> None: ...

@disjoint_base
class Barrier:
    """The native half of tideloop.Barrier."""

    @property
    def parties(self) -> int: ...
    @property
    def n_waiting(self) -> int: ...
    @property
    def broken(self) -> bool: ...
    @property
    def _count(self) -> int: ...
    @property
    def _parties(self) -> int: ...
    @property
    def _state(self) -> Any: ...
    @property
    def _cond(self) -> Condition: ...
    def __new__(cls, *args: Any, **kwargs: Any) -> Self: ...
    def _start(self, parties: int, condition: Condition, /) -> None: ...
    def wait(self) -> Coroutine[Any, Any, int]: ...
    def reset(self) -> Coroutine[Any, Any, None]: ...
    def abort(self) -> Coroutine[Any, Any, None]: ...
    def __aenter__(self) -> Coroutine[Any, Any, int]: ...
    def __aexit__(self, *args: object) -> Coroutine[Any, Any, None]: ...

def _register_primitives(
    lock: type[Lock],
    event: type[Event],
    condition: type[Condition],
    semaphore: type[Semaphore],
    bounded_semaphore: type[Semaphore],
    /,
) -> None: ...
