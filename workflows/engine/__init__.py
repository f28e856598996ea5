"""The saga engine: runs a story, retries and escalates its steps, and compensates the saga."""
