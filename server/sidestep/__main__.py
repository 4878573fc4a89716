"""`python -m sidestep` is `sidestep`."""

from __future__ import annotations

import sys

from sidestep.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
