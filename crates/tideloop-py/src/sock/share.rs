//! A share of a `socket.socket`: while somebody holds one, `close()` is put off, as for the files of `makefile()`.

use pyo3::intern;
use pyo3::prelude::*;

/// Takes a share.
pub(super) fn take(sock: &Bound<'_, PyAny>) -> PyResult<()> {
    let name = intern!(sock.py(), "_io_refs");
    let shares: i64 = sock.getattr(name)?.extract()?;
    sock.setattr(name, shares + 1)
}

/// Gives it back, and closes the socket if that was put off.
pub(super) fn give_back(sock: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = sock.py();
    let name = intern!(py, "_io_refs");
    let shares: i64 = sock.getattr(name)?.extract()?;
    if shares > 0 {
        sock.setattr(name, shares - 1)?;
    }
    if sock.getattr(intern!(py, "_closed"))?.is_truthy()? {
        sock.call_method0(intern!(py, "close"))?;
    }
    Ok(())
}
