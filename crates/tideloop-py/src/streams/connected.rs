//! A server's connection: its writer, the callback that it is handed to, and the task that the callback becomes.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3::{PyTraverseError, PyVisit};

use super::StreamReaderProtocol;
use crate::cell::{Cell, Slot};
use crate::names;

const FAILED: &str = "Unhandled exception in client_connected_cb";

/// Hands the connection to the server's callback.
pub(super) fn call_back<'py>(
    protocol: &Bound<'py, StreamReaderProtocol>,
    transport: &Bound<'py, PyAny>,
    reader: Option<Bound<'py, PyAny>>,
    callback: &Bound<'py, PyAny>,
) -> PyResult<()> {
    let py = protocol.py();
    let event_loop = protocol.get().event_loop(py)?.into_any();
    let writer = names::stream_writer_class(py)?.call1((transport, protocol, &reader, &event_loop))?;
    let outcome = match callback.call1((reader, writer)) {
        Ok(outcome) => outcome,
        Err(error) if cfg!(Py_3_14) && error.is_instance_of::<pyo3::exceptions::PyException>(py) => {
            report(&event_loop, error.value(py).as_any(), transport)?;
            transport.call_method0(intern!(py, "close"))?;
            StreamReaderProtocol::set_strong_reader(protocol, None);
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    if names::iscoroutine(py)?.call1((&outcome,))?.is_truthy()? {
        let task = event_loop.call_method1(intern!(py, "create_task"), (outcome,))?;
        StreamReaderProtocol::set_task(protocol, Some(&task));
        let done = HandlerDone {
            state: Cell::new((Slot::holding(transport.clone().unbind()), Slot::holding(event_loop.unbind()))),
        };
        task.call_method1(intern!(py, "add_done_callback"), (done,))?;
    }
    StreamReaderProtocol::set_strong_reader(protocol, None);
    Ok(())
}

fn report(event_loop: &Bound<'_, PyAny>, exception: &Bound<'_, PyAny>, transport: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = event_loop.py();
    let context = PyDict::new(py);
    context.set_item(intern!(py, "message"), FAILED)?;
    context.set_item(intern!(py, "exception"), exception)?;
    context.set_item(intern!(py, "transport"), transport)?;
    event_loop.call_method1(intern!(py, "call_exception_handler"), (context,)).map(drop)
}

/// What is called when the task of a connection is done: one that failed is reported, and its connection closed.
#[pyclass(frozen, module = "tideloop._native")]
struct HandlerDone {
    /// The transport, and the loop.
    state: Cell<(Slot, Slot)>,
}

impl Drop for HandlerDone {
    fn drop(&mut self) {
        let (transport, event_loop) = self.state.get_mut();
        drop((transport.take(), event_loop.take()));
    }
}

#[pymethods]
impl HandlerDone {
    fn __call__(&self, task: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = task.py();
        let contents = self.state.with(py, |state| (state.0.cloned(py), state.1.cloned(py)));
        let (Some(transport), Some(event_loop)) = contents else { return Ok(()) };
        let transport = transport.bind(py);
        if !task.call_method0(intern!(py, "cancelled"))?.is_truthy()? {
            let exception = task.call_method0(intern!(py, "exception"))?;
            if exception.is_none() {
                return Ok(());
            }
            report(event_loop.bind(py), &exception, transport)?;
        }
        transport.call_method0(intern!(py, "close")).map(drop)
    }

    fn __repr__(&self) -> &'static str {
        "StreamReaderProtocol.connection_made.<locals>.callback()"
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let visited = self.state.during_gc(|state| {
            state.0.visit(&visit)?;
            state.1.visit(&visit)
        });
        visited.unwrap_or(Ok(()))
    }

    fn __clear__(slf: &Bound<'_, Self>) {
        drop(slf.get().state.with(slf.py(), |state| (state.0.take(), state.1.take())));
    }
}
