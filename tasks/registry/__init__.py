"""Which version is in use, and how did it become so?"""
