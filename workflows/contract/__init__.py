"""The contract: the JSON that goes into the workflows and comes out, and its admission."""
