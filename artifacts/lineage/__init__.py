"""What decided a result, and what did each run do?

A step's key covers its inputs, the project code that it reaches and the versions of its libraries. The code is read
from the source, not imported, so that a preview takes no seconds. The module of a definition is not part of the key:
code may move. A manifest keeps the parts of each key, so that `explain-cache` can name what changed and `verify` can
compute the key again.
"""
