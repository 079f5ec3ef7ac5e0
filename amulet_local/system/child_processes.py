"""Python started as a process of its own, without the modules of the folder it is started in.

`python -m` and `python -c` search the current folder first: a queue.py in somebody's repository
would run in the engine of whoever opens Amulet there. Every Python process is started with both
of these: `subprocess.run(python("-m", "module"), env=environment())`.

Nothing but os and sys may be imported here, which every Python has loaded before it searches any
folder (`__future__` is a file like others): `leave_current_folder` comes before all other imports.
"""

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120
_ROOT = os.path.dirname(os.path.dirname(_HERE))  # noqa: PTH120


def python(*arguments: str) -> list[str]:
    """The command line of this Python that leaves out the current folder and the script's."""
    return [sys.executable, "-P", *arguments]


def environment() -> dict[str, str]:
    """This process's environment, in which a child finds the modules that this process found.

    PYTHONPATH is the user's own and holds, without its empty elements: they mean the current
    folder, and come from `PYTHONPATH=$PYTHONPATH:more` where nothing was set. The folder that
    Amulet itself is in goes along where it was put before the standard library, as PYTHONPATH and
    `python -m` in a checkout do.
    """
    library = os.path.dirname(os.__file__)  # noqa: PTH120
    first = sys.path[: sys.path.index(library)] if library in sys.path else []
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    if _ROOT in first and _ROOT not in paths:
        paths.insert(0, _ROOT)
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return inherited | ({"PYTHONPATH": os.pathsep.join(paths)} if paths else {})


def leave_current_folder() -> None:
    """Where this process was started with `python -m`: search its folder no more, unless Amulet
    itself was found there. For the first lines of a module that is started so."""
    try:
        folder = os.getcwd()  # noqa: PTH109
    except OSError:  # it was removed, and is not searched
        return
    if not sys.flags.safe_path and sys.path[0] == folder != _ROOT:
        del sys.path[0]
