//! The primitive that a coroutine belongs to, with its class: nobody has to ask for that again.

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use super::barrier::Barrier;
use super::{Condition, Event, Lock, Semaphore};
use crate::cell::Slot;

macro_rules! owners {
    ($($class:ident),*) => {
        /// A reference to a primitive.
        pub enum Subject<'py> {
            $($class(Bound<'py, $class>),)*
        }

        /// A slot for a primitive.
        pub enum Owner {
            Nobody,
            $($class(Slot<$class>),)*
        }

        impl Owner {
            /// A slot that holds the primitive.
            #[inline]
            pub fn holding(subject: Subject<'_>) -> Self {
                match subject {
                    $(Subject::$class(one) => Self::$class(Slot::holding(one.unbind())),)*
                }
            }

            /// A reference of one's own to the primitive, unless it has been taken out.
            #[inline]
            pub fn cloned<'py>(&self, py: Python<'py>) -> Option<Subject<'py>> {
                match self {
                    Self::Nobody => None,
                    $(Self::$class(slot) => slot.cloned(py).map(|one| Subject::$class(one.into_bound(py))),)*
                }
            }

            /// Shows the primitive to the collector.
            pub fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
                match self {
                    Self::Nobody => Ok(()),
                    $(Self::$class(slot) => slot.visit(visit),)*
                }
            }

            /// Drops the primitive: called outside of the cell that it was in.
            #[inline]
            pub fn release(mut self, py: Python<'_>) {
                match &mut self {
                    Self::Nobody => {}
                    $(Self::$class(slot) => {
                        if let Some(one) = slot.take() {
                            one.drop_ref(py);
                        }
                    })*
                }
            }
        }

        $(impl<'py> From<&Bound<'py, $class>> for Subject<'py> {
            #[inline]
            fn from(one: &Bound<'py, $class>) -> Self {
                Self::$class(one.clone())
            }
        })*
    };
}

owners!(Lock, Event, Semaphore, Condition, Barrier);
