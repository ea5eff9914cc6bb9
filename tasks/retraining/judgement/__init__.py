"""May a batch be learned from? Its labels are compared with what the champion reads."""
