"""The configuration of a run: every field with its default and limits, recipes, references.

Only plain values and their checks; what a field does is decided in the room that reads it.
"""
