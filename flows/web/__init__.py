"""What can a browser ask?"""
