"""The activities of the sagas: one file per business area, and external systems behind small
protocols."""
