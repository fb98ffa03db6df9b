"""AWS Lambda: functions, their versions and callers, warm workers, event source mappings.

https://docs.aws.amazon.com/lambda/latest/api/
"""
