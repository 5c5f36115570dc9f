//! Python objects that the extension looks up once: functions and classes of the standard library.

use pyo3::PyTypeCheck;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

macro_rules! imported {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $module:literal, $attribute:literal;)*) => {$(
        $(#[$doc])*
        pub fn $name(py: Python<'_>) -> PyResult<&Bound<'_, $type>> {
            static OBJECT: PyOnceLock<Py<$type>> = PyOnceLock::new();
            looked_up(&OBJECT, py, $module, $attribute)
        }
    )*};
}

/// What is in the cell; at first, what is imported. That happens outside of the cell: it runs Python, a signal's handler
/// for example, which may come here for the same.
fn looked_up<'py, T: PyTypeCheck>(
    cell: &'static PyOnceLock<Py<T>>,
    py: Python<'py>,
    module: &str,
    attribute: &str,
) -> PyResult<&'py Bound<'py, T>> {
    if let Some(object) = cell.get(py) {
        return Ok(object.bind(py));
    }
    let found = py.import(module)?.getattr(attribute)?.cast_into::<T>()?.unbind();
    Ok(cell.get_or_init(py, || found).bind(py))
}

/// Looks up what a report may need when the interpreter ends and can import nothing any more.
pub fn prepare(py: Python<'_>) -> PyResult<()> {
    future_class(py)?;
    task_class(py)?;
    future_repr(py)?;
    task_repr(py)?;
    format_callback_source(py).map(drop)
}

imported! {
    /// `os.strerror`
    os_strerror: PyAny = "os", "strerror";
    /// `contextvars.Context`
    context_class: PyType = "contextvars", "Context";
    /// `types.CoroutineType`
    coroutine_class: PyAny = "types", "CoroutineType";
    /// `asyncio.Handle`
    handle_class: PyType = "asyncio.events", "Handle";
    /// `asyncio.events._ThreadSafeHandle`
    #[cfg(Py_3_14)]
    thread_safe_handle_class: PyType = "asyncio.events", "_ThreadSafeHandle";
    /// `asyncio.TimerHandle`
    timer_handle_class: PyType = "asyncio.events", "TimerHandle";
    /// `asyncio.Future`, the public class
    future_class: PyType = "asyncio", "Future";
    /// `asyncio.Task`, the public class
    task_class: PyType = "asyncio", "Task";
    /// `asyncio.Transport`
    transport_class: PyType = "asyncio.transports", "Transport";
    /// `asyncio.ReadTransport`
    read_transport_class: PyType = "asyncio.transports", "ReadTransport";
    /// `asyncio.WriteTransport`
    write_transport_class: PyType = "asyncio.transports", "WriteTransport";
    /// What instances of the datagram transport say that they are
    datagram_transport_class: PyType = "tideloop._datagrams", "DatagramTransport";
    /// `asyncio.BaseEventLoop`, whose plain functions serve for what is not hot
    base_event_loop: PyType = "asyncio.base_events", "BaseEventLoop";
    /// `asyncio.base_events._format_handle`
    format_handle: PyAny = "asyncio.base_events", "_format_handle";
    /// `asyncio.format_helpers._format_callback_source`
    format_callback_source: PyAny = "asyncio.format_helpers", "_format_callback_source";
    /// `asyncio.format_helpers.extract_stack`
    extract_stack: PyAny = "asyncio.format_helpers", "extract_stack";
    /// `sys._getframe`
    getframe: PyAny = "sys", "_getframe";
    /// The logger that asyncio writes to
    logger: PyAny = "asyncio.log", "logger";
    /// `asyncio.CancelledError`
    cancelled_error: PyType = "asyncio.exceptions", "CancelledError";
    /// `asyncio.IncompleteReadError`
    incomplete_read_error: PyType = "asyncio.exceptions", "IncompleteReadError";
    /// `asyncio.LimitOverrunError`
    limit_overrun_error: PyType = "asyncio.exceptions", "LimitOverrunError";
    /// asyncio's own `StreamReader`; to be looked up at import, before anybody replaces it
    stock_stream_reader: PyType = "asyncio.streams", "StreamReader";
    /// The reader that programs use, which derives from ours
    stream_reader_class: PyType = "tideloop.streams", "StreamReader";
    /// `asyncio.BrokenBarrierError`
    broken_barrier_error: PyType = "asyncio.exceptions", "BrokenBarrierError";
    /// What `async with` uses of asyncio's own locks
    context_manager_mixin: PyType = "asyncio.locks", "_ContextManagerMixin";
    /// asyncio's own `Condition`, also where its name stands for ours
    condition_class: PyType = "tideloop.locks", "_Condition";
    /// asyncio's own `Barrier`
    barrier_class: PyType = "tideloop.locks", "_Barrier";
    /// The enumeration of a barrier's states
    barrier_state: PyAny = "asyncio.locks", "_BarrierState";
    /// `tideloop.StreamReaderProtocol`
    stream_reader_protocol_class: PyType = "tideloop.streams", "StreamReaderProtocol";
    /// `tideloop.StreamWriter`
    stream_writer_class: PyType = "tideloop.streams", "StreamWriter";
    /// `drain()` of a writer whose protocol is not ours
    drain_of_others: PyAny = "tideloop.streams", "_drain_of_others";
    /// `wait_closed()` of a writer whose protocol is not ours
    wait_closed_of_others: PyAny = "tideloop.streams", "_wait_closed_of_others";
    /// `asyncio.InvalidStateError`
    invalid_state_error: PyType = "asyncio.exceptions", "InvalidStateError";
    /// `asyncio.trsock.TransportSocket`
    transport_socket: PyAny = "asyncio.trsock", "TransportSocket";
    /// `socket.SOL_SOCKET`
    sol_socket: PyAny = "socket", "SOL_SOCKET";
    /// `socket.SO_ERROR`
    so_error: PyAny = "socket", "SO_ERROR";
    /// `socket.socket`
    socket_class: PyType = "socket", "socket";
    /// `selectors._fileobj_to_fd`
    fileobj_to_fd: PyAny = "selectors", "_fileobj_to_fd";
    /// `asyncio.BufferedProtocol`
    buffered_protocol_class: PyType = "asyncio.protocols", "BufferedProtocol";
    /// `asyncio.sslproto._SSLProtocolTransport`
    tls_transport_class: PyType = "asyncio.sslproto", "_SSLProtocolTransport";
    /// `ssl.SSLObject`
    ssl_object_class: PyAny = "ssl", "SSLObject";
    /// `ssl.MemoryBIO`
    memory_bio_class: PyAny = "ssl", "MemoryBIO";
    /// `ssl.SSLError`
    ssl_error: PyAny = "ssl", "SSLError";
    /// `ssl.SSLCertVerificationError`
    ssl_certificate_error: PyAny = "ssl", "SSLCertVerificationError";
    /// `ssl.SSLWantReadError`
    ssl_want_read_error: PyAny = "ssl", "SSLWantReadError";
    /// `ssl.SSLSyscallError`
    ssl_syscall_error: PyAny = "ssl", "SSLSyscallError";
    /// `ssl.SSLZeroReturnError`
    ssl_zero_return_error: PyAny = "ssl", "SSLZeroReturnError";
    /// `asyncio.constants._SendfileMode`
    sendfile_mode: PyAny = "asyncio.constants", "_SendfileMode";
    /// `warnings.warn`
    warn: PyAny = "warnings", "warn";
    /// `asyncio.coroutines.iscoroutine`
    iscoroutine: PyAny = "asyncio.coroutines", "iscoroutine";
    /// `types.GenericAlias`
    generic_alias: PyAny = "types", "GenericAlias";
    /// `asyncio.base_futures._future_repr`
    future_repr: PyAny = "asyncio.base_futures", "_future_repr";
    /// `asyncio.base_tasks._task_repr`
    task_repr: PyAny = "asyncio.base_tasks", "_task_repr";
    /// `asyncio.base_tasks._task_get_stack`
    task_get_stack: PyAny = "asyncio.base_tasks", "_task_get_stack";
    /// `asyncio.base_tasks._task_print_stack`
    task_print_stack: PyAny = "asyncio.base_tasks", "_task_print_stack";
    /// Makes the `__class__` of instances of classes that derive from ours
    stand_in: PyAny = "tideloop._stand_in", "stand_in";
    /// Refuses an `ssl.SSLSocket`
    check_no_ssl_socket: PyAny = "tideloop._sock_calls", "check_no_ssl_socket";
    /// `asyncio.ensure_future`, whatever has taken its place since
    ensure_future: PyAny = "tideloop.tasks", "_ensure_future";
    /// `asyncio.create_task`, whatever has taken its place since
    create_task: PyAny = "tideloop.tasks", "_create_task";
    /// `asyncio.futures._set_result_unless_cancelled`
    set_result_unless_cancelled: PyAny = "asyncio.futures", "_set_result_unless_cancelled";
    /// `asyncio.timeouts._State`, by value
    timeout_state: PyAny = "asyncio.timeouts", "_State";
    /// `ExceptionGroup`
    exception_group: PyType = "builtins", "ExceptionGroup";
    /// The public class of timeouts
    timeout_class: PyType = "tideloop.timeouts", "Timeout";
    /// `asyncio.isfuture`
    isfuture: PyAny = "asyncio.futures", "isfuture";
    /// `inspect.isawaitable`
    isawaitable: PyAny = "inspect", "isawaitable";
    /// Sets a future's result to None unless it is done
    release_waiter: PyAny = "asyncio.tasks", "_release_waiter";
    /// `sys.modules`
    sys_modules: PyAny = "sys", "modules";
    /// Has somebody else's loop call a knock, from any thread
    knock_on_foreign: PyAny = "tideloop._doors", "knock_on_foreign";
    /// `tideloop.sync.Empty`
    shared_empty: PyType = "tideloop._queue_errors", "Empty";
    /// `tideloop.sync.Full`
    shared_full: PyType = "tideloop._queue_errors", "Full";
    /// `tideloop.sync.ShutDown`
    shared_shut_down: PyType = "tideloop._queue_errors", "ShutDown";
    /// A coroutine of trio that waits
    wait_on_trio: PyAny = "tideloop._doors", "wait_on_trio";
    /// What is raised by a channel that is closed
    closed: PyType = "tideloop.channels", "Closed";
    /// What is raised where values have been dropped before they were received
    lagged: PyType = "tideloop.channels", "Lagged";
    /// What is raised by a channel for which one would have to wait
    would_block: PyType = "tideloop.channels", "WouldBlock";
    /// A coroutine that does something unless it is done
    call_once: PyAny = "tideloop._doors", "call_once";
    /// A coroutine that takes locks in the order given
    take_in_order: PyAny = "tideloop._doors", "take_in_order";
    /// What a shared barrier raises that is broken
    shared_broken_barrier: PyType = "tideloop._queue_errors", "BrokenBarrierError";
    /// A coroutine that waits until a predicate holds
    wait_for_condition: PyAny = "tideloop._doors", "wait_for_condition";
    /// Notes this thread, for the deadlock detector
    thread_seen: PyAny = "tideloop._deadlocks", "thread_seen";
    /// Notes a task that is not ours, for the deadlock detector
    watch_foreign_task: PyAny = "tideloop._deadlocks", "watch_foreign_task";
    /// Reports what one held who has ended
    ended_holding: PyAny = "tideloop._deadlocks", "ended_holding";
    /// What a task needs to go on, besides locks
    task_needs: PyAny = "tideloop._deadlocks", "task_needs";
    /// Whether a task waits, and nothing is under way that wakes it
    task_is_parked: PyAny = "tideloop._deadlocks", "task_is_parked";
    /// Whether a timeout or a timer will end the waits of tasks, for some things
    something_ends: PyAny = "tideloop._deadlock_limits", "something_ends";
    /// Whether nothing can wake a loop any more: the error then
    stuck: PyAny = "tideloop._stuck", "stuck";
    /// Reports that error
    tell_stuck: PyAny = "tideloop._stuck", "tell_stuck";
    /// Reports a deadlock
    deadlock_found: PyAny = "tideloop._deadlocks", "deadlock_found";
    /// `asyncio.current_task`
    current_task: PyAny = "asyncio.tasks", "current_task";
    /// What `asyncio.gather` returns
    gathering_class: PyType = "asyncio.tasks", "_GatheringFuture";
    /// `asyncio._get_running_loop`
    get_running_loop_or_none: PyAny = "asyncio", "_get_running_loop";
    /// `asyncio.get_running_loop`
    get_running_loop: PyAny = "asyncio", "get_running_loop";
    /// `collections.deque`
    deque: PyType = "collections", "deque";
    /// `heapq.heappush`
    heappush: PyAny = "heapq", "heappush";
    /// `heapq.heappop`
    heappop: PyAny = "heapq", "heappop";
    /// `asyncio.Event`, the stdlib's
    event_class: PyType = "asyncio.locks", "Event";
    /// `asyncio.QueueEmpty`
    queue_empty: PyType = "asyncio.queues", "QueueEmpty";
    /// `asyncio.QueueFull`
    queue_full: PyType = "asyncio.queues", "QueueFull";
    /// `asyncio.QueueShutDown`, or ours where the running version has none
    queue_shut_down: PyType = "tideloop.queues", "QueueShutDown";
    /// The C half's `_enter_task`
    enter_task: PyAny = "_asyncio", "_enter_task";
    /// The public class of a thread pool's futures
    thread_future_class: PyType = "tideloop._thread_future", "Future";
    /// The logger that `concurrent.futures` writes to
    futures_logger: PyAny = "concurrent.futures._base", "LOGGER";
    /// The logger that thread pools report to
    thread_logger: PyAny = "tideloop._thread_future", "LOGGER";
    /// `concurrent.futures.CancelledError`
    thread_cancelled_error: PyType = "concurrent.futures._base", "CancelledError";
    /// `concurrent.futures.InvalidStateError`
    thread_invalid_state_error: PyType = "concurrent.futures._base", "InvalidStateError";
    /// `concurrent.futures.thread.BrokenThreadPool`
    broken_thread_pool: PyType = "concurrent.futures.thread", "BrokenThreadPool";
    /// `threading.Condition`
    condition_of_threads: PyAny = "threading", "Condition";
    /// The C half's `_leave_task`
    leave_task: PyAny = "_asyncio", "_leave_task";
}

#[cfg(not(Py_3_14))]
imported! {
    /// The dictionary of the task that each loop runs
    current_tasks: pyo3::types::PyDict = "_asyncio", "_current_tasks";
}

#[cfg(not(Py_3_12))]
imported! {
    /// The loop that a future belongs to if none is given
    get_event_loop: PyAny = "asyncio.events", "_get_event_loop";
}

#[cfg(Py_3_12)]
imported! {
    /// The loop that a future belongs to if none is given
    get_event_loop: PyAny = "asyncio.events", "get_event_loop";
}

#[cfg(Py_3_14)]
imported! {
    /// The C half's `_swap_current_task`
    swap_current_task: PyAny = "_asyncio", "_swap_current_task";
    /// `asyncio.future_add_to_awaited_by`
    future_add_to_awaited_by: PyAny = "asyncio", "future_add_to_awaited_by";
    /// `asyncio.future_discard_from_awaited_by`
    future_discard_from_awaited_by: PyAny = "asyncio", "future_discard_from_awaited_by";
}
