"""What a run does without Prefect: the same functions, called in one process, and the model registered."""

from artifacts.lineage.manifest import Run
from artifacts.storage.settings import Settings
from flows.plan import Plan
from flows.publication import candidate_of
from flows.steps import learn, prepare
from tasks.caching import replaced_by
from tasks.evaluation.gate import Gate, Verdict
from tasks.evaluation.metrics import Evaluation
from tasks.model.hyperparameters import Overrides
from tasks.registry.promotion import register_and_promote

if __name__ == "__main__":
    settings = Settings.load()
    store = settings.artifacts
    plan = Plan.of("mnist", "tutorial", 0, Overrides(), Gate(), settings)
    facts = plan.model_dump(mode="json", include={"recipe", "seed", "hyperparameters", "gate"})
    with (
        Run.recording(store, run="pure", dataset=plan.source.name, **facts) as run,
        replaced_by(lambda step, arguments: step.fn(**arguments)),
    ):
        results = learn(plan, prepare(plan, settings), (), settings)
        evaluation = Evaluation.model_validate(store.get_json(results.scored.evaluation))
        verdict = Verdict.model_validate(store.get_json(results.verdict))
        register_and_promote(plan, candidate_of(plan, results, evaluation, verdict, run), results, run, settings)
        run.finish("passed")
