"""Training steps, which take a cohort's weights from one batch to the next."""
