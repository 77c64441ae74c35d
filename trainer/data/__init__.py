"""Radiographs from a user's files to batches: sources, decoding, preparation, pipeline.

Nothing here knows of networks, replicas or runs.
"""
