"""Kinesis data streams: streams, shards, records, enhanced fan-out."""
