"""`python -m mrvae_zoo` is the command line `mrvae`."""

from mrvae_zoo.cli import main

if __name__ == "__main__":
    main()
