"""`python -m dogvscat` is `dogvscat`."""

from dogvscat.cli.main import run

if __name__ == "__main__":
    run()
