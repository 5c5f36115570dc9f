//! `ConcurrentList`: a list whose operations are one step each to all other threads.

use pyo3::basic::CompareOp;
use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyIterator, PyList, PySlice, PyTuple};
use pyo3::{Borrowed, PyTraverseError, PyVisit};

use super::guarded::Guarded;

/// A list that threads and tasks change together.
///
/// A slice is a plain list, and iterating goes over a copy made at its beginning.
#[pyclass(frozen, generic, weakref, module = "tideloop.sync")]
pub struct ConcurrentList(Guarded<PyList>);

/// A list beside an operator, as a plain one. Others get NotImplemented, as from `list`.
struct Operand<'py>(Bound<'py, PyList>);

impl<'py> FromPyObject<'_, 'py> for Operand<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(list) = object.cast::<ConcurrentList>() {
            return Ok(Self(list.get().plain(object.py())?));
        }
        match object.cast::<PyList>() {
            Ok(list) => Ok(Self(list.to_owned())),
            Err(_) => Err(PyTypeError::new_err("not a list")),
        }
    }
}

/// A plain list of the elements of an iterable.
fn as_list<'py>(other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
    if let Ok(other) = other.cast::<ConcurrentList>() {
        return other.get().plain(other.py());
    }
    Ok(other.py().get_type::<PyList>().call1((other,))?.cast_into()?)
}

impl ConcurrentList {
    fn plain<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.0.with(py, |list| Ok(list.get_slice(0, list.len())))
    }

    /// Changes the list in a way that may take elements out: those are dropped outside of the gate.
    fn change<'py>(&self, py: Python<'py>, change: impl FnOnce(&Bound<'py, PyList>) -> PyResult<()>) -> PyResult<()> {
        let before = self.0.with(py, |list| {
            let before = list.get_slice(0, list.len());
            change(list)?;
            Ok(before)
        })?;
        drop(before);
        Ok(())
    }
}

#[pymethods]
impl ConcurrentList {
    #[new]
    #[pyo3(signature = (iterable=None, /))]
    fn __new__(py: Python<'_>, iterable: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        Ok(Self(Guarded::new(match iterable {
            Some(iterable) => as_list(iterable)?,
            None => PyList::empty(py),
        })))
    }

    /// Add an element at the end.
    fn append(&self, py: Python<'_>, element: &Bound<'_, PyAny>) -> PyResult<()> {
        self.0.with(py, |list| list.append(element))
    }

    /// Add an element at the end if none equals it; whether it did.
    fn append_if_absent(&self, py: Python<'_>, element: &Bound<'_, PyAny>) -> PyResult<bool> {
        self.0.with(py, |list| {
            if list.contains(element)? {
                return Ok(false);
            }
            list.append(element)?;
            Ok(true)
        })
    }

    /// Add all elements of an iterable at the end, in one step.
    fn extend(&self, py: Python<'_>, iterable: &Bound<'_, PyAny>) -> PyResult<()> {
        let elements = as_list(iterable)?;
        self.0.with(py, |list| list.set_slice(usize::MAX >> 1, usize::MAX >> 1, elements.as_any()))
    }

    /// Put an element before the one at the index.
    fn insert(&self, py: Python<'_>, index: &Bound<'_, PyAny>, element: &Bound<'_, PyAny>) -> PyResult<()> {
        self.0.with(py, |list| list.call_method1(intern!(py, "insert"), (index, element)))?;
        Ok(())
    }

    /// Remove the element at the index, or else the last one, and return it; IndexError if there is none.
    #[pyo3(signature = (index=-1, /))]
    fn pop<'py>(&self, py: Python<'py>, index: isize) -> PyResult<Bound<'py, PyAny>> {
        self.0.with(py, |list| list.call_method1(intern!(py, "pop"), (index,)))
    }

    /// Remove the first element that equals this one; ValueError if none does.
    fn remove(&self, py: Python<'_>, element: &Bound<'_, PyAny>) -> PyResult<()> {
        self.0.with(py, |list| list.call_method1(intern!(py, "remove"), (element,)))?;
        Ok(())
    }

    /// Remove the first element that equals this one; whether one did.
    fn discard(&self, py: Python<'_>, element: &Bound<'_, PyAny>) -> PyResult<bool> {
        let removed = self.0.with(py, |list| {
            if !list.contains(element)? {
                return Ok(None);
            }
            Ok(Some(list.call_method1(intern!(py, "pop"), (list.index(element)?,))?))
        })?;
        Ok(removed.is_some())
    }

    /// Where the first element that equals this one stands; ValueError if none does.
    #[pyo3(signature = (element, *bounds))]
    fn index<'py>(&self, element: Bound<'py, PyAny>, bounds: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        let py = element.py();
        let arguments: Vec<_> = std::iter::once(element).chain(bounds).collect();
        self.0.with(py, |list| list.call_method1(intern!(py, "index"), PyTuple::new(py, arguments)?))
    }

    /// How many elements equal this one.
    fn count<'py>(&self, element: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = element.py();
        self.0.with(py, |list| list.call_method1(intern!(py, "count"), (element,)))
    }

    /// Sort it in place, in one step.
    #[pyo3(signature = (*, key=None, reverse=false))]
    fn sort<'py>(&self, py: Python<'py>, key: Option<&Bound<'py, PyAny>>, reverse: bool) -> PyResult<()> {
        let named = PyDict::new(py);
        named.set_item(intern!(py, "key"), key)?;
        named.set_item(intern!(py, "reverse"), reverse)?;
        self.0.with(py, |list| list.call_method(intern!(py, "sort"), (), Some(&named)))?;
        Ok(())
    }

    /// Turn its order round, in one step.
    fn reverse(&self, py: Python<'_>) -> PyResult<()> {
        self.0.with(py, |list| list.reverse())
    }

    /// Remove all elements.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        self.change(py, |list| list.del_slice(0, list.len()))
    }

    /// A plain list of the elements at this moment.
    fn snapshot<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.plain(py)
    }

    /// Another ConcurrentList with the same elements.
    fn copy(&self, py: Python<'_>) -> PyResult<Self> {
        Ok(Self(Guarded::new(self.plain(py)?)))
    }

    fn __getitem__<'py>(&self, index: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.0.with(index.py(), |list| list.as_any().get_item(index))
    }

    fn __setitem__<'py>(&self, index: &Bound<'py, PyAny>, value: &Bound<'py, PyAny>) -> PyResult<()> {
        let py = index.py();
        if index.is_instance_of::<PySlice>() {
            let values = as_list(value)?;
            return self.change(py, |list| list.as_any().set_item(index, &values));
        }
        let before = self.0.with(py, |list| {
            let before = list.as_any().get_item(index).ok();
            list.as_any().set_item(index, value)?;
            Ok(before)
        })?;
        drop(before);
        Ok(())
    }

    fn __delitem__<'py>(&self, index: &Bound<'py, PyAny>) -> PyResult<()> {
        let py = index.py();
        if index.is_instance_of::<PySlice>() {
            return self.change(py, |list| list.as_any().del_item(index));
        }
        let removed = self.0.with(py, |list| {
            let removed = list.as_any().get_item(index).ok();
            list.as_any().del_item(index)?;
            Ok(removed)
        })?;
        drop(removed);
        Ok(())
    }

    fn __contains__<'py>(&self, element: &Bound<'py, PyAny>) -> PyResult<bool> {
        self.0.with(element.py(), |list| list.contains(element))
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.0.with(py, |list| Ok(list.len()))
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        self.plain(py)?.try_iter()
    }

    fn __reversed__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        let list = self.plain(py)?;
        list.reverse()?;
        list.try_iter()
    }

    fn __iadd__<'py>(&self, py: Python<'py>, other: &Bound<'py, PyAny>) -> PyResult<()> {
        self.extend(py, other)
    }

    fn __add__<'py>(&self, other: Operand<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.plain(other.0.py())?.add(other.0)
    }

    fn __radd__<'py>(&self, other: Operand<'py>) -> PyResult<Bound<'py, PyAny>> {
        let py = other.0.py();
        other.0.add(self.plain(py)?)
    }

    fn __mul__<'py>(&self, count: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.plain(count.py())?.mul(count)
    }

    fn __rmul__<'py>(&self, count: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.__mul__(count)
    }

    fn __imul__<'py>(&self, count: &Bound<'py, PyAny>) -> PyResult<()> {
        let py = count.py();
        self.change(py, |list| list.call_method1(intern!(py, "__imul__"), (count,)).map(drop))
    }

    fn __richcmp__<'py>(&self, other: Operand<'py>, op: CompareOp) -> PyResult<Bound<'py, PyAny>> {
        self.plain(other.0.py())?.rich_compare(other.0, op)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        self.0.shown("ConcurrentList", || {
            let list = self.plain(py)?;
            Ok(if list.is_empty() { None } else { Some(list.into_any()) })
        })
    }

    /// The elements come after the object itself, which they may contain.
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        let py = slf.py();
        let elements = slf.get().plain(py)?.try_iter()?;
        (slf.get_type(), PyTuple::empty(py), py.None(), elements).into_pyobject(py)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.0.traverse(&visit)
    }
}
