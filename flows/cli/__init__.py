"""What can be typed?

Each verb is a file in `verbs/`. Its result goes to stdout: a table, or one JSON value with --json. Notes, progress and
errors go to stderr. `app.main` turns an error that a user can cause into one line and an exit status. Verbs import
heavy libraries inside functions, and check a request before they start a server.
"""
