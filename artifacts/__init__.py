"""What exists: references, the store, contracts, networks, evaluations, reports. Knows no orchestrator."""
