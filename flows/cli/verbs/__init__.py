"""What does each verb of the command line do?"""
