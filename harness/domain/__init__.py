"""Logic about records that several stages need, each piece in one place: below the stages, above the records."""
