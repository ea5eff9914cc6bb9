"""Where do bytes live, and are they intact?"""
