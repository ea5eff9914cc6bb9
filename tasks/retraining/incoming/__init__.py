"""How do labelled batches arrive: in which forms, from whom, and where do they wait?"""
