"""``python -m dsfactory``."""

from dsfactory.cli.app import main

main()
