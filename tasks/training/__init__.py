"""How does a network learn?

Training with the same arguments on the same machine gives the same bytes, also when it is killed and resumed. So each
source of chance has its own seed, the order of the images follows from seed and epoch, and a checkpoint holds every
variable of network and optimiser. `workers` runs such work in processes that end with the process that started them.
"""
