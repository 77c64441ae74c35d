"""The operating system and gs://: errors and exit codes, files, locks, terminal, environment.

It serves every room, and knows nothing of radiographs or training.
"""
