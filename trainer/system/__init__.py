"""The operating system and gs://: errors, files, locks, terminal."""
