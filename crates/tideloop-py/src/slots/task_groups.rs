//! The hot method of `TaskGroup` as a plain C function, which is put into the Python class that derives from the native
//! one: the interpreter's specialised calls want the class that defines a method to be the object's own.

use std::ffi::CStr;
use std::ptr;

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType};

use super::classes::{argument, slot_functions};
use super::methods::{Arguments, Object, add, definition, returned};
use crate::compose::TaskGroup;

slot_functions! {
    fn create_task(py, slf: Object, values: *const Object, count: ffi::Py_ssize_t, names: Object) -> Object {
        // SAFETY: the method of this class.
        let group = unsafe { argument::<TaskGroup>(py, slf) };
        // SAFETY: the arguments that this function was called with.
        let arguments = unsafe { Arguments::new(py, values, count, names) };
        returned(py, task_from(&group, &arguments))
    } or ptr::null_mut();
}

/// `create_task(coro, *, name=None, context=None, **kwargs)`.
#[inline]
fn task_from<'py>(group: &Bound<'py, TaskGroup>, arguments: &Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
    let py = group.py();
    let (mut coro, mut name, mut context, mut others) = (None, None, None, None);
    match arguments.positional() {
        [] => {}
        [given] => coro = Some(arguments.own(given)),
        more => {
            let message =
                format!("TaskGroup.create_task() takes 2 positional arguments but {} were given", more.len() + 1);
            return Err(PyTypeError::new_err(message));
        }
    }
    for (keyword, value) in arguments.keywords() {
        if keyword.eq(intern!(py, "name"))? {
            name = Some(value);
        } else if keyword.eq(intern!(py, "context"))? {
            context = Some(value);
        } else if coro.is_none() && keyword.eq(intern!(py, "coro"))? {
            coro = Some(value);
        } else {
            others.get_or_insert_with(|| PyDict::new(py)).set_item(keyword, value)?;
        }
    }
    let Some(coro) = coro else {
        return Err(PyTypeError::new_err("TaskGroup.create_task() missing 1 required positional argument: 'coro'"));
    };
    let given = |value: Option<Bound<'py, PyAny>>| value.filter(|value| !value.is_none());
    TaskGroup::create_task_native(group, &coro, given(name).as_ref(), given(context).as_ref(), others.as_ref())
}

#[cfg(not(Py_3_14))]
const CREATE_TASK: &CStr = c"create_task($self, coro, *, name=None, context=None)\n--\n\nCreate a task in this group, \
    and return it. RuntimeError, and the coroutine is closed, where the group takes no tasks: before it is entered, \
    while it is shutting down, and when it is finished. Corresponds to `asyncio.TaskGroup.create_task`.";
#[cfg(Py_3_14)]
const CREATE_TASK: &CStr = c"create_task($self, coro, **kwargs)\n--\n\nCreate a task in this group, and return it; \
    `name`, `context` and more are passed on to the loop's `create_task`. RuntimeError, and the coroutine is closed, \
    where the group takes no tasks: before it is entered, while it is shutting down, and when it is finished. \
    Corresponds to `asyncio.TaskGroup.create_task`.";

/// Adds the method to the class.
pub fn install(class: &Bound<'_, PyType>) -> PyResult<()> {
    if !class.is_subclass_of::<TaskGroup>()? {
        return Err(PyTypeError::new_err("a class that derives from the native task group is needed"));
    }
    let call = ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: create_task };
    add(class, vec![definition(c"create_task", call, ffi::METH_FASTCALL | ffi::METH_KEYWORDS, CREATE_TASK)])
}
