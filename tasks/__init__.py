"""What is done? A folder a stage: a module named by a verb is a step, one named by a noun is what steps are made of."""
