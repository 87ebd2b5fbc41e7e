"""Ray, SLURM and MLflow on PostgreSQL, as many machines use them: ``make test-cluster``."""
