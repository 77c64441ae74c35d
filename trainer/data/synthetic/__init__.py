"""Phantoms: synthetic radiographs, drawn from a seed with NumPy alone.

They show that the job works, and nothing about patients.
"""
