"""Bytes ↔ requests and responses: the HTTP server and the doors behind its ports."""
