"""Replicas and workers: devices, clusters, TPUs, stop signals."""
