"""``repro`` and ``python -m repro``."""

import os


def main() -> None:
    """Run the command line, with OpenMP threads that spin only briefly while they wait.

    Where two programs share the cores, long spinning costs up to ten times the speed, none at all a
    third of it where they are free (resnet8 on two cores: 2,290 images/s at 20,000 turns, 2,420 by
    default, 1,530 without). Read when torch loads.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    # Work queues of a GPU: with the default of 8, the streams of a cohort would share them.
    os.environ.setdefault("CUDA_DEVICE_MAX_CONNECTIONS", "32")
    from repro import cli

    cli.main()


if __name__ == "__main__":
    main()
