//! What all primitives have: a crowd, and how Python sees it.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;
use pyo3::{PyTraverseError, PyVisit};

use super::crowd::Crowd;
use super::waiters::{self, Waiters};
use crate::slots;

/// The base of the native halves of `Lock`, `Event`, `Semaphore` and `Condition`.
#[pyclass(frozen, subclass, module = "tideloop._native")]
pub struct Primitive {
    crowd: Crowd,
}

impl Primitive {
    /// One that nobody waits for; `plain` as [`is_plain`] says.
    pub const fn new(plain: bool) -> Self {
        Self { crowd: Crowd::new(plain) }
    }

    /// Who waits.
    #[inline]
    pub const fn crowd(&self) -> &Crowd {
        &self.crowd
    }
}

#[pymethods]
impl Primitive {
    /// The futures of those who wait, in order, with `len`, iteration, indexing, `append` and `remove`.
    #[getter(_waiters)]
    fn waiters(slf: &Bound<'_, Self>) -> Waiters {
        Waiters::of(slf)
    }

    #[setter(_waiters)]
    fn assign_waiters(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        waiters::assign(&self.crowd, value)
    }

    /// The loop that it belongs to since somebody had to wait, or None.
    #[getter(_loop)]
    fn event_loop<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.crowd.event_loop(py)
    }

    #[setter(_loop)]
    fn assign_event_loop(&self, value: &Bound<'_, PyAny>) {
        self.crowd.set_event_loop(value);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.crowd.visit(&visit)
    }

    fn __clear__(&self, py: Python<'_>) {
        self.crowd.clear(py);
    }
}

/// The classes of the package that derive from ours: they have our methods.
static PLAIN: PyOnceLock<Vec<Py<PyType>>> = PyOnceLock::new();

/// Puts the hot methods into the package's own classes, and remembers them.
#[pyfunction]
#[pyo3(name = "_register_primitives", signature = (lock, event, condition, semaphore, bounded_semaphore, /))]
pub fn register_primitives(
    lock: &Bound<'_, PyType>,
    event: &Bound<'_, PyType>,
    condition: &Bound<'_, PyType>,
    semaphore: &Bound<'_, PyType>,
    bounded_semaphore: &Bound<'_, PyType>,
) -> PyResult<()> {
    if PLAIN.get(lock.py()).is_some() {
        return Err(PyRuntimeError::new_err("the primitives have been registered"));
    }
    slots::primitives::install(lock, event, condition, [semaphore, bounded_semaphore])?;
    let plain = [lock, condition, semaphore, bounded_semaphore].map(|class| class.clone().unbind());
    let _ = PLAIN.set(lock.py(), plain.into());
    Ok(())
}

/// Whether `class` has the `methods` that we have put into the package's classes, so that they may be called without
/// being looked up.
pub fn is_plain(class: &Bound<'_, PyType>, methods: &[&str]) -> PyResult<bool> {
    let Some(known) = PLAIN.get(class.py()) else { return Ok(false) };
    if known.iter().any(|one| one.is(class)) {
        return Ok(true);
    }
    for base in known.iter().map(|one| one.bind(class.py())) {
        if class.is_subclass(base)? {
            return has_methods_of(class, base, methods);
        }
    }
    Ok(false)
}

fn has_methods_of(class: &Bound<'_, PyType>, base: &Bound<'_, PyType>, methods: &[&str]) -> PyResult<bool> {
    for method in methods {
        if !class.getattr(*method)?.is(&base.getattr(*method)?) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// asyncio's `repr` of a primitive.
pub fn shown(primitive: &Bound<'_, PyAny>, extra: &str, waiters: usize) -> PyResult<String> {
    let extra = if waiters == 0 { extra.to_owned() } else { format!("{extra}, waiters:{waiters}") };
    let plain = primitive.py().get_type::<PyAny>().call_method1("__repr__", (primitive,))?.to_string();
    let inner = plain.strip_prefix('<').and_then(|text| text.strip_suffix('>')).unwrap_or(&plain);
    Ok(format!("<{inner} [{extra}]>"))
}
