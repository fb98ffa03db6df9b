"""CloudWatch: logs (groups, filters, queries, live tail) and metrics (statistics, alarms)."""
