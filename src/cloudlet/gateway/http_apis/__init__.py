"""HTTP APIs, and what WebSocket APIs share with them: their documents, routes, integrations."""
