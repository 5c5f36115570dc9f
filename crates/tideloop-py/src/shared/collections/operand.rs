//! What may stand beside a `ConcurrentSet`: other sets, as plain ones. They are copied before a gate is entered, so that
//! no two gates are ever held together.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyFrozenSet, PySet};
use pyo3::{Borrowed, intern};

use super::set::ConcurrentSet;

/// A plain set of the elements, read at once where it is one of ours.
pub fn as_set<'py>(other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PySet>> {
    let py = other.py();
    if let Ok(other) = other.cast::<ConcurrentSet>() {
        return other.get().plain(py);
    }
    Ok(py.get_type::<PySet>().call1((other,))?.cast_into()?)
}

/// What may stand beside an operator: a set of any kind, as a plain one. Others get NotImplemented, as from `set`.
pub struct Operand<'py>(pub Bound<'py, PyAny>);

impl<'py> FromPyObject<'_, 'py> for Operand<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let py = object.py();
        let object = object.to_owned();
        if let Ok(set) = object.cast::<ConcurrentSet>() {
            return Ok(Self(set.get().plain(py)?.into_any()));
        }
        if object.is_instance_of::<PySet>() || object.is_instance_of::<PyFrozenSet>() {
            return Ok(Self(object));
        }
        if object.is_instance(&py.import(intern!(py, "collections.abc"))?.getattr(intern!(py, "Set"))?)? {
            return Ok(Self(as_set(&object)?.into_any()));
        }
        Err(PyTypeError::new_err("not a set"))
    }
}
