"""What does each verb of the command line do? `flows/cli/app.py` lists the verbs."""
