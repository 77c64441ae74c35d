"""Preparation: from a source to a data set on disk, split by patient.

It decodes, encodes and splits; reading the result is `trainer.data.dataset` and above.
"""
