"""Logic about records that several stages need, each piece at one place: below the stages, above the records."""
