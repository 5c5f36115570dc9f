//! What the laboratory measures servers with: a load generator, and the floor beside which servers are judged.
//!
//! | file | what it holds |
//! |---|---|
//! | `load.rs` | the load: connections that are opened once, and slices of time in which they talk |
//! | `connection.rs` | one connection: what of its round has been sent, and what has come back |
//! | `pace.rs` | when requests go out: each after the one before it was answered, or at a fixed rate |
//! | `reply.rs` | what a reply has to be, and the check of each byte that arrives |
//! | `histogram.rs` | latencies |
//! | `floor.rs` | an echo server with nothing but epoll in it |
//! | `address.rs` | where a server listens, and connecting to it |
//!
//! A meter must not share code with what it measures: this crate knows none of the others, and only the operating
//! system below it. It exists on Linux alone, as the laboratory does.

#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod address;
#[cfg(target_os = "linux")]
mod connection;
#[cfg(target_os = "linux")]
mod failure;
#[cfg(target_os = "linux")]
mod floor;
#[cfg(target_os = "linux")]
mod load;
#[cfg(target_os = "linux")]
mod pace;

mod histogram;
mod reply;

#[cfg(target_os = "linux")]
pub use {
    address::Address,
    failure::Failure,
    floor::Floor,
    load::{Load, Plan, Slice},
    pace::Pace,
};

pub use histogram::Histogram;
pub use reply::{Checked, Progress, Reply, Wrong};
