"""SQS queues, EventBridge rules and EventBridge Scheduler."""
