"""The worker: settings, wiring, the process, health and the embedded servers."""
