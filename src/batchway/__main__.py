"""`python -m batchway` is the command `batchway`."""

from batchway.cli import main

if __name__ == "__main__":
    main(prog_name="batchway")
