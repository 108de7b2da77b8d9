"""The routes: OpenAI's images and models, and what operators ask a server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import Request
from starlette.responses import Response

from step1x_edit.serve.answers import answer
from step1x_edit.serve.refusals import Refusal
from step1x_edit.serve.schemas import EditBody, EditForm, ErrorBody, GenerationWishes, ModelEntry, ModelList, Pictures
from step1x_edit.serve.service import Service
from step1x_edit.serve.uploads import Take, read_upload

Status = dict[int | str, dict[str, Any]]

ERRORS: Status = {
    status: {"model": ErrorBody, "description": reason}
    for status, reason in {
        400: "Something in the request is wrong; the message says what.",
        401: "The key is missing or unknown.",
        403: "The server is not addressed under this name, or not from other sites.",
        404: "There is no such model.",
        408: "The request took too long to arrive.",
        413: "The request is too large.",
        415: "It is neither a form nor JSON.",
        429: "Too many requests are waiting; Retry-After says when to try again.",
        500: "The edit failed.",
        503: "The model is being loaded, or the server is about to end.",
        504: "It took too long.",
    }.items()
}

bearer = HTTPBearer(auto_error=False, description="A key of step1x serve keys add, where the server has keys.")
router = APIRouter()


def service_of(request: Request) -> Service:
    """The one service of the application."""
    service: Service = request.app.state.service
    return service


async def authorise(request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)] = None) -> str:
    """Whose request this is; nothing of its body has been read."""
    owner = service_of(request).authorise(request.headers, credentials.credentials if credentials else None)
    request.scope["step1x.owner"] = owner
    return owner


Owner = Annotated[str, Depends(authorise)]


async def hold(request: Request, owner: Owner) -> AsyncIterator[Take]:
    """Room in memory for the request, until it is answered."""
    async with service_of(request).budget.hold(request, owner) as take:
        yield take


def _schema(kind: type[EditBody | EditForm | GenerationWishes]) -> dict[str, Any]:
    return {"schema": kind.model_json_schema(ref_template="#/components/schemas/{model}")}


def _body(**content: type[EditBody | EditForm | GenerationWishes]) -> dict[str, Any]:
    names = {"form": "multipart/form-data", "json": "application/json"}
    return {"requestBody": {"required": True, "content": {names[name]: _schema(kind) for name, kind in content.items()}}}


@router.post(
    "/v1/images/edits",
    response_model=Pictures,
    responses=ERRORS,
    openapi_extra=_body(form=EditForm, json=EditBody),
)
async def edit(request: Request, owner: Owner, take: Annotated[Take, Depends(hold)]) -> Response:
    """Edit a picture by an instruction."""
    service = service_of(request)
    model = service.require_model()
    order = await service.clerk.read_edit(await read_upload(request, service.settings.limits, take), model, take)
    return await answer(service.engine, order, owner, request, "image_edit")


@router.post(
    "/v1/images/generations",
    response_model=Pictures,
    responses=ERRORS,
    openapi_extra=_body(json=GenerationWishes),
)
async def generate(request: Request, owner: Owner, take: Annotated[Take, Depends(hold)]) -> Response:
    """Make a picture from text alone, where the model can."""
    service = service_of(request)
    model = service.require_model()
    order = service.clerk.read_generation(await read_upload(request, service.settings.limits, take), model)
    return await answer(service.engine, order, owner, request, "image_generation")


@router.get("/v1/models", responses={key: ERRORS[key] for key in (401, 403)})
async def list_models(request: Request, owner: Owner) -> ModelList:
    """The model that is served, under all its names."""
    service = service_of(request)
    return ModelList(data=[ModelEntry(id=name, created=service.started) for name in service.names])


@router.get("/v1/models/{model:path}", responses={key: ERRORS[key] for key in (401, 403, 404)})
async def retrieve_model(request: Request, owner: Owner, model: str) -> ModelEntry:
    """One of its names."""
    service = service_of(request)
    if model not in service.names:
        raise Refusal(f"There is no model {model}; this server has {service.names[0]}.", 404, "model_not_found", "model")
    return ModelEntry(id=model, created=service.started)


@router.head("/health", include_in_schema=False)
@router.get("/health")
async def health() -> dict[str, bool]:
    """Whether the server answers."""
    return {"alive": True}


@router.head("/ready", include_in_schema=False)
@router.get("/ready", responses={503: ERRORS[503]})
async def ready(request: Request) -> dict[str, bool]:
    """Whether it can edit: 200, or 503 while the model is being loaded and when the server is about to end."""
    if not service_of(request).engine.ready:
        raise Refusal("The model is being loaded.", 503, "not_ready", None, 5.0)
    return {"ready": True}


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}, 401: ERRORS[401]})
async def metrics(request: Request, owner: Owner) -> Response:
    """Counts for Prometheus."""
    return Response(service_of(request).metrics.expose(), media_type="text/plain; version=0.0.4; charset=utf-8")
