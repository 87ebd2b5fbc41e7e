"""``repro`` and ``python -m repro``."""

import os


def main() -> None:
    """Run the command line, with OpenMP threads that sleep while they wait.

    Spinning ones (the default) cost up to ten times the speed as soon as another process wants the
    cores: 436 instead of 41 images/s of MobileNetV2 on two shared cores. Read when torch loads.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from repro import cli

    cli.main()


if __name__ == "__main__":
    main()
