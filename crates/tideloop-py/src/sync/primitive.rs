//! What all primitives have: a crowd, and how Python sees it.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::type_object::PyTypeInfo;
use pyo3::types::PyType;
use pyo3::{PyTraverseError, PyVisit};

use super::crowd::Crowd;
use super::waiters::{self, Waiters};

/// The base of the native halves of `Lock`, `Event`, `Semaphore` and `Condition`.
#[pyclass(frozen, subclass, module = "tideloop._native")]
pub struct Primitive {
    crowd: Crowd,
}

impl Primitive {
    /// One that nobody waits for.
    pub const fn new() -> Self {
        Self { crowd: Crowd::new() }
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

/// The classes of the package that derive from ours and override nothing.
static PLAIN: PyOnceLock<Vec<Py<PyType>>> = PyOnceLock::new();

/// Remembers the package's own classes, so that making an instance of one needs no look at its methods.
#[pyfunction]
#[pyo3(name = "_set_plain_primitives")]
pub fn set_plain_primitives(py: Python<'_>, classes: Vec<Py<PyType>>) {
    let _ = PLAIN.set(py, classes);
}

/// Whether `class` has the `methods` of its native base `T`, so that they may be called without being looked up.
pub fn is_plain<T: PyTypeInfo>(class: &Bound<'_, PyType>, methods: &[&str]) -> PyResult<bool> {
    let py = class.py();
    if PLAIN.get(py).is_some_and(|known| known.iter().any(|one| one.is(class))) {
        return Ok(true);
    }
    let base = T::type_object(py);
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
