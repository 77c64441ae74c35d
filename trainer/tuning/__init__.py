"""Hyperparameter search: the space of a sweep, and its trials.

Each trial is a run of its own, in its own process; nothing here trains.
"""
