"""The audit: can a data set be trusted? Damage, duplicates, patients, shortcuts.

It measures and judges; the page that shows its findings is in `report`.
"""
