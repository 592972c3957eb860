"""Parameters that an answer cannot follow exactly: each is refused by its name, none is dropped in silence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, StrictBool, StrictInt

from nexus_chain.program.errors import SamplingError
from nexus_chain.program.sampling import Sampling
from node.gateway.errors import InvalidRequestError, UnsupportedParameterError

Flag = StrictBool
Whole = StrictInt
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
StopTexts = Annotated[list[Annotated[str, Field(min_length=1)]], Field(max_length=64)]
Neutral = Mapping[str, tuple[object, ...]]
"""Values by parameter that change no answer; null is one everywhere."""

LONGEST_NAME = 64


def refuse_parameters(given: Mapping[str, object], neutral: Neutral, where: str = "") -> None:
    """Raise UnsupportedParameterError for the first of ``given`` whose value could change the answer.

    ``where`` stands before the parameter's name: ``options.`` or ``messages[0].``.
    """
    for name, value in given.items():
        harmless = neutral.get(name, ())
        if value is not None and not any(value == one and type(value) in _types_like(one) for one in harmless):
            refuse_parameter(where + name, harmless)


def refuse_parameter(name: str, harmless: tuple[object, ...] = ()) -> None:
    """Raise UnsupportedParameterError for the parameter of that name."""
    shown = name.encode(errors="replace").decode()[:LONGEST_NAME]
    others = f", or give {' or '.join(map(repr, harmless))}" if harmless else ""
    raise UnsupportedParameterError(
        f"{shown} cannot be followed exactly here", advice=f"Leave it out{others}.", param=shown
    )


def require_temperature(temperature: float, param: str) -> float:
    """``temperature``, where nodes can sample at it. Raises InvalidRequestError."""
    try:
        Sampling.at_temperature(temperature)
    except (SamplingError, OverflowError) as error:
        raise InvalidRequestError(
            f"{param} {temperature} is not a temperature that nodes sample at",
            advice="Use 0 for the likeliest tokens, or at least 0.0001.",
            param=param,
        ) from error
    return temperature


def _types_like(value: object) -> tuple[type, ...]:
    """Types whose equal values mean the same in JSON: 1 and 1.0, but not true."""
    return (int, float) if type(value) in (int, float) else (type(value),)
