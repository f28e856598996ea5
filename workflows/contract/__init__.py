"""The contract: the JSON input and output of the workflows, and the admission of that input."""
