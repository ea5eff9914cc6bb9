"""What Prefect itself costs: a flow of ten trivial tasks, cached by their inputs."""

from prefect import flow, task
from prefect.cache_policies import INPUTS


@task(cache_policy=INPUTS, persist_result=True)
def trivial(number: int) -> int:
    return number


@flow
def bare() -> list[int]:
    return [trivial(number) for number in range(10)]


if __name__ == "__main__":
    bare()
