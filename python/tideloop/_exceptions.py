"""The loop's exception handler: where errors go that nobody awaits."""

from __future__ import annotations

import traceback
from asyncio import AbstractEventLoop
from asyncio.log import logger
from collections.abc import Callable
from contextvars import Context
from sys import version_info
from typing import Any

from . import _native

__all__ = ["ExceptionHandlers"]

_Handler = Callable[[AbstractEventLoop, dict[str, Any]], object]

# From 3.12 on, a handler set by the user runs in the context of the task, future or handle that failed.
_HANDLER_RUNS_IN_CONTEXT = version_info >= (3, 12)

# Keys whose value is a stack summary, and the words above it in the log.
_STACK_TITLES = {
    "source_traceback": "Object created at (most recent call last):\n",
    "handle_traceback": "Handle created at (most recent call last):\n",
}


class ExceptionHandlers(_native.EventLoop):
    """Mixin: set, get, default and call_exception_handler of the loop."""

    __slots__ = ()

    _exception_handler: _Handler | None

    def __init__(self) -> None:
        super().__init__()
        self._exception_handler = None

    def get_exception_handler(self) -> _Handler | None:
        """Return the handler that set_exception_handler() set, or None while the default one is in use.

        Counterpart: :meth:`asyncio.loop.get_exception_handler`.
        """
        return self._exception_handler

    def set_exception_handler(self, handler: _Handler | None) -> None:
        """Set what is called with ``(loop, context)`` for an error that nobody awaits; None brings the default back.

        Raises TypeError unless *handler* is callable or None.
        Counterpart: :meth:`asyncio.loop.set_exception_handler`.
        """
        if handler is not None and not callable(handler):
            raise TypeError(f"A callable object or None is expected, got {handler!r}")
        self._exception_handler = handler

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """Log *context* to the ``asyncio`` logger, with the exception's traceback where there is one.

        In debug mode the stack that created the failing callback goes with it.
        Counterpart: :meth:`asyncio.loop.default_exception_handler`.
        """
        exception = context.get("exception")
        exc_info = (type(exception), exception, exception.__traceback__) if exception is not None else False
        if "source_traceback" not in context:
            created_at = getattr(getattr(self, "_current_handle", None), "_source_traceback", None)
            if created_at:
                context["handle_traceback"] = created_at
        lines = [context.get("message") or "Unhandled exception in event loop"]
        for key in sorted(context):
            if key not in ("message", "exception"):
                lines.append(f"{key}: {_describe(key, context[key])}")
        logger.error("\n".join(lines), exc_info=exc_info)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Hand *context* to the handler in use; nothing but SystemExit and KeyboardInterrupt comes out.

        *context* holds ``message`` (str) and, where they apply, ``exception``, ``future``, ``task``, ``handle``,
        ``protocol``, ``transport``, ``socket``, ``asyncgen``, ``source_traceback`` and ``handle_traceback``.
        Counterpart: :meth:`asyncio.loop.call_exception_handler`.
        """
        handler = self._exception_handler
        if handler is None:
            self._log_context(context, "Exception in default exception handler")
            return
        try:
            origin = _context_of(context) if _HANDLER_RUNS_IN_CONTEXT else None
            if origin is None:
                handler(self, context)
            else:
                origin.run(handler, self, context)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._log_context(
                {"message": "Unhandled error in exception handler", "exception": error, "context": context},
                "Exception in default exception handler while handling an unexpected error in custom exception handler",
            )

    def _log_context(self, context: dict[str, Any], complaint: str) -> None:
        # The default handler can fail too: a subclass may override it, and it calls repr() on the user's objects.
        try:
            self.default_exception_handler(context)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException:
            logger.error(complaint, exc_info=True)


def _describe(key: str, value: Any) -> str:
    title = _STACK_TITLES.get(key)
    if title is None:
        return repr(value)
    return title + "".join(traceback.format_list(value)).rstrip()


def _context_of(context: dict[str, Any]) -> Context | None:
    """The contextvars.Context of the first of task, future and handle that *context* names."""
    for key in ("task", "future", "handle"):
        thing = context.get(key)
        if thing is not None:
            get_context = getattr(thing, "get_context", None)
            origin = get_context() if get_context is not None else None
            return origin if hasattr(origin, "run") else None
    return None
