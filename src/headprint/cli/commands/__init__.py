"""The commands of ``headprint``, one module each; :mod:`headprint.cli.app` puts them together.

At import a command imports nothing heavy, so that ``--help`` is quick.
"""
