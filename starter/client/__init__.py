"""The client SDK: connect, submit, follow, decide, schedule."""
