"""Which data arrived since, and may they be learned from?"""
