"""gunicorn's workers on Tideloop: `gunicorn -k tideloop.gunicorn.ASGIWorker` and its relatives.

``ASGIWorker`` is gunicorn's own, ``UvicornWorker`` that of the package uvicorn-worker, ``AiohttpWorker`` aiohttp's.
Each is made when gunicorn asks for it by name: none of these packages has to be there.
"""

from __future__ import annotations

import importlib
from typing import Any, ClassVar

from ._install import install

_BASES = {
    "ASGIWorker": ("gunicorn.workers.gasgi", "ASGIWorker"),
    "AiohttpWorker": ("aiohttp.worker", "GunicornWebWorker"),
    "UvicornWorker": ("uvicorn_worker", "UvicornWorker"),
}


class _OnTideloop:
    """Comes before a worker's class: in the worker's process, asyncio makes Tideloop's loops."""

    cfg: Any  # gunicorn's settings
    #: What uvicorn's worker gives to uvicorn, which does not leave the choice of the loop to asyncio.
    CONFIG_KWARGS: ClassVar[dict[str, str]] = {"loop": "tideloop:new_event_loop", "http": "auto"}

    def init_process(self) -> None:
        """Begin the worker's life, after the fork."""
        install()
        if "asgi_loop" in self.cfg.settings:  # gunicorn's own worker would take uvloop where it is installed
            self.cfg.set("asgi_loop", "asyncio")
        super().init_process()  # type: ignore[misc]  # the worker's


def __getattr__(name: str) -> Any:
    if name not in _BASES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, base = _BASES[name]
    worker = type(name, (_OnTideloop, getattr(importlib.import_module(module), base)), {"__module__": __name__})
    return globals().setdefault(name, worker)
