"""Training: knows networks, losses and batches, but neither files of records nor MLflow."""
