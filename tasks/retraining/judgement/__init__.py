"""May a batch be learned from? It is compared with the data set, and its labels with what the champion reads."""
