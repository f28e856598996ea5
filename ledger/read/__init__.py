"""The readers: the log in its order, subscriptions, folds, and queries of the state tables."""
