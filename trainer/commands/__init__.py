"""The programs of `python -m trainer COMMAND`: flags in, one call.

Flags, log levels and environment variables are read and set here and in `task.py`; what a command
does is one call into another room.
"""
