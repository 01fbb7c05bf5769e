"""``python -m headprint`` is the command ``headprint``."""

from headprint.cli.app import main

if __name__ == "__main__":
    main()
