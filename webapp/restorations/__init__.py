"""A job's life: rows, states, leases, generations, events."""
