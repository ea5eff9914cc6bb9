"""The home, one folder for all that a run writes: the names in it, its locks, and the errors of its disk.

All names are relative to the home. Homes in use have them, so they do not change.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from artifacts.errors import DigitflowError, UsageError

OBJECTS = "objects"  # artifacts, named by their content
CHECKS = "checks"  # pictures of samples, which `data check` draws
RECORDS = "records"  # cache entries, named by their key
FINGERPRINTS = "fingerprints"  # what the steps reach of the code, as long as no file of it changes
RUNS = "runs"  # a folder for each run: manifest, report, and data report
CHECKPOINTS = "checkpoints"  # what a killed step continues from, by the key of its call
MODELS = "models"  # weights that passed the gate
EXPERIMENTS = "experiments"  # a folder for each comparison, with its variants
SUSPENDED = "suspended"  # the state of each run that waits for a person
INBOX = "inbox"  # batches that retraining has not collected yet
BATCHES = "batches"  # a ledger of accepted batches for each data set
KEPT_BATCHES = "batches/kept"  # accepted batches as they arrived
BATCH_NOTES = "batches/notes"  # by whom, and for which data set, each batch was handed in
FITTED_BATCHES = "batches/fitted"  # the arrays of accepted batches whose files hold other ones
APPROVAL = "approval"  # batches that wait until a person approves them, each with its report
QUARANTINE = "quarantine"  # refused batches, each with its report
CORRECTIONS = "corrections"  # labels that people corrected and that are not in the inbox yet
MONITORING = "monitoring"  # counts of predicted images by day, and of the images that models learned from
MLFLOW = "mlflow"  # the database and the files of MLflow
PREFECT = "prefect"  # the database of Prefect's own server
LOCKS = "locks"  # locks of cache keys and studies
TEMPORARY = "tmp"  # scratch folders
FOLDERS = (  # the names above, without those of files
    *(OBJECTS, CHECKS, RECORDS, RUNS, CHECKPOINTS, MODELS, EXPERIMENTS, SUSPENDED, INBOX, BATCHES),
    *(APPROVAL, QUARANTINE, CORRECTIONS, MONITORING, MLFLOW, PREFECT, LOCKS, TEMPORARY),
)
NATIVE_LOG = "native.log"  # what native libraries print

STARTING_LOCK = "starting.lock"
"""Held while a run starts and while artifacts are evicted, so that eviction knows every run; also while Prefect's
server starts in its own home."""


def absolute(path: Path) -> Path:
    """The path from the root, with "~" replaced. Raises UsageError if "~" names nobody who has a home."""
    try:
        return path.expanduser().absolute()
    except RuntimeError:
        raise UsageError(f"{path} begins with a home that cannot be found; give the whole path") from None


@contextlib.contextmanager
def locked(home: Path, name: str, wait: bool = True) -> Iterator[None]:
    """Hold the lock `name`, after waiting for any other thread or process that holds it; nested use is one lock.

    The lock ends with its process. With `wait=False`, raises filelock.Timeout if anyone holds it, this thread included.
    Raises DigitflowError if the disk cannot be written.
    """
    with disk_errors(home):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(home / name, is_singleton=wait)
        lock.acquire(blocking=wait)
    try:
        yield
    finally:
        lock.release()


def is_locked(home: Path, name: str) -> bool:
    """Whether any thread or process holds the lock `name`; nobody does on a disk that cannot be written."""
    try:
        with locked(home, name, wait=False):
            return False
    except Timeout:
        return True
    except (OSError, DigitflowError):
        return False


@contextlib.contextmanager
def disk_errors(home: Path) -> Iterator[None]:
    """Turn errors of the disk, such as a full or unwritable one, into a DigitflowError that says what to do.

    A missing file and a failing network are no errors of the disk: these OSErrors are raised as they are.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None or isinstance(error, FileNotFoundError | ConnectionError | TimeoutError):
            raise
        raise DigitflowError(
            f"cannot write {error.filename or home}: {error.strerror}; free some space, make it writable, "
            "or set DIGITFLOW_HOME to another folder"
        ) from None
