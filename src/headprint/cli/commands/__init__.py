"""The commands of ``headprint``, one module each; :mod:`headprint.cli.app` puts them together.

A command imports the library inside its function, so that ``--help`` is quick.
"""
