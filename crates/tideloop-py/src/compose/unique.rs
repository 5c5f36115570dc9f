//! Which of several awaitables were given before: they are compared as a dictionary compares its keys.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::slots::classes::exact_future;
use crate::slots::coroutine::is_plain_coroutine;

/// Spreads addresses: one multiplication.
#[derive(Default)]
pub struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        // 2^64 divided by the golden ratio; the table takes its index from the low bits.
        self.0 = (self.0 ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(26);
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }
}

/// A map from the addresses of objects.
pub type ByAddress<T> = HashMap<usize, T, BuildHasherDefault<AddressHasher>>;

/// The awaitables seen so far, each with the number it was given.
pub struct Unique<'py> {
    /// Those that are equal to nothing but themselves.
    known: ByAddress<usize>,
    /// The others.
    others: Option<Bound<'py, PyDict>>,
}

impl<'py> Unique<'py> {
    pub fn with_capacity(count: usize) -> Self {
        Self { known: HashMap::with_capacity_and_hasher(count, BuildHasherDefault::default()), others: None }
    }

    /// The number of one that was seen before; else it gets `number`. `TypeError` for what cannot be hashed.
    #[inline]
    pub fn number(&mut self, awaitable: &Bound<'py, PyAny>, number: usize) -> PyResult<Option<usize>> {
        if is_plain_coroutine(awaitable) || exact_future(awaitable).is_some() {
            return match self.known.entry(awaitable.as_ptr() as usize) {
                std::collections::hash_map::Entry::Occupied(seen) => Ok(Some(*seen.get())),
                std::collections::hash_map::Entry::Vacant(place) => {
                    place.insert(number);
                    Ok(None)
                }
            };
        }
        let others = self.others.get_or_insert_with(|| PyDict::new(awaitable.py()));
        if let Some(seen) = others.get_item(awaitable)? {
            return seen.extract().map(Some);
        }
        others.set_item(awaitable, number)?;
        Ok(None)
    }
}
