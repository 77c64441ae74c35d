"""Checkpoints: saved in the background, verified by checksum, restored.

What is in a checkpoint is the caller's matter; where a run keeps its files is `training`'s.
"""
