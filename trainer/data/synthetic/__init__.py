"""Synthetic radiographs, drawn from a seed."""
