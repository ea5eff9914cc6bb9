"""The type of an option that takes no value. It stands alone, so that a verb that needs no more starts quickly."""

from typing import Annotated

from cyclopts import Group, Parameter

EXECUTION_GROUP = Group("How to run", sort_key=2)

Switch = Annotated[bool, Parameter(group=EXECUTION_GROUP, negative="", show_default=False)]
