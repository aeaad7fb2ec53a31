"""``python -m lstm_jax``, the same as ``lstm-jax``."""

import sys

from lstm_jax.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
