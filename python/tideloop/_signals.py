"""Signals: handlers that run as callbacks of the loop, and a wake-up of the loop for every signal.

While a loop runs in the main thread, the interpreter's C handler writes each signal's number into a socketpair of the
loop (signal.set_wakeup_fd), whichever thread the kernel chose. The loop wakes, lets Python's own handlers run (so that
Ctrl+C raises KeyboardInterrupt), and gives the bytes to _process_signals(). A socketpair, because an eventfd refuses
one byte. Whoever had a descriptor of their own there before the run, as Twisted has for its children, gets the bytes
from the loop. While the loop does not run, the descriptor is whatever it was before, and a signal that belongs to the
loop reaches it through the Python-level handler instead; it is served in the next run.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import sys
import threading
import warnings
import weakref
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import TypeVarTuple, Unpack

from . import _native
from ._executors import is_coroutine_callback

__all__ = ["Signals"]

_Ts = TypeVarTuple("_Ts")

# Which loop each signal belongs to: the one that asked last. Weak, so that a forgotten loop can be collected.
_owners: dict[int, weakref.ref[Signals]] = {}

# The loop whose socketpair is the process's wake-up descriptor now: the child of a fork has to let go of it.
_awake: weakref.ref[Signals] | None = None


class Signals(_native.EventLoop):
    """Mixin: add_signal_handler, remove_signal_handler, and the wake-up descriptor."""

    __slots__ = ()

    # signal number → asyncio.Handle; IPython reads it.
    _signal_handlers: dict[int, asyncio.Handle]
    _wakeup_pair: tuple[socket.socket, socket.socket] | None
    _wakeup_fd_before: int
    _wakeup_installed: bool

    def __init__(self) -> None:
        super().__init__()
        self._signal_handlers = {}
        self._wakeup_pair = None
        self._wakeup_fd_before = -1
        self._wakeup_installed = False

    def add_signal_handler(self, sig: int, callback: Callable[[Unpack[_Ts]], object], *args: *_Ts) -> None:
        """Call ``callback(*args)`` in the loop whenever signal *sig* arrives, in place of an earlier handler.

        Raises ValueError for an invalid signal number, TypeError for one that is no int and for a coroutine function,
        RuntimeError outside the main thread, on a closed loop, and for a signal that cannot be caught.
        Counterpart: :meth:`asyncio.loop.add_signal_handler`.
        """
        if is_coroutine_callback(callback):
            raise TypeError("coroutines cannot be used with add_signal_handler()")
        _check_signal(sig)
        self._check_closed()
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("set_wakeup_fd only works in main thread of the main interpreter")
        before = self._signal_handlers.get(sig)
        self._signal_handlers[sig] = asyncio.Handle(callback, args, self, None)
        try:
            signal.signal(sig, _on_signal)
            # System calls of other libraries go on after the signal instead of failing with EINTR.
            signal.siginterrupt(sig, False)
        except (OSError, ValueError) as error:
            if before is None:
                del self._signal_handlers[sig]
            else:
                self._signal_handlers[sig] = before
            _raise_uncatchable(sig, error)
        _owners[sig] = weakref.ref(self)

    def remove_signal_handler(self, sig: int) -> bool:
        """Give signal *sig* back to the system's default, SIGINT to Python's; return whether there was a handler.

        Raises as add_signal_handler() does for a bad *sig*. Counterpart: :meth:`asyncio.loop.remove_signal_handler`.
        """
        _check_signal(sig)
        if self._signal_handlers.pop(sig, None) is None:
            return False
        if _owner_of(sig) is self:
            del _owners[sig]
        try:
            signal.signal(sig, signal.default_int_handler if sig == signal.SIGINT else signal.SIG_DFL)
        except OSError as error:
            _raise_uncatchable(sig, error)
        return True

    def _process_signals(self, data: bytes) -> None:
        """Called by the loop with the bytes that the C handler wrote: one signal number each."""
        if self._wakeup_installed and self._wakeup_fd_before != -1:
            # Full or closed: the C handler too would have let it be.
            with suppress(OSError):
                os.write(self._wakeup_fd_before, data)
        for signum in data:
            # A signal without a handler of ours only had to wake the loop; 0 is nobody's.
            if signum in self._signal_handlers and _owner_of(signum) is self:
                self._handle_signal(signum)

    def _handle_signal(self, sig: int) -> None:
        handle = self._signal_handlers[sig]
        if handle.cancelled():
            self.remove_signal_handler(sig)
        else:
            # From any thread: a loop in another thread than the main one may own the handler.
            self.call_soon_threadsafe(_run_handle, handle)

    def _install_wakeup(self) -> None:
        """Make our socketpair the wake-up descriptor, where this thread may: signals exist in the main thread only."""
        global _awake
        if threading.current_thread() is not threading.main_thread():
            return
        if self._wakeup_pair is None:
            self._wakeup_pair = reader, writer = socket.socketpair()
            reader.setblocking(False)
            writer.setblocking(False)
            self._wakeup_sock(reader.fileno())
        try:
            self._wakeup_fd_before = signal.set_wakeup_fd(self._wakeup_pair[1].fileno())
        except ValueError:
            return  # the main thread of a subinterpreter: signals are none of its business
        self._wakeup_installed = True
        _awake = weakref.ref(self)

    def _uninstall_wakeup(self) -> None:
        """Put the earlier wake-up descriptor back, unless somebody has put one of their own in place of ours."""
        global _awake
        if not self._wakeup_installed or self._wakeup_pair is None:
            return
        # First the flag: a signal in between is then delivered twice, not lost.
        self._wakeup_installed = False
        _awake = None
        current = signal.set_wakeup_fd(-1)
        keep = self._wakeup_fd_before if current == self._wakeup_pair[1].fileno() else current
        if keep != -1:
            with suppress(OSError, ValueError):  # closed by its owner while the loop ran
                signal.set_wakeup_fd(keep)

    def _close_wakeup(self) -> None:
        """Called after the poller is gone, which held the reading end."""
        pair, self._wakeup_pair = self._wakeup_pair, None
        for end in pair or ():
            end.close()

    def _close_signal_handlers(self) -> None:
        if not sys.is_finalizing():
            for sig in list(self._signal_handlers):
                self.remove_signal_handler(sig)
        elif self._signal_handlers:
            warnings.warn(
                f"Closing the loop {self!r} on interpreter shutdown stage, skipping signal handlers removal",
                ResourceWarning,
                source=self,
                stacklevel=2,
            )
            self._signal_handlers.clear()


def _on_signal(signum: int, frame: FrameType | None) -> None:
    """The Python-level handler of every signal that belongs to a loop."""
    loop = _owner_of(signum)
    # While the descriptor is ours, the byte in it brings the signal.
    if loop is not None and not loop._wakeup_installed and not loop.is_closed():
        loop._process_signals(bytes([signum]))


def _owner_of(sig: int) -> Signals | None:
    owner = _owners.get(sig)
    return owner() if owner is not None else None


def _run_handle(handle: asyncio.Handle) -> None:
    if not handle.cancelled():
        handle._run()


def _check_signal(sig: int) -> None:
    if not isinstance(sig, int):
        raise TypeError(f"sig must be an int, not {sig!r}")
    if sig not in signal.valid_signals():
        raise ValueError(f"invalid signal number {sig}")


def _raise_uncatchable(sig: int, error: Exception) -> None:
    if isinstance(error, OSError) and error.errno == errno.EINVAL:
        raise RuntimeError(f"sig {sig} cannot be caught") from error
    raise error


def _let_go_after_fork() -> None:
    """In the child of a fork, no signal may reach the parent's socketpair or its loops, which are dead here."""
    global _awake
    loop = _awake() if _awake is not None else None
    _awake = None
    _owners.clear()
    if loop is not None:
        loop._wakeup_installed = False
        signal.set_wakeup_fd(-1)


os.register_at_fork(after_in_child=_let_go_after_fork)
