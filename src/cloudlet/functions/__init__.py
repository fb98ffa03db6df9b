"""AWS Lambda: functions, their versions and callers, warm workers, event source mappings, logs.

https://docs.aws.amazon.com/lambda/latest/api/
"""
