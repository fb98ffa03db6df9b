"""API Gateway v2 (HTTP and WebSocket APIs), @connections and a CloudFront-style front door."""
