"""What can be typed?

Each file in `verbs/` holds a verb, or verbs that belong together; `app.py` registers them. The result of a verb goes
to stdout: a table, or one JSON value with --json. Notes, progress and errors go to stderr. `app.main` turns an error
that a user can cause into one line and an exit status. Verbs import heavy libraries inside functions, and check a
request before they start a server.
"""
