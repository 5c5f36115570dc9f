//! The `sock_*` calls: system calls on the caller's own non-blocking sockets, as native coroutines.
//!
//! | file | what it holds |
//! |---|---|
//! | `call.rs` | `SockCall`, the coroutine: its states, how it waits and ends |
//! | `attempt.rs` | the system calls it attempts |
//! | `share.rs` | what keeps a socket open while a call waits |
//!
//! A call is attempted as soon as the coroutine is stepped, and again whenever the socket is ready; always by the step
//! that returns its result, so that a cancelled call has taken no bytes and no connection. How it waits is written in
//! `event_loop/watchers.rs`, how the interpreter reaches it in `slots/sock_calls.rs`.

mod attempt;
mod call;
mod share;

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;

pub use attempt::Op;
pub use call::{SockCall, Stepped};

use crate::slots;

/// Adds the class, after a check that its instances lie in memory as was assumed.
pub fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    slots::sockets::try_out(py);
    slots::sock_calls::install(py)?;
    let probe = slots::sock_calls::new_sock_call(py, SockCall::blank())?;
    if !slots::verify(&probe) {
        return Err(PyImportError::new_err("the layout of tideloop's socket calls is not what was assumed"));
    }
    module.add_class::<SockCall>()
}
