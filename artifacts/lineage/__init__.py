"""What decided a result, and what did each run do?"""
