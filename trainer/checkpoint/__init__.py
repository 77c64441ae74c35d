"""Checkpoints: saved in the background, verified, restored."""
