"""Replicas and workers: devices, clusters, TPUs, stop signals, workers on this machine.

It connects and counts replicas; it knows nothing of batches, networks or data.
"""
