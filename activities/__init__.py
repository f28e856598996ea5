"""What sagas do: one file per business noun, and the outside world behind small protocols."""
