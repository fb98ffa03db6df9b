"""Buses, rules, archives, schedules: what fires, when, and for whom."""
