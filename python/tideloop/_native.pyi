"""The compiled half: what crates/tideloop-py exports, as the Python half uses it.

To a type checker, the native classes derive from asyncio's: at run time isinstance() says so, through the `__class__`
property or the derived class in this package.
"""

import asyncio
import socket
import threading
from collections import deque
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    ItemsView,
    Iterable,
    Iterator,
    KeysView,
    Mapping,
    MutableMapping,
    MutableSequence,
    MutableSet,
    Sequence,
    ValuesView,
)
from collections.abc import Set as AbstractSet
from contextvars import Context
from ssl import SSLContext
from types import GenericAlias, TracebackType
from typing import (
    Any,
    ClassVar,
    Final,
    Generic,
    Protocol,
    Self,
    SupportsIndex,
    TypeVar,
    TypeVarTuple,
    Unpack,
    final,
    overload,
    type_check_only,
)

from _typeshed import (
    ReadableBuffer,
    SupportsKeysAndGetItem,
    SupportsRichComparison,
    SupportsRichComparisonT,
    WriteableBuffer,
)
from typing_extensions import disjoint_base

from ._thread_future import Future as _PoolFuture

__all__ = [
    "ApproximateCounter",
    "AtomicBool",
    "AtomicInt",
    "AtomicRef",
    "ConcurrentDict",
    "ConcurrentList",
    "ConcurrentSet",
    "DatagramTransport",
    "EchoFloor",
    "EventLoop",
    "Future",
    "Handle",
    "Listener",
    "LoadGenerator",
    "Queue",
    "ReadPipeTransport",
    "Snapshot",
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
_S = TypeVar("_S")
_K = TypeVar("_K")
_V = TypeVar("_V")
_Ts = TypeVarTuple("_Ts")
_Descriptor = int | Any
"""A descriptor, or something with a fileno()."""

# A module: what the deadlock detector knows.
_observe: Any
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
class EchoFloor:
    """An echo server on bare epoll, on a port of 127.0.0.1 that the kernel chose; Linux only."""

    def __new__(cls) -> Self: ...
    @property
    def port(self) -> int: ...
    def serve(self) -> None: ...

@final
class LoadGenerator:
    """Many connections to a server under test, every byte of whose answers is checked; Linux only."""

    def __new__(
        cls,
        address: tuple[str, int] | str,
        request: bytes,
        reply: bytes,
        *,
        http: bool,
        datagrams: bool,
        connections: int,
        talking: int,
        pipeline: int,
        silence: float,
    ) -> Self: ...
    def slice(self, seconds: float, rate: float | None = None) -> tuple[int, int, list[tuple[int, int]]]: ...
    def close(self) -> None: ...

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

# What threads and tasks share: tideloop.sync shows these.

@final
class AtomicInt:
    """A whole number of 64 bits that threads and tasks change together.

    `fetch_add` and `fetch_sub` return what was before, `add` and `sub` what is then. A result that does not fit raises
    OverflowError and changes nothing.
    """

    def __new__(cls, value: SupportsIndex = 0, /) -> Self: ...
    def load(self) -> int:
        """The number."""

    def store(self, value: SupportsIndex) -> None:
        """Make it this number."""

    def exchange(self, value: SupportsIndex) -> int:
        """Make it this number; what it was."""

    def compare_exchange(self, expected: SupportsIndex, new: SupportsIndex) -> bool:
        """Make it `new` if it is `expected`; whether it was."""

    def fetch_add(self, n: SupportsIndex = 1, /) -> int:
        """Add to it; what it was."""

    def fetch_sub(self, n: SupportsIndex = 1, /) -> int:
        """Subtract from it; what it was."""

    def add(self, n: SupportsIndex = 1, /) -> int:
        """Add to it; what it is then."""

    def sub(self, n: SupportsIndex = 1, /) -> int:
        """Subtract from it; what it is then."""

    @property
    def value(self) -> int:
        """The number, as load() and store()."""

    @value.setter
    def value(self, value: SupportsIndex) -> None: ...
    def __int__(self) -> int: ...
    def __index__(self) -> int: ...
    def __bool__(self) -> bool: ...

@final
class AtomicBool:
    """A flag that threads and tasks change together."""

    def __new__(cls, value: bool = False, /) -> Self: ...
    def load(self) -> bool:
        """The flag."""

    def store(self, value: bool) -> None:
        """Make it this value."""

    def exchange(self, value: bool) -> bool:
        """Make it this value; what it was. `not flag.exchange(True)` is true for the first caller alone."""

    def compare_exchange(self, expected: bool, new: bool) -> bool:
        """Make it `new` if it is `expected`; whether it was."""

    @property
    def value(self) -> bool:
        """The flag, as load() and store()."""

    @value.setter
    def value(self, value: bool) -> None: ...
    def __bool__(self) -> bool: ...

@final
class AtomicRef(Generic[_T]):
    """A reference that threads and tasks change together. Objects are compared by identity, as `is` does."""

    @overload
    def __new__(cls, value: _T, /) -> Self: ...
    @overload
    def __new__(cls, value: None = None, /) -> AtomicRef[_T | None]: ...
    def load(self) -> _T:
        """The object."""

    def store(self, value: _T) -> None:
        """Make it this object."""

    def exchange(self, value: _T) -> _T:
        """Make it this object; what it was."""

    def compare_exchange(self, expected: object, new: _T) -> bool:
        """Make it `new` if it `is` `expected`; whether it was."""

    def update(self, function: Callable[[_T], _T]) -> _T:
        """Make it `function(object)` of the object that it is; what it is then.

        Another thread may have changed it while the function ran: then the function is called again, with what it is
        now. So it should have no effect but its result.
        """

    @property
    def value(self) -> _T:
        """The object, as load() and store()."""

    @value.setter
    def value(self, value: _T) -> None: ...
    @classmethod
    def __class_getitem__(cls, key: Any) -> GenericAlias: ...

@final
class ApproximateCounter:
    """A counter for many threads that is read seldom: each adds to a share, which is carried over at the threshold.

    `value` is less than `threshold` off for each thread that has added, and exact after `flush()`.
    """

    def __new__(cls, threshold: SupportsIndex) -> Self: ...
    def add(self, n: SupportsIndex = 1, /) -> None:
        """Add to it."""

    @property
    def value(self) -> int:
        """What has been carried over: it lags behind by less than the threshold for each thread that has added."""

    def exact(self) -> int:
        """The sum of all that was added before this call; slower than `value`, and changes nothing."""

    def flush(self) -> int:
        """Carry everything over, so that `value` is exact until somebody adds; what it is then."""

    @property
    def threshold(self) -> int:
        """At how much a share is carried over."""

@final
class Snapshot(Generic[_T]):
    """A value that many read and few replace: a reader never waits, and keeps what it got whole, whatever comes later.

    The value should not be changed in place: readers hold it.
    """

    def __new__(cls, value: _T, /) -> Self: ...
    def load(self) -> _T:
        """The value; never waits."""

    def replace(self, value: _T) -> _T:
        """Put `value` in its place; what it was. Waits for a writer that is at it."""

    def update(self, function: Callable[[_T], _T]) -> _T:
        """Put `function(value)` in its place; what it is then. No other writer comes between, and readers go on."""

    @property
    def value(self) -> _T:
        """The value, as load()."""

    @classmethod
    def __class_getitem__(cls, key: Any) -> GenericAlias: ...

@final
class ConcurrentSet(MutableSet[_T]):
    """A set that threads and tasks change together. `add` and `discard` say whether they changed it.

    Iterating goes over a copy made at its beginning; `|`, `&`, `-` and `^` make plain sets.
    """

    def __new__(cls, iterable: Iterable[_T] | None = None, /) -> Self: ...
    def add(self, element: _T) -> bool:  # type: ignore[override]
        """Add an element; whether it was new."""

    def discard(self, element: object) -> bool:  # type: ignore[override]
        """Remove an element; whether it was there."""

    def remove(self, element: object) -> None:
        """Remove an element; KeyError if it is not there."""

    def pop(self) -> _T:
        """Remove any element and return it; KeyError if there is none."""

    def clear(self) -> None:
        """Remove all elements."""

    def snapshot(self) -> set[_T]:
        """A plain set of the elements at this moment."""

    def copy(self) -> ConcurrentSet[_T]:
        """Another ConcurrentSet with the same elements."""

    def update(self, *others: Iterable[_T]) -> None:
        """Add all elements of the iterables, in one step."""

    def intersection_update(self, *others: Iterable[object]) -> None:
        """Keep only what is in all of the iterables, in one step."""

    def difference_update(self, *others: Iterable[object]) -> None:
        """Remove what is in any of the iterables, in one step."""

    def symmetric_difference_update(self, other: Iterable[_T]) -> None:
        """Keep what is in either, and not in both, in one step."""

    def union(self, *others: Iterable[_S]) -> set[_T | _S]:
        """A plain set of what is here or in any of the iterables."""

    def intersection(self, *others: Iterable[object]) -> set[_T]:
        """A plain set of what is here and in all of the iterables."""

    def difference(self, *others: Iterable[object]) -> set[_T]:
        """A plain set of what is here and in none of the iterables."""

    def symmetric_difference(self, other: Iterable[_S]) -> set[_T | _S]:
        """A plain set of what is in either, and not in both."""

    def isdisjoint(self, other: Iterable[object]) -> bool:
        """Whether no element is in the iterable."""

    def issubset(self, other: Iterable[object]) -> bool:
        """Whether every element is in the iterable."""

    def issuperset(self, other: Iterable[object]) -> bool:
        """Whether everything in the iterable is an element."""

    def __or__(self, other: AbstractSet[_S], /) -> set[_T | _S]: ...
    def __ror__(self, other: AbstractSet[_S], /) -> set[_T | _S]: ...  # type: ignore[misc]
    def __and__(self, other: AbstractSet[object], /) -> set[_T]: ...
    def __rand__(self, other: AbstractSet[object], /) -> set[_T]: ...
    def __sub__(self, other: AbstractSet[object], /) -> set[_T]: ...
    def __rsub__(self, other: AbstractSet[_S], /) -> set[_S]: ...  # type: ignore[misc]
    def __xor__(self, other: AbstractSet[_S], /) -> set[_T | _S]: ...
    def __rxor__(self, other: AbstractSet[_S], /) -> set[_T | _S]: ...  # type: ignore[misc]
    def __ior__(self, other: AbstractSet[_T], /) -> Self: ...  # type: ignore[override,misc]
    def __iand__(self, other: AbstractSet[object], /) -> Self: ...
    def __isub__(self, other: AbstractSet[object], /) -> Self: ...
    def __ixor__(self, other: AbstractSet[_T], /) -> Self: ...  # type: ignore[override,misc]
    def __contains__(self, element: object, /) -> bool: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[_T]: ...
    __hash__: ClassVar[None]  # type: ignore[assignment]
    def __reduce__(self) -> tuple[Any, ...]: ...
    @classmethod
    def __class_getitem__(cls, key: Any) -> GenericAlias: ...

@final
class ConcurrentDict(MutableMapping[_K, _V]):
    """A dict that threads and tasks change together, with operations that look and change in one step.

    `keys()`, `values()`, `items()` and iterating go over a copy made at their beginning.
    """

    @overload
    def __new__(cls, other: SupportsKeysAndGetItem[_K, _V] | None = None, /) -> Self: ...
    @overload
    def __new__(cls, other: Iterable[tuple[_K, _V]], /) -> Self: ...
    @overload
    def __new__(cls, **named: _V) -> ConcurrentDict[str, _V]: ...
    @classmethod
    @overload
    def fromkeys(cls, iterable: Iterable[_S], value: None = None, /) -> ConcurrentDict[_S, Any | None]: ...
    @classmethod
    @overload
    def fromkeys(cls, iterable: Iterable[_S], value: _T, /) -> ConcurrentDict[_S, _T]:
        """A ConcurrentDict with these keys, and the value for each."""

    @overload
    def get(self, key: _K, default: None = None, /) -> _V | None: ...
    @overload
    def get(self, key: _K, default: _V, /) -> _V: ...
    @overload
    def get(self, key: _K, default: _S, /) -> _V | _S:
        """The value of a key, or else the default."""

    def get_or_insert(self, key: _K, value: _V, /) -> _V:
        """The value of a key; where there is none, `value` becomes it."""

    def get_or_compute(self, key: _K, function: Callable[[_K], _V], /) -> _V:
        """The value of a key; where there is none, `function(key)` is called once, and its result becomes it.

        Other threads that ask for the key meanwhile wait, and get the same value, or the same exception; then nothing
        is stored. The function may use the dict, with other keys. RuntimeError if it would wait for itself.
        """

    @overload
    def setdefault(self: ConcurrentDict[_K, _S | None], key: _K, default: None = None, /) -> _S | None: ...
    @overload
    def setdefault(self, key: _K, default: _V, /) -> _V:
        """The value of a key; where there is none, the default becomes it."""

    def replace(self, key: _K, old: object, new: _V, /) -> bool:
        """Make the value of a key `new` if it is, or equals, `old`; whether it did."""

    @overload
    def update(self, other: SupportsKeysAndGetItem[_K, _V], /) -> None: ...
    @overload
    def update(self: ConcurrentDict[str, _V], other: SupportsKeysAndGetItem[str, _V], /, **named: _V) -> None: ...
    @overload
    def update(self, other: Iterable[tuple[_K, _V]], /) -> None: ...
    @overload
    def update(self: ConcurrentDict[str, _V], other: Iterable[tuple[str, _V]], /, **named: _V) -> None: ...
    @overload
    def update(self: ConcurrentDict[str, _V], other: None = None, /, **named: _V) -> None:
        """Add what the mapping or the pairs have, in one step."""

    @overload
    def pop(self, key: _K) -> _V: ...
    @overload
    def pop(self, key: _K, default: _V) -> _V: ...
    @overload
    def pop(self, key: _K, default: _S) -> _V | _S:
        """Remove a key; its value, or else the default, or else KeyError."""

    def popitem(self) -> tuple[_K, _V]:
        """Remove the pair that was added last; KeyError if there is none."""

    def clear(self) -> None:
        """Remove everything."""

    def keys(self) -> KeysView[_K]:
        """The keys at this moment."""

    def values(self) -> ValuesView[_V]:
        """The values at this moment."""

    def items(self) -> ItemsView[_K, _V]:
        """The pairs at this moment."""

    def snapshot(self) -> dict[_K, _V]:
        """A plain dict of what is there at this moment."""

    def copy(self) -> ConcurrentDict[_K, _V]:
        """Another ConcurrentDict with the same keys and values."""

    def __getitem__(self, key: _K, /) -> _V: ...
    def __setitem__(self, key: _K, value: _V, /) -> None: ...
    def __delitem__(self, key: _K, /) -> None: ...
    def __contains__(self, key: object, /) -> bool: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[_K]: ...
    def __reversed__(self) -> Iterator[_K]: ...
    def __or__(self, other: Mapping[_S, _T], /) -> dict[_K | _S, _V | _T]: ...
    def __ror__(self, other: Mapping[_S, _T], /) -> dict[_K | _S, _V | _T]: ...
    def __ior__(self, other: SupportsKeysAndGetItem[_K, _V] | Iterable[tuple[_K, _V]], /) -> Self: ...  # type: ignore[misc]
    __hash__: ClassVar[None]  # type: ignore[assignment]
    def __reduce__(self) -> tuple[Any, ...]: ...
    @classmethod
    def __class_getitem__(cls, key: Any) -> GenericAlias: ...

@final
class ConcurrentList(MutableSequence[_T]):
    """A list that threads and tasks change together.

    A slice is a plain list, and iterating goes over a copy made at its beginning.
    """

    def __new__(cls, iterable: Iterable[_T] | None = None, /) -> Self: ...
    def append(self, element: _T) -> None:
        """Add an element at the end."""

    def append_if_absent(self, element: _T) -> bool:
        """Add an element at the end if none equals it; whether it did."""

    def extend(self, iterable: Iterable[_T]) -> None:
        """Add all elements of an iterable at the end, in one step."""

    def insert(self, index: SupportsIndex, element: _T) -> None:
        """Put an element before the one at the index."""

    def pop(self, index: SupportsIndex = ..., /) -> _T:
        """Remove the element at the index, or else the last one, and return it; IndexError if there is none."""

    def remove(self, element: _T) -> None:
        """Remove the first element that equals this one; ValueError if none does."""

    def discard(self, element: object) -> bool:
        """Remove the first element that equals this one; whether one did."""

    def index(self, element: Any, *bounds: SupportsIndex) -> int:
        """Where the first element that equals this one stands; ValueError if none does."""

    def count(self, element: Any) -> int:
        """How many elements equal this one."""

    @overload
    def sort(self: ConcurrentList[SupportsRichComparisonT], *, key: None = None, reverse: bool = False) -> None: ...
    @overload
    def sort(self, *, key: Callable[[_T], SupportsRichComparison], reverse: bool = False) -> None:
        """Sort it in place, in one step."""

    def reverse(self) -> None:
        """Turn its order round, in one step."""

    def clear(self) -> None:
        """Remove all elements."""

    def snapshot(self) -> list[_T]:
        """A plain list of the elements at this moment."""

    def copy(self) -> ConcurrentList[_T]:
        """Another ConcurrentList with the same elements."""

    @overload
    def __getitem__(self, index: SupportsIndex, /) -> _T: ...
    @overload
    def __getitem__(self, index: slice, /) -> list[_T]: ...
    @overload
    def __setitem__(self, index: SupportsIndex, value: _T, /) -> None: ...
    @overload
    def __setitem__(self, index: slice, value: Iterable[_T], /) -> None: ...
    def __delitem__(self, index: SupportsIndex | slice, /) -> None: ...
    def __contains__(self, element: object, /) -> bool: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[_T]: ...
    def __reversed__(self) -> Iterator[_T]: ...
    def __iadd__(self, other: Iterable[_T], /) -> Self: ...  # type: ignore[misc]
    def __add__(self, other: list[_S] | ConcurrentList[_S], /) -> list[_T | _S]: ...
    def __radd__(self, other: list[_S], /) -> list[_T | _S]: ...
    def __mul__(self, count: SupportsIndex, /) -> list[_T]: ...
    def __rmul__(self, count: SupportsIndex, /) -> list[_T]: ...
    def __imul__(self, count: SupportsIndex, /) -> Self: ...
    def __lt__(self, other: list[_T] | ConcurrentList[_T], /) -> bool: ...
    def __le__(self, other: list[_T] | ConcurrentList[_T], /) -> bool: ...
    def __gt__(self, other: list[_T] | ConcurrentList[_T], /) -> bool: ...
    def __ge__(self, other: list[_T] | ConcurrentList[_T], /) -> bool: ...
    __hash__: ClassVar[None]  # type: ignore[assignment]
    def __reduce__(self) -> tuple[Any, ...]: ...
    @classmethod
    def __class_getitem__(cls, key: Any) -> GenericAlias: ...

@disjoint_base
class ThreadFuture:
    def __new__(cls, *_args: Any, **_kwargs: Any) -> Self: ...
    def __init__(self, *_args: Any, **_kwargs: Any) -> None: ...
    def __del__(self) -> None: ...
    def cancel(self) -> bool: ...
    def cancelled(self) -> bool: ...
    def running(self) -> bool: ...
    def done(self) -> bool: ...
    def add_done_callback(self, fn: Callable[[Any], object]) -> None: ...
    def result(self, timeout: float | None = None) -> Any: ...
    def exception(self, timeout: float | None = None) -> BaseException | None: ...
    def set_running_or_notify_cancel(self) -> bool: ...
    def set_result(self, result: Any) -> None: ...
    def set_exception(self, exception: BaseException | None) -> None: ...
    @property
    def _condition(self) -> threading.Condition: ...
    @property
    def _done_callbacks(self) -> list[Callable[[Any], object]]: ...
    _state: str
    _result: Any
    _exception: Any
    _waiters: list[Any]

@final
class ThreadPoolCore:
    """What the workers of a thread pool share; see `_thread_pool.py`."""

    def __new__(cls, max_workers: int, min_workers: int, idle_seconds: float | None) -> Self: ...
    def set_starter(self, start: Callable[[int], object]) -> None: ...
    def submit(
        self,
        function: Callable[..., _T],
        arguments: tuple[Any, ...],
        keywords: dict[str, Any] | None,
        context: Context | None = None,
        priority: int = 0,
        token: CancelToken | None = None,
    ) -> _PoolFuture[_T]: ...
    def submit_from_loop(
        self,
        event_loop: EventLoop,
        function: Callable[..., _T],
        arguments: tuple[Any, ...],
        keywords: dict[str, Any] | None = None,
        context: Context | None = None,
        priority: int = 0,
        token: CancelToken | None = None,
    ) -> asyncio.Future[_T]: ...
    def work(self, number: int) -> None: ...
    def gone(self, number: int) -> None: ...
    def close(self, cancel: bool) -> None: ...
    def stop_running(self) -> None: ...
    def break_down(self, why: str) -> None: ...
    def forget_threads(self, why: BaseException) -> None: ...
    @property
    def closing(self) -> bool: ...
    @property
    def broken(self) -> str | None: ...
    def statistics(self) -> list[tuple[str, float]]: ...
    @staticmethod
    def end_all() -> None: ...

@final
class CancelToken:
    """Tells a running function that it may stop. Nothing stops one that does not ask."""

    def __new__(cls) -> Self: ...
    def cancel(self) -> None:
        """Cancel: whoever asks or waits is told, and jobs that have not begun never do. From any thread."""

    @property
    def cancelled(self) -> bool:
        """Whether cancel() was called."""

    def raise_if_cancelled(self) -> None:
        """Raise concurrent.futures.CancelledError if it is cancelled."""

    def wait(self, seconds: float | None = None) -> bool:
        """Sleep for *seconds* (None: without limit), or until it is cancelled, which is the answer."""

def current_token() -> CancelToken:
    """The token of the function that a pool's worker runs in this thread."""
