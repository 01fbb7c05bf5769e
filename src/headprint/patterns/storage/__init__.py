"""How patterns and pattern sets lie on disk; docs/files.md describes it for readers in other languages.

``pattern_file`` is one pattern's safetensors file. A pattern set's directory has a ``manifest`` and ``shards``, which
the ``reader`` opens one at a time. The ``writer`` writes them so that a run that was killed at any moment resumes.
"""
