"""Which images and labels are there, and are they sound?"""
