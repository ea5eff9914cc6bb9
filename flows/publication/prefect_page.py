"""What Prefect's page of a flow run shows: its name, the report, a line of its log, and what ran."""

import contextlib
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial

from flows.plan import Plan
from tasks.evaluation.gate import Verdict
from tasks.evaluation.metrics import Evaluation


def show_report(plan: Plan, pieces: dict[str, str]) -> None:
    """Show the pieces of a report on Prefect's page, all at once: most of the time is the server's."""
    from prefect.artifacts import create_markdown_artifact

    with ThreadPoolExecutor() as pool:
        about = f"{plan.source.name}, {plan.recipe}"
        calls = [
            partial(create_markdown_artifact, key=key, markdown=text, description=about) for key, text in pieces.items()
        ]
        for shown in [pool.submit(copy_context().run, call) for call in calls]:
            shown.result()


def log_verdict(evaluation: Evaluation, verdict: Verdict, version: int) -> None:
    """Log how good the model is, and what became of it."""
    from prefect import get_run_logger

    line = "accuracy %.4f [%.4f, %.4f]: %s; version %d"
    get_run_logger().info(line, evaluation.accuracy, *evaluation.interval, verdict.reason, version)


def rename_flow_run(headline: str) -> None:
    """Call the flow run by what happened, with its name of before, which the run's folder has.

    A name is not worth a run: if the server does not answer, it stays as it was.
    """
    import httpx
    from prefect import runtime
    from prefect.client.orchestration import get_client

    if headline not in runtime.flow_run.name:  # else a run that was resumed has its name already
        with contextlib.suppress(httpx.HTTPError), get_client(sync_client=True) as client:
            client.update_flow_run(runtime.flow_run.id, name=f"{headline} ({runtime.flow_run.name})")


def flow_file() -> str:
    """The file of the flow that runs, such as flows/training.py."""
    from prefect import runtime

    return f"flows/{runtime.flow_run.flow_name}.py"
