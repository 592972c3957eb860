"""The operator's distillation as callers may look at it, read on a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from nexus_chain.errors import NexusError
from node.gateway.errors import NotFoundError, UnavailableError

if TYPE_CHECKING:
    from nexus_chain.workflows.learning.view import LearningView

_Found = TypeVar("_Found")


class LearningPanel:
    """``folder``: see LearningView. Every method raises NotFoundError for an unknown name, UnavailableError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="nexus-learning")

    async def names(self) -> list[str]:
        """What can be looked at."""
        return await self._ask(lambda view: view.names())

    async def overview(self, name: str) -> dict[str, Any]:
        """See LearningView."""
        return await self._ask(lambda view: view.overview(name))

    async def answers(self, name: str, after: int, outcome: str) -> list[dict[str, Any]]:
        """See LearningView."""
        return await self._ask(lambda view: view.answers(name, after, outcome))

    async def close(self) -> None:
        """End the thread."""
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)

    async def _ask(self, work: Callable[[LearningView], _Found]) -> _Found:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._look, work)

    def _look(self, work: Callable[[LearningView], _Found]) -> _Found:
        # Imported on the thread, at the first look: most gateways have none.
        from nexus_chain.workflows.learning.errors import UnknownRunError
        from nexus_chain.workflows.learning.view import LearningView

        try:
            return work(LearningView(self._folder))
        except UnknownRunError as error:
            raise NotFoundError(error.message, advice=error.advice) from error
        except (NexusError, OSError) as error:
            raise UnavailableError(
                "the distillation's folder cannot be read", advice="Tell the gateway's operator."
            ) from error
