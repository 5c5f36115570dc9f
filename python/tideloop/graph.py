"""Who waits for whom, from Python 3.14 on: the names of :mod:`asyncio.graph`."""

import sys

if sys.version_info >= (3, 14):
    from asyncio.graph import *
    from asyncio.graph import __all__ as __all__


else:
    raise ModuleNotFoundError("No module named 'tideloop.graph': asyncio.graph came with Python 3.14", name=__name__)
