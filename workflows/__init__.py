"""The workflows: sagas as stories, and the engine that runs them."""
