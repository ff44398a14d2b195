"""`python -m dejalog.daemon` is the `dejalog` command."""

import sys

from dejalog.daemon.cli import main

sys.exit(main())
