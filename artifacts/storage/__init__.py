"""Where do bytes live, and are they intact?

Bytes are named by their SHA-256, so equal content is one file and every read can be verified. Steps exchange
references of some hundred bytes, not arrays. A cache entry counts only while all artifacts that it names are intact,
so nothing here needs to be complete: eviction may remove any artifact, and the next run computes it again.
"""
