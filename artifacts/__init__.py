"""What is kept, and what made it? Knows no Prefect, no Keras and no data set."""
