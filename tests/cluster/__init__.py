"""The suite on clusters: Ray, SLURM and PostgreSQL, started by the tests themselves."""
