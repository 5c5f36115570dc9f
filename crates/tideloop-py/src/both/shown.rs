//! How the primitives present themselves.

use pyo3::prelude::*;

/// The class of an object and where it lies, as `object.__repr__` has it: `tideloop.sync.Lock object at 0x7f0c…`.
pub fn object_named(object: &Bound<'_, PyAny>) -> PyResult<String> {
    Ok(format!("{} object at {:p}", class_named(object)?, object.as_ptr()))
}

/// The class of an object: `tideloop.sync.Lock`.
pub fn class_named(object: &Bound<'_, PyAny>) -> PyResult<String> {
    let class = object.get_type();
    Ok(format!("{}.{}", class.module()?, class.qualname()?))
}
