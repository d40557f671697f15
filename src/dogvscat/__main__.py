"""`python -m dogvscat` runs the command line, as `dogvscat` does."""

from dogvscat.cli.main import run

if __name__ == "__main__":
    run()
