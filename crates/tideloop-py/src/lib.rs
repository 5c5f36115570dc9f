//! The extension module `tideloop._native`: its whole Python surface on one screen.

mod both;
mod cell;
mod compose;
mod coroutine;
mod error;
mod event_loop;
#[cfg(target_os = "linux")]
mod load;
mod names;
mod observe;
mod processes;
mod shared;
mod slots;
mod sock;
mod streams;
mod sync;
mod task;
mod threads;
mod transports;

use pyo3::prelude::*;

// GIL builds first: the module re-enables the lock on free-threaded interpreters until the whole suite has
// passed there (DESIGN §4.8).
#[pymodule(gil_used = true)]
mod _native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::event_loop::{EventLoop, Handle, TimerHandle};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        tideloop_sys::ticks::prepare();
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        crate::names::prepare(module.py())?;
        crate::event_loop::init(module)?;
        #[cfg(target_os = "linux")]
        crate::load::init(module)?;
        crate::processes::init(module)?;
        crate::shared::init(module)?;
        crate::task::init(module)?;
        crate::threads::init(module)?;
        crate::compose::init(module)?;
        crate::sock::init(module)?;
        crate::both::init(module)?;
        crate::observe::init(module)?;
        crate::sync::init(module)?;
        crate::streams::init(module)?;
        crate::transports::init(module)
    }
}
