"""What a run does without Prefect: the same functions, called in one process, and the model registered."""

import time

from artifacts.lineage.manifest import Run
from artifacts.storage.settings import Settings
from flows.plan import Plan
from flows.publication.publish import write_report
from flows.publication.registration import decide
from flows.steps import train_and_judge
from tasks.caching import replaced_by
from tasks.evaluation.gate import Gate
from tasks.model.hyperparameters import Overrides

if __name__ == "__main__":
    settings = Settings.load()
    store, started = settings.artifacts, time.monotonic()
    plan = Plan.of("mnist", "tutorial", 0, hyperparameters=Overrides(), gate=Gate(), settings=settings)
    request = plan.model_dump(mode="json", include={"recipe", "seed", "hyperparameters", "gate"})
    with (
        Run.recording(store, run="pure", dataset=plan.source.name, **request) as run,
        replaced_by(lambda step, arguments: step.fn(**arguments)),
    ):
        results = train_and_judge(plan, settings)
        write_report(results, run, started)
        decide(plan, results, run)
        run.finish("passed")
