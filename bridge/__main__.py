"""`python -m bridge` is `planasonix-bridge`."""

from bridge.cli import main

if __name__ == "__main__":
    main()
