"""Child processes: the names of :mod:`asyncio.subprocess`."""

from asyncio.subprocess import DEVNULL as DEVNULL
from asyncio.subprocess import PIPE as PIPE
from asyncio.subprocess import STDOUT as STDOUT
from asyncio.subprocess import __all__ as __all__

from ._child_streams import Process as Process
from ._child_streams import SubprocessStreamProtocol as SubprocessStreamProtocol
from ._child_streams import create_subprocess_exec as create_subprocess_exec
from ._child_streams import create_subprocess_shell as create_subprocess_shell
