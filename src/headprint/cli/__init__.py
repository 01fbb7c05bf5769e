"""The command line."""

from headprint.cli.app import main as main
