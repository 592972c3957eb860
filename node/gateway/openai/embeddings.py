"""``/v1/embeddings`` as types and translation."""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from node.gateway.errors import UnsupportedParameterError
from node.gateway.generation import Embedding, OfferedModel
from node.gateway.openai.completions import Prompts
from node.gateway.openai.parameters import require_followed


class OpenAIEmbeddingRequest(BaseModel):
    """Texts, or token ids, to embed."""

    model_config = ConfigDict(extra="allow", strict=True)

    model: str
    input: Prompts
    encoding_format: Literal["float", "base64"] | None = "float"
    dimensions: int | None = None

    def require_possible(self, model: OfferedModel) -> None:
        """Raise UnsupportedParameterError for another width than the model's own."""
        require_followed(self.model_extra)
        width = model.files.program.shape.width
        if self.dimensions not in (None, width):
            raise UnsupportedParameterError(
                f"{model.name} gives {width} dimensions", advice="Leave it out.", param="dimensions"
            )


def embeddings_reply(request: OpenAIEmbeddingRequest, found: Sequence[Embedding]) -> dict[str, Any]:
    """The whole reply; base64 is of little-endian float32."""
    tokens = sum(one.prompt_tokens for one in found)
    data = [
        {"object": "embedding", "index": index, "embedding": _written(request, one.vector)}
        for index, one in enumerate(found)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": request.model, "usage": usage}


def _written(request: OpenAIEmbeddingRequest, vector: Sequence[float]) -> str | list[float]:
    if request.encoding_format == "base64":
        return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    return list(vector)
