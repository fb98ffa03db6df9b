"""API Gateway's REST APIs: configuration (service "apigateway") and serving."""
