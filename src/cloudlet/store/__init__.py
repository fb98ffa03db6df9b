"""Durable state: one SQLite database and a folder of blobs."""
