"""The steps as a Metaflow flow. What a step assigns to self is kept, and `resume` takes it from the run before."""

from metaflow import FlowSpec, step
from work import steps


class DigitsFlow(FlowSpec):
    epochs, seed = 10, 0

    @step
    def start(self):
        self.raw = steps.download("data")
        self.next(self.validate)

    @step
    def validate(self):
        self.valid = steps.validate(self.raw)
        self.next(self.normalise)

    @step
    def normalise(self):
        # the images as the network takes them
        self.images = steps.normalise(self.valid)
        self.next(self.one_hot)

    @step
    def one_hot(self):
        self.targets = steps.one_hot(self.valid)
        self.next(self.train)

    @step
    def train(self):
        self.weights = steps.train(self.images, self.targets, self.epochs, self.seed)
        self.next(self.evaluate)

    @step
    def evaluate(self):
        self.accuracy = steps.evaluate(self.weights, self.images, self.targets)
        self.next(self.end)

    @step
    def end(self):
        self.answer = steps.save(self.weights, self.accuracy, "out/saved")


if __name__ == "__main__":
    DigitsFlow()
