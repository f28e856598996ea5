"""The readers: the log in its order, subscriptions, folds, and answers from the state tables."""
