"""DynamoDB: tables, items, expressions, indexes, transactions, TTL and Streams on SQLite."""
