"""What the tests of the comparison of speed share."""

import sys
from pathlib import Path

# `benchmarks` is no part of the installed package.
sys.path.append(str(Path(__file__).parents[2]))
