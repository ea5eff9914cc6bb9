"""Which variants are compared, and which wins?"""
