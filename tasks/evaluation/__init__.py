"""How good is a model, and is it good enough?"""
