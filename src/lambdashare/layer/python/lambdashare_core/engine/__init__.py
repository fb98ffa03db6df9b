"""The digest engine: seven sums of one stream at once, on all cores, with states that outlive it.

`libcrypto` exports mid-states, `lanes` makes one face for all algorithms, `pipeline` feeds lanes
from threads, `ranges` reads ahead. None of it knows AWS.
"""
