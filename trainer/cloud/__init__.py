"""Submits jobs to a cloud's accelerators, watches them, and brings their results back.

It handles configs, files and requests, and never loads TensorFlow; a run does not know that it was
submitted from here.
"""
