"""The programs of `python -m trainer COMMAND`: flags in, one call."""
