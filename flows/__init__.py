"""In what order, and for whom?"""
