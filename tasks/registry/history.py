"""The history of a champion as a list of records: what each did, and to which version one can return."""

from collections.abc import Collection, Sequence

from tasks.registry.versions import Promotion, PromotionKind


def with_effects(records: Sequence[Promotion], champion: int | None) -> list[Promotion]:
    """The changes, each with whether it took effect; `champion` is the version in use.

    What a change did, the next record says: it names the champion that it replaced. A record of an interruption only
    says that of the change before it, so it is left out.
    """
    after = [*(record.replaced for record in records[1:]), champion]
    return [
        record.model_copy(
            # nothing in use: somebody removed the alias, which earlier versions of digitflow did not record
            update={"took_effect": follows in (record.version, None) and follows != record.replaced}
        )
        for record, follows in zip(records, after, strict=False)
        if record.kind != "interrupted"
    ]


def unrecorded_change(records: Sequence[Promotion], champion: int | None) -> tuple[PromotionKind, str] | None:
    """The kind and the description of a change of the champion that the last record does not tell; None if it does."""
    last = records[-1] if records else None
    recorded = last.version if last else None
    if recorded == champion:
        return None
    if last and last.kind not in ("outside", "interrupted") and champion == last.replaced:
        return "interrupted", "the process ended before it changed the champion"
    if champion is None:
        return "outside", f"version {recorded} was deleted in MLflow, or its alias was removed"
    return "outside", "the alias was set in MLflow"


def predecessor(changes: Sequence[Promotion], usable: Collection[int]) -> int | None:
    """The version that a rollback returns to: the latest earlier champion that is `usable` and was not retired."""
    line: list[int | None] = []
    retired: set[int | None] = set()
    for change in (change for change in changes if change.took_effect):
        if change.kind == "rollback" and change.version in line:
            del line[line.index(change.version) + 1 :]
        else:
            line.append(change.version)
        retired.discard(change.version)
        if change.kind == "retired":
            retired.add(change.replaced)
    present = line[-1] if line else None
    return next((v for v in reversed(line[:-1]) if v in usable and v not in retired and v != present), None)
