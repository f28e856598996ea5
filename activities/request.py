"""The base of the inputs of activities, apart from what an activity needs to carry them out."""

from pydantic import BaseModel, ConfigDict


class Request(BaseModel):
    """Base of all inputs of activities: frozen, and unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
