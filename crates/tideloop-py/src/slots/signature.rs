//! The parameters of a C function that Python may call with positional and with named arguments.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use super::methods::Arguments;

/// What a function is called with: its parameters, and how many of them have no default.
pub struct Signature<const N: usize> {
    pub parameters: [&'static str; N],
    pub required: usize,
}

impl<const N: usize> Signature<N> {
    /// The values of the parameters, all of which may be positional.
    #[inline]
    pub fn bind<'py>(
        &self,
        function: &str,
        arguments: &Arguments<'_, 'py>,
    ) -> PyResult<[Option<Bound<'py, PyAny>>; N]> {
        self.bind_positional(function, arguments, N)
    }

    /// The values of the parameters, of which so many may be positional.
    #[inline]
    pub fn bind_positional<'py>(
        &self,
        function: &str,
        arguments: &Arguments<'_, 'py>,
        positional_max: usize,
    ) -> PyResult<[Option<Bound<'py, PyAny>>; N]> {
        let mut values = [const { None }; N];
        let positional = arguments.positional();
        if positional.len() > positional_max {
            return Err(self.too_many(function, positional.len(), positional_max));
        }
        for (place, value) in values.iter_mut().zip(positional) {
            *place = Some(arguments.own(value));
        }
        for (keyword, value) in arguments.keywords() {
            let mut places = self.parameters.iter().zip(&mut values);
            let named = places.find_map(|(name, place)| keyword.eq(name).unwrap_or(false).then_some(place));
            let problem = match named {
                Some(place) if place.is_none() => {
                    *place = Some(value);
                    continue;
                }
                Some(_) => "got multiple values for argument",
                None => "got an unexpected keyword argument",
            };
            return Err(PyTypeError::new_err(format!("{function}() {problem} '{keyword}'")));
        }
        let missing = values.iter().zip(self.parameters).take(self.required).find(|(value, _)| value.is_none());
        match missing {
            Some((_, name)) => {
                Err(PyTypeError::new_err(format!("{function}() missing 1 required positional argument: '{name}'")))
            }
            None => Ok(values),
        }
    }

    #[cold]
    fn too_many(&self, function: &str, given: usize, most: usize) -> PyErr {
        let few = if self.required < most { format!("from {} to {most}", self.required) } else { most.to_string() };
        let plural = if most == 1 { "" } else { "s" };
        let were = if given == 1 { "was" } else { "were" };
        PyTypeError::new_err(format!("{function}() takes {few} positional argument{plural} but {given} {were} given"))
    }
}
