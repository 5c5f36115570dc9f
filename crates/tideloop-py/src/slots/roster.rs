//! A list of live objects that does not own them: an object is entered when it is made, and leaves when it dies.

use std::cell::UnsafeCell;

use pyo3::ffi;
use pyo3::prelude::*;

/// A place in a [`Roster`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Place(u32);

impl Place {
    /// No place.
    pub const NONE: Self = Self(u32::MAX);
}

/// All live objects of a kind.
pub struct Roster(UnsafeCell<Places>);

struct Places {
    /// The address of an object; or, in a free place, the next free one, shifted left with the lowest bit set.
    /// Objects lie at even addresses.
    entries: Vec<usize>,
    free: u32,
    len: usize,
}

// SAFETY: only reached by attached threads, of which there is one at a time: the module declares `gil_used`.
unsafe impl Sync for Roster {}

impl Roster {
    /// A roster of nobody.
    pub const fn new() -> Self {
        Self(UnsafeCell::new(Places { entries: Vec::new(), free: u32::MAX, len: 0 }))
    }

    #[expect(clippy::mut_from_ref, reason = "private; every caller lets it go before Python can run")]
    fn places(&self, _py: Python<'_>) -> &mut Places {
        // SAFETY: attached, and the callers below neither call Python nor each other while they use it.
        unsafe { &mut *self.0.get() }
    }

    /// Enters an object; `None` where there are four billion.
    #[inline]
    #[must_use = "the object must leave by this place"]
    pub fn enter(&self, object: &Bound<'_, PyAny>) -> Place {
        let places = self.places(object.py());
        let address = object.as_ptr() as usize;
        let place = places.free;
        if let Some(entry) = places.entries.get_mut(place as usize) {
            places.free = (*entry >> 1) as u32;
            *entry = address;
        } else {
            let end = places.entries.len();
            if end >= u32::MAX as usize {
                return Place::NONE;
            }
            places.entries.push(address);
            places.len += 1;
            return Place(end as u32);
        }
        places.len += 1;
        Place(place)
    }

    /// Frees a place.
    #[inline]
    pub fn leave(&self, py: Python<'_>, place: Place) {
        let places = self.places(py);
        if let Some(entry) = places.entries.get_mut(place.0 as usize) {
            *entry = ((places.free as usize) << 1) | 1;
            places.free = place.0;
            places.len -= 1;
        }
    }

    /// How many objects there are.
    pub fn len(&self, py: Python<'_>) -> usize {
        self.places(py).len
    }

    /// A reference to each object whose last one is not gone yet.
    pub fn snapshot<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyAny>> {
        let places = self.places(py);
        let addresses = places.entries.iter().filter(|entry| **entry & 1 == 0);
        addresses.filter_map(|address| upgrade(py, *address as *mut ffi::PyObject)).collect()
    }
}

/// A reference of one's own to an object of a roster, unless it is being destroyed.
pub(crate) fn upgrade<'py>(py: Python<'py>, object: *mut ffi::PyObject) -> Option<Bound<'py, PyAny>> {
    // SAFETY: an object leaves the roster before its memory is freed.
    if unsafe { ffi::Py_REFCNT(object) } == 0 {
        return None;
    }
    // SAFETY: as above; and it is alive.
    Some(unsafe { Bound::from_borrowed_ptr(py, object) })
}
