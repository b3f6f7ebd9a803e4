"""The worker: takes leases, lets the engine's evaluator compute, records.  No torch, no model here."""
