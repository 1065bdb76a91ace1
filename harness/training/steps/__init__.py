"""The steps: how a cohort's weights get from one batch to the next."""
