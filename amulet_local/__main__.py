"""`python -m amulet_local`: the command `amulet`."""

import sys

from amulet_local.cli import main

sys.exit(main())
