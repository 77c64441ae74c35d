"""Pages that a person opens: of a run, of several, of an image, of an audit.

They are made from what finished runs left on disk; nothing here changes a run.
"""
