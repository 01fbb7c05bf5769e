"""What every other folder may use: errors, options, files, run directories, settings, provenance, progress and shapes.

Nothing here knows of models or patterns, and nothing loads torch. Import the modules by name, such as
:mod:`headprint.base.errors`.
"""

__all__: list[str] = []
