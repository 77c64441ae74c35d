"""Trained networks for other programs: a graph that goes from the bytes of a file to an answer.

Nothing here trains or judges; what is exported loads without this package.
"""
