"""``python -m dsfactory``."""

from dsfactory.cli import main

main()
