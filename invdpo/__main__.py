"""`python -m invdpo`."""

from invdpo.cli import main

if __name__ == "__main__":
    main()
