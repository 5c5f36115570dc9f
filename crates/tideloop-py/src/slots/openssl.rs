//! The interpreter's own OpenSSL, called directly: the library that `_ssl` is linked with, found at run time.
//!
//! `ssl.SSLObject` is made by the caller's context as ever, and everything that happens once per connection (handshake,
//! shutdown, certificates) goes through it. Only bytes take the direct way: `SSL_read_ex` and `SSL_write_ex` on the `SSL*`
//! inside the object, whose BIO is exchanged for one of ours ([`wire`]), so that no `bytes`, no memory BIO and no release
//! of the interpreter lock stands between a socket and a protocol.
//!
//! Nothing of this is promised by CPython. So it is tried out once, before the first use, on an object made for it:
//! library, version, the place of the pointer inside the object, and a first flight of a handshake through our BIO.
//! Where anything differs there is no [`Connection`], and TLS runs over memory BIOs.

mod wire;

use std::ffi::{CString, c_char, c_int, c_long, c_void};
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use self::wire::Wire;
use super::bytes;

pub use self::wire::recycle;

/// Ciphertext from here on is decrypted straight into the `bytes` that the protocol is given; below it, a copy from the
/// stack costs less than to make a `bytes` larger than needed and to give the rest back.
const DIRECT_DECRYPT_BYTES_MIN: usize = 8 * 1024;
/// The largest record's plaintext, of which all but the last part may have come before.
const RECORD_BYTES_MAX: usize = 16 * 1024;
const STACK_BYTES: usize = DIRECT_DECRYPT_BYTES_MIN + RECORD_BYTES_MAX;

const RTLD_LAZY: c_int = 1;
#[cfg(target_os = "macos")]
const RTLD_NOLOAD: c_int = 0x10;
#[cfg(not(target_os = "macos"))]
const RTLD_NOLOAD: c_int = 4;

unsafe extern "C" {
    fn dlopen(file: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

type Object = *mut c_void;
type BioRead = unsafe extern "C" fn(Object, *mut c_char, c_int) -> c_int;
type BioWrite = unsafe extern "C" fn(Object, *const c_char, c_int) -> c_int;
type BioControl = unsafe extern "C" fn(Object, c_int, c_long, Object) -> c_long;
type BioDestroy = unsafe extern "C" fn(Object) -> c_int;

macro_rules! library {
    ($($name:ident: fn($($argument:ty),*) -> $result:ty;)*) => {
        /// Functions of libssl and libcrypto. All have been there, as they are, since 1.1.1.
        #[allow(non_snake_case)]
        struct Library {
            $($name: unsafe extern "C" fn($($argument),*) -> $result,)*
        }

        impl Library {
            /// Looks them up in a library and what it depends on.
            fn look_up(library: *mut c_void) -> Option<Self> {
                Some(Self { $($name: {
                    // SAFETY: a handle of dlopen's, and a string that ends with a zero.
                    let address = unsafe { dlsym(library, concat!(stringify!($name), "\0").as_ptr().cast()) };
                    if address.is_null() {
                        return None;
                    }
                    // SAFETY: OpenSSL's function of this name has this signature.
                    unsafe {
                        std::mem::transmute::<*mut c_void, unsafe extern "C" fn($($argument),*) -> $result>(address)
                    }
                },)* })
            }
        }
    };
}

library! {
    OpenSSL_version_num: fn() -> u64;
    SSL_read_ex: fn(Object, *mut c_void, usize, *mut usize) -> c_int;
    SSL_write_ex: fn(Object, *const c_void, usize, *mut usize) -> c_int;
    SSL_has_pending: fn(Object) -> c_int;
    SSL_get_SSL_CTX: fn(Object) -> Object;
    SSL_set_bio: fn(Object, Object, Object) -> ();
    BIO_get_new_index: fn() -> c_int;
    BIO_meth_new: fn(c_int, *const c_char) -> Object;
    BIO_meth_set_read: fn(Object, BioRead) -> c_int;
    BIO_meth_set_write: fn(Object, BioWrite) -> c_int;
    BIO_meth_set_ctrl: fn(Object, BioControl) -> c_int;
    BIO_meth_set_destroy: fn(Object, BioDestroy) -> c_int;
    BIO_new: fn(Object) -> Object;
    BIO_set_init: fn(Object, c_int) -> ();
    BIO_set_data: fn(Object, *mut c_void) -> ();
    BIO_get_data: fn(Object) -> *mut c_void;
    BIO_set_flags: fn(Object, c_int) -> ();
    BIO_clear_flags: fn(Object, c_int) -> ();
}

/// The library and our kind of BIO; `None` if they cannot be used here.
static OPENSSL: OnceLock<Option<OpenSsl>> = OnceLock::new();

struct OpenSsl {
    library: Library,
    /// The `BIO_METHOD*`, as a number.
    method: usize,
}

/// The direct way to one connection's bytes.
pub struct Connection {
    openssl: &'static OpenSsl,
    /// The `_ssl._SSLSocket` that owns the `SSL*`.
    owner: Py<PyAny>,
    /// The `SSL*`, as a number.
    ssl: usize,
    wire: Arc<Mutex<Wire>>,
    /// A call is under way: a callback that it makes (a key log, a message callback) must not begin another.
    busy: AtomicBool,
}

/// Why decrypting came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// More ciphertext is needed.
    Starved,
    /// The memory is full.
    Full,
    /// The peer has closed, or something is wrong: `SSLObject.read` knows.
    Otherwise,
}

/// What came of encrypting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encrypted {
    /// So many bytes are taken, at least one.
    Bytes(usize),
    /// Something must come from the peer first.
    Starved,
    /// Something is wrong: `SSLObject.read` knows.
    Failed,
}

struct Busy<'a>(&'a AtomicBool);

impl Drop for Busy<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Takes the direct way for a fresh `SSLObject`; `None` where there is none. The object's own BIOs are let go.
pub fn connect(object: &Bound<'_, PyAny>) -> Option<Connection> {
    let py = object.py();
    if OPENSSL.get().is_none() {
        // Made outside of the lock: what runs here is Python.
        let made = OpenSsl::find(py).unwrap_or(None);
        let _ = OPENSSL.set(made);
    }
    OPENSSL.get()?.as_ref()?.connect(object).ok().flatten()
}

impl OpenSsl {
    /// Finds the library and tries it out.
    fn find(py: Python<'_>) -> PyResult<Option<Self>> {
        let module = py.import("_ssl")?;
        if !module.getattr("OPENSSL_VERSION")?.extract::<String>()?.starts_with("OpenSSL ") {
            return Ok(None);
        }
        let file = module.getattr("__file__")?.extract::<String>()?;
        let Ok(file) = CString::new(file) else { return Ok(None) };
        // SAFETY: the path of a library that is loaded already; without NOLOAD it would be loaded a second time.
        let handle = unsafe { dlopen(file.as_ptr(), RTLD_LAZY | RTLD_NOLOAD) };
        if handle.is_null() {
            return Ok(None);
        }
        let Some(library) = Library::look_up(handle) else { return Ok(None) };
        // SAFETY: no arguments.
        let version = unsafe { (library.OpenSSL_version_num)() };
        if version != module.getattr("OPENSSL_VERSION_NUMBER")?.extract::<u64>()? {
            return Ok(None);
        }
        let Some(method) = wire::bio_method(&library) else { return Ok(None) };
        let found = Self { library, method };
        Ok(found.sends_a_first_flight(py)?.then_some(found))
    }

    /// Whether the `SSL*` is where it is thought to be: a handshake that begins sends a record.
    fn sends_a_first_flight(&self, py: Python<'_>) -> PyResult<bool> {
        let ssl = py.import("ssl")?;
        let context = ssl.getattr("SSLContext")?.call1((ssl.getattr("PROTOCOL_TLS_CLIENT")?,))?;
        let bio = ssl.getattr("MemoryBIO")?;
        let keywords = PyDict::new(py);
        keywords.set_item("server_hostname", "tideloop.test")?;
        let object = context.call_method("wrap_bio", (bio.call0()?, bio.call0()?), Some(&keywords))?;
        let Some((pointer, owner)) = self.pointer(&object)? else { return Ok(false) };
        let wire = Arc::new(Mutex::new(Wire::default()));
        wire::PROBE.set(Some((self.library.BIO_get_data, self.library.BIO_set_flags, self.library.BIO_clear_flags)));
        let attached = self.attach(pointer, &wire);
        let begun = object.call_method0("do_handshake");
        // The BIO is destroyed with it.
        drop((object, owner));
        wire::PROBE.set(None);
        let sent = lock(&wire).take_outgoing();
        Ok(attached && begun.is_err() && sent.starts_with(&[0x16, 0x03]))
    }

    fn connect(&'static self, object: &Bound<'_, PyAny>) -> PyResult<Option<Connection>> {
        let Some((pointer, owner)) = self.pointer(object)? else { return Ok(None) };
        let wire = Arc::new(Mutex::new(Wire::default()));
        if !self.attach(pointer, &wire) {
            return Ok(None);
        }
        let busy = AtomicBool::new(false);
        Ok(Some(Connection { openssl: self, owner, ssl: pointer as usize, wire, busy }))
    }

    /// The `SSL*` of an `SSLObject`, and the C object that owns it. The object's fields are, in this order: the socket
    /// (none), the pointer, the context; and the context's first is its `SSL_CTX*`, which the `SSL*` knows too.
    fn pointer(&self, object: &Bound<'_, PyAny>) -> PyResult<Option<(Object, Py<PyAny>)>> {
        let py = object.py();
        let owner = object.getattr(intern!(py, "_sslobj"))?;
        let class = py.import(intern!(py, "_ssl"))?.getattr(intern!(py, "_SSLSocket"))?;
        let context = owner.getattr(intern!(py, "context"))?;
        if !owner.get_type().is(&class) || fields(&owner) < 3 || fields(&context) < 1 {
            return Ok(None);
        }
        let (socket, pointer, owner_context) = (field(&owner, 0), field(&owner, 1), field(&owner, 2));
        if !socket.is_null() || pointer.is_null() || owner_context != context.as_ptr().cast() {
            return Ok(None);
        }
        // SAFETY: between no socket and the context that the object names itself lies its `SSL*`.
        let ssl_context = unsafe { (self.library.SSL_get_SSL_CTX)(pointer) };
        Ok((ssl_context == field(&context, 0)).then(|| (pointer, owner.unbind())))
    }

    /// Gives a connection our BIO, for both directions, instead of its own.
    fn attach(&self, ssl: Object, wire: &Arc<Mutex<Wire>>) -> bool {
        // SAFETY: the method was made by this library.
        let bio = unsafe { (self.library.BIO_new)(self.method as Object) };
        if bio.is_null() {
            return false;
        }
        let data = Arc::into_raw(Arc::clone(wire)).cast_mut().cast::<c_void>();
        // SAFETY: a BIO of ours; it owns this reference to the wire until its `destroy`.
        unsafe { (self.library.BIO_set_data)(bio, data) };
        // SAFETY: a BIO of ours.
        unsafe { (self.library.BIO_set_init)(bio, 1) };
        // SAFETY: a live connection, which takes the one reference to the BIO for both directions.
        unsafe { (self.library.SSL_set_bio)(ssl, bio, bio) };
        true
    }
}

/// How many pointers an object holds behind its head, at most.
fn fields(object: &Bound<'_, PyAny>) -> usize {
    let class = object.get_type().as_type_ptr();
    // SAFETY: a live type.
    let size = unsafe { (*class).tp_basicsize };
    usize::try_from(size).unwrap_or(0).saturating_sub(size_of::<ffi::PyObject>()) / size_of::<Object>()
}

/// The pointer in field `index`, which is less than [`fields`].
fn field(object: &Bound<'_, PyAny>, index: usize) -> Object {
    let offset = size_of::<ffi::PyObject>() + index * size_of::<Object>();
    // SAFETY: inside the object, by the caller's word.
    let place = unsafe { object.as_ptr().byte_add(offset) };
    // SAFETY: aligned, and initialised since the object was made.
    unsafe { place.cast::<Object>().read() }
}

fn lock(wire: &Mutex<Wire>) -> MutexGuard<'_, Wire> {
    wire.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Connection {
    /// The object that owns the connection, for the collector.
    pub fn owner(&self) -> &Py<PyAny> {
        &self.owner
    }

    /// Decrypts what was kept and then `incoming`, into one `bytes`. What is not used up is kept.
    #[inline]
    pub fn decrypt<'py>(&self, py: Python<'py>, incoming: &[u8]) -> PyResult<(Option<Bound<'py, PyBytes>>, Ended)> {
        let Some(_busy) = self.begin() else {
            lock(&self.wire).keep(incoming);
            return Ok((None, Ended::Starved));
        };
        let there = lock(&self.wire).lend(incoming);
        let result = if there < DIRECT_DECRYPT_BYTES_MIN {
            let mut memory = [const { MaybeUninit::<u8>::uninit() }; STACK_BYTES];
            let (length, ended) = self.decrypt_into(&mut memory);
            // SAFETY: so many bytes have been written.
            let plain = unsafe { std::slice::from_raw_parts(memory.as_ptr().cast::<u8>(), length) };
            Ok(((length > 0).then(|| PyBytes::new(py, plain)), ended))
        } else {
            let mut ended = Ended::Starved;
            let room = there + RECORD_BYTES_MAX;
            // SAFETY: as many bytes are initialised as the closure says.
            let plain = unsafe {
                bytes::filled(py, room, |memory| {
                    let (length, why) = self.decrypt_into(memory);
                    ended = why;
                    length
                })
            };
            plain.map(|plain| (plain, ended))
        };
        lock(&self.wire).take_back();
        result
    }

    /// Decrypts until starved, or until the memory is full; how many bytes of it have been written.
    fn decrypt_into(&self, memory: &mut [MaybeUninit<u8>]) -> (usize, Ended) {
        let library = &self.openssl.library;
        let ssl = self.ssl as Object;
        let mut filled = 0;
        loop {
            let room = memory.get_mut(filled..).unwrap_or_default();
            if room.is_empty() {
                return (filled, Ended::Full);
            }
            let mut length = 0;
            // SAFETY: the owner keeps the connection alive; the room is as large as is said.
            let ok = unsafe { (library.SSL_read_ex)(ssl, room.as_mut_ptr().cast(), room.len(), &raw mut length) };
            if ok != 1 {
                let starved = lock(&self.wire).starved;
                return (filled, if starved { Ended::Starved } else { Ended::Otherwise });
            }
            filled += length;
            // SAFETY: as above.
            if lock(&self.wire).is_empty() && unsafe { (library.SSL_has_pending)(ssl) } == 0 {
                return (filled, Ended::Starved);
            }
        }
    }

    /// Encrypts `plain`, which is not empty, or the first part of it.
    #[inline]
    pub fn encrypt(&self, _py: Python<'_>, plain: &[u8]) -> Encrypted {
        let Some(_busy) = self.begin() else { return Encrypted::Starved };
        {
            let mut wire = lock(&self.wire);
            wire.starved = false;
            wire.make_room();
        }
        let mut length = 0;
        let ssl = self.ssl as Object;
        // SAFETY: the owner keeps the connection alive; the bytes are borrowed for as long as the call.
        let ok =
            unsafe { (self.openssl.library.SSL_write_ex)(ssl, plain.as_ptr().cast(), plain.len(), &raw mut length) };
        if ok == 1 {
            Encrypted::Bytes(length)
        } else if lock(&self.wire).starved {
            Encrypted::Starved
        } else {
            Encrypted::Failed
        }
    }

    fn begin(&self) -> Option<Busy<'_>> {
        if self.busy.load(Ordering::Relaxed) {
            return None;
        }
        self.busy.store(true, Ordering::Relaxed);
        Some(Busy(&self.busy))
    }

    /// Ciphertext for later.
    pub fn keep(&self, incoming: &[u8]) {
        lock(&self.wire).keep(incoming);
    }

    /// Bytes of ciphertext that are kept.
    pub fn kept_len(&self) -> usize {
        lock(&self.wire).kept_len()
    }

    /// Bytes of ciphertext for the peer.
    pub fn outgoing_len(&self) -> usize {
        lock(&self.wire).outgoing_len()
    }

    /// Ciphertext for the peer. Give the memory to [`recycle`] afterwards.
    #[inline]
    pub fn take_outgoing(&self) -> Vec<u8> {
        lock(&self.wire).take_outgoing()
    }
}
