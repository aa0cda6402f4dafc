"""Let ``python -m fabric.cli`` run the command."""

from fabric.cli import main

if __name__ == "__main__":
    main()
