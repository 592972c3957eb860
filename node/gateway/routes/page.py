"""The page for people, under ``/app``. It needs no key: what it shows of somebody, it asks for with theirs."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from node.gateway.deps import AppDeps
from node.gateway.errors import NotFoundError
from node.gateway.page import file_at, page_files, page_headers

router = APIRouter(include_in_schema=False)


@router.api_route("/app", methods=["GET", "HEAD"])
async def page_root(deps: AppDeps) -> RedirectResponse:
    """The page's first place."""
    return RedirectResponse("/app/", headers=page_headers(deps.verifiers))


@router.api_route("/app/{path:path}", methods=["GET", "HEAD"])
async def page_file(path: str, request: Request, deps: AppDeps) -> Response:
    """A file of the page, or its document for a place within it. Raises NotFoundError."""
    found = file_at(path, deps.page)
    if found is None and not page_files(deps.page):
        raise NotFoundError("the page was not built", advice="Build it: make web.")
    if found is None:
        raise NotFoundError(f"the page has no file {path[:200]}", advice="Load the page again: it may be newer.")
    headers = page_headers(deps.verifiers)
    headers |= {"cache-control": found.cache_control, "etag": found.etag, "vary": "accept-encoding"}
    if request.headers.get("if-none-match") == found.etag:
        return Response(status_code=304, headers=headers)
    if found.compressed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(found.compressed, headers={**headers, "content-encoding": "gzip"}, media_type=found.media_type)
    return Response(found.content, headers=headers, media_type=found.media_type)
