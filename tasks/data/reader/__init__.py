"""Which files hold images or labels, and what is in them?

Training, the inbox, predictions and `digitflow data check` all read through this folder. `files` tells files apart,
by content first and name second. `arrays` and `tables` are what files hold, `convert` and `labels` make bytes and
classes of it. `layouts` finds the parts of a data set at a `place`, by the `roles` of its arrays; `read` stores them.
"""
