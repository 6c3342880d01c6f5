"""Recordings on disk: what is to be recorded, by which processes, and where it is kept."""
