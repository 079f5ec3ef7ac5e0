"""`python -m amulet_local`, and the command `amulet`."""

from amulet_local.system.child_processes import leave_current_folder

leave_current_folder()

import signal  # noqa: E402 - the folder must be left first
import sys  # noqa: E402

# Ctrl+C while modules are imported: nothing is to be said of it. `main` has it as ever.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from amulet_local.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
