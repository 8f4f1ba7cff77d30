"""`python -m ddpm_edu` is `ddpm-edu`; process launchers need a module's name."""

import sys

from ddpm_edu.cli import PROGRAM, main

sys.argv[0] = PROGRAM  # what it says to run next must be a command that there is
sys.exit(main())
