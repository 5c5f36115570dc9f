//! Why a load could not be opened, or a slice not be measured.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::reply::Wrong;

/// Whatever ends a load: nothing is counted after it.
#[derive(Debug)]
pub enum Failure {
    /// The operating system refused something, such as connecting.
    System(&'static str, io::Error),
    /// A connection, by its number, got a wrong answer.
    Wrong(usize, Wrong),
    /// The server has closed a connection.
    Closed(usize),
    /// No answer came for so long, though so many connections waited for one.
    Silent(usize, Duration),
    /// A load that makes no sense.
    Plan(&'static str),
    /// The caller wanted no more.
    Stopped,
}

impl Failure {
    /// For `map_err` after a system call.
    pub(crate) fn at<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |error| Self::System(what, error.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(what, error) => write!(formatter, "{what}: {error}"),
            Self::Wrong(number, wrong) => write!(formatter, "wrong reply on connection {number}: {wrong}"),
            Self::Closed(number) => write!(formatter, "the server closed connection {number}"),
            Self::Silent(waiting, silence) => {
                write!(formatter, "no reply for {silence:?}, and {waiting} connections wait for one")
            }
            Self::Plan(what) => formatter.write_str(what),
            Self::Stopped => formatter.write_str("stopped"),
        }
    }
}

impl std::error::Error for Failure {}
