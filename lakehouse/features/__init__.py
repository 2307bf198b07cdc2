"""The Feast plug-in: Delta tables as sources, the offline store, feature views of gold tables, and publishing.

Import from the modules: ``lakehouse.features.view``, ``.source``, ``.repository``, ``.publishing``. Those that need
Feast import it when they are imported or first called (it takes seconds), so this package itself does not.
"""
