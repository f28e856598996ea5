"""What sagas do: one file per business noun, and external systems behind small protocols."""
