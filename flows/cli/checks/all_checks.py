"""All checks, in the order in which they are shown."""

from artifacts.storage.settings import Settings
from flows.cli.checks import machine, models, services
from flows.cli.checks.check import Check, run_checks

CHECKS = {
    "Python": machine.check_python,
    "packages": machine.check_packages,
    "disk": machine.check_disk,
    "home": machine.check_home,
    "databases": machine.check_databases,
    "batches": machine.check_batches,
    "clock": machine.check_clock,
    "proxies": services.check_proxy,
    "mirrors": services.check_mirrors,
    "shared store": services.check_store,
    "shared locks": services.check_locks,
    "shared inbox": services.check_inbox,
    "Prefect's server": services.check_server,
    "port of make up": services.check_port,
    "worker": services.check_worker,
    "deployments": services.check_schedules,
    "nightly": services.check_nightly,
    "webhook": services.check_webhook,
    "model registry": models.check_registry,
}


def check_all(settings: Settings) -> list[Check]:
    """What every check found."""
    return run_checks(CHECKS, settings)
