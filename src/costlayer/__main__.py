"""`python -m costlayer` is `costlayer`."""

from costlayer.cli import main

if __name__ == "__main__":
    main()
