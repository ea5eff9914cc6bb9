"""Which version is in use, and how did it become so?

MLflow's registry has a registered model for each data set. A tag of each version holds the candidate as JSON, and the
alias `champion` names the version in use. A promotion first writes a note and then moves the alias in one transaction,
so a killed promotion leaves the old champion. `promotion` is the rule, which is given its registry and manifests and
knows no MLflow. A local database is read by SQL, because the import of MLflow takes seconds.
"""
