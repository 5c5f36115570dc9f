//! What Tideloop asks of the operating system: polling, waking, timing and sockets, on raw descriptors.
//!
//! Nothing here decides anything or remembers more than a descriptor, and this is the only crate with unsafe system
//! calls. Everything that differs between systems is behind one contract with one file per system; Linux is the
//! reference, macOS and the BSDs have kqueue.
//!
//! Descriptors come in as numbers, because Python hands them over as numbers. See `fd.rs` for what that means.

pub mod clock;
pub mod datagram;
mod fd;
pub mod flag;
pub mod parker;
pub mod pipe;
pub mod poll;
pub mod socket;
pub mod spawn;
pub mod threads;
pub mod ticks;
pub mod timer;
pub mod wake;
