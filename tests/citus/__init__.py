"""What only a cluster of Citus can show: `make test-citus`, no part of `make test`."""
