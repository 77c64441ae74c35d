"""One run: its step, state, optimizer, progress and evaluation.

The order of a job is in `train.py`; nothing here draws, reports or talks to a cloud.
"""
