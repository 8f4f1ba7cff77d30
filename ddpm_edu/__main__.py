"""`python -m ddpm_edu` is `ddpm-edu`; process launchers need a module's name."""

import sys

from ddpm_edu.cli import main

sys.exit(main())
