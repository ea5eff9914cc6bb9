"""Which network is it, and what does it compute?"""
