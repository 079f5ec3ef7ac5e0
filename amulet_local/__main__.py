"""`python -m amulet_local`: the command `amulet`."""

from amulet_local.system.child_processes import leave_current_folder

leave_current_folder()

import sys  # noqa: E402 - the folder must be left first

from amulet_local.cli import main  # noqa: E402

sys.exit(main())
