"""``repro`` and ``python -m repro``."""

from repro.cli import main

if __name__ == "__main__":
    main()
