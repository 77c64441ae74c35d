"""Pictures for people: arrays in, labelled RGB pictures [H, W, 3] uint8 out.

Nothing here runs a network or reads a run.
"""
