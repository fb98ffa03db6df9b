"""Serving WebSocket APIs, and the API by which functions talk to open connections."""
