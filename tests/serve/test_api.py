"""What the official client and plain HTTP get from a running server."""

from __future__ import annotations

import base64
import io
import json
import socket
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import openai
import pytest
from PIL import Image
from serve_server import Server
from serve_uploads import encode, noise

from step1x_edit import Editor, EditRequest
from step1x_edit.errors import UsageError
from step1x_edit.serve.limits import Settings
from step1x_edit.serve.refusals import Refusal
from step1x_edit.serve.service import Service


def read(text: str | None) -> Image.Image:
    assert text
    return Image.open(io.BytesIO(base64.b64decode(text)))


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


def test_an_edit_is_the_editors_own(client: openai.OpenAI, scene: Image.Image) -> None:
    answer = client.images.edit(image=encode(scene), prompt="make it night", model="mini", extra_body={"seed": 5})
    assert answer.data and answer.usage and answer.usage.total_tokens > 0
    result = read(answer.data[0].b64_json)
    expected = Editor.open("mini").edit(scene, "make it night", seed=5).image
    assert np.abs(pixels(result) - pixels(expected)).max() <= 2  # threads differ, and with them the order of sums
    assert answer.size == "300x200" and answer.output_format == "png"


def test_several_results_differ_and_each_can_be_had_again(client: openai.OpenAI, scene: Image.Image) -> None:
    data = encode(scene)
    answer = client.images.edit(image=data, prompt="make it night", n=3)
    assert answer.data and len(answer.data) == 3
    seeds = [picture.seed for picture in answer.data]  # type: ignore[attr-defined]
    assert seeds == [seeds[0], seeds[0] + 1, seeds[0] + 2]
    again = client.images.edit(image=data, prompt="make it night", extra_body={"seed": seeds[1]})
    assert again.data
    assert np.abs(pixels(read(again.data[0].b64_json)) - pixels(read(answer.data[1].b64_json))).max() <= 3


def test_what_else_there_is_to_say_of_an_edit_stands_beside_it(client: openai.OpenAI, scene: Image.Image) -> None:
    plain, odd, weaker = encode(scene), encode(scene, icc_profile=b"no profile"), {"strength": 0.3}
    for data, wanted, said in ((plain, weaker, "makes no difference"), (odd, {}, "colour profile cannot be used"), (plain, {}, "")):
        answer = client.images.edit(image=data, prompt="make it night", extra_body=wanted)
        (event,) = client.images.edit(image=data, prompt="make it night", stream=True, extra_body=wanted)
        assert answer.data
        for notes in (answer.data[0].notes, event.notes):  # type: ignore[attr-defined,union-attr]
            assert len(notes) == bool(said) and said in " ".join(notes)


def test_a_mask_marks_what_is_edited_by_transparency(client: openai.OpenAI, scene: Image.Image) -> None:
    mask = scene.convert("RGBA")
    alpha = Image.new("L", scene.size, 255)
    alpha.paste(0, (0, 0, 150, 200))
    mask.putalpha(alpha)
    answer = client.images.edit(image=encode(scene), mask=encode(mask), prompt="make it night")
    assert answer.data
    result = read(answer.data[0].b64_json)
    assert np.array_equal(pixels(result)[:, 150:], pixels(scene)[:, 150:])
    assert np.abs(pixels(result)[:, :150] - pixels(scene)[:, :150]).mean() > 5


def test_the_model_may_be_shown_a_mask_from_close_by(client: openai.OpenAI, scene: Image.Image) -> None:
    data, box = scene.resize((900, 600)), (600, 100, 700, 200)
    mask, region = data.convert("RGBA"), Image.new("L", data.size, 0)
    region.paste(255, box)
    mask.putalpha(region.point(lambda level: 255 - level))
    wanted = {"seed": 5, "zoom": True, "feather": 10}
    answer = client.images.edit(image=encode(data), mask=encode(mask), prompt="make it night", n=2, extra_body=wanted)
    assert answer.data and len(answer.data) == 2
    request = EditRequest(data, "make it night", mask=region, zoom=True, feather=10)
    expected = next(Editor.open("mini").edit_seeds(request, [5])).image
    assert np.abs(pixels(read(answer.data[0].b64_json)) - pixels(expected)).max() <= 2
    with pytest.raises(openai.BadRequestError, match="There is no mask to zoom in on"):
        client.images.edit(image=encode(data), prompt="make it night", extra_body={"zoom": True})


@pytest.mark.parametrize(
    ("form", "size", "expected"), [("jpeg", "150x150", (150, 100)), ("webp", "600x1000", (600, 400)), ("png", "auto", (300, 200))]
)
def test_formats_and_sizes(client: openai.OpenAI, scene: Image.Image, form: str, size: str, expected: tuple[int, int]) -> None:
    answer = client.images.edit(
        image=encode(scene), prompt="make it night", output_format=form, output_compression=70, size=size, response_format="url"
    )  # type: ignore[call-overload]
    head, _, body = answer.data[0].url.partition(",")
    result = read(body)
    assert head == f"data:image/{form};base64"
    assert (result.format, result.size) == (form.upper(), expected)


def test_transparency_of_the_picture_is_kept(client: openai.OpenAI, scene: Image.Image) -> None:
    rgba = scene.convert("RGBA")
    rgba.putalpha(Image.linear_gradient("L").resize(scene.size))
    answer = client.images.edit(image=encode(rgba), prompt="make it night")
    assert answer.data
    assert np.array_equal(pixels(read(answer.data[0].b64_json))[..., 3], pixels(rgba)[..., 3])
    assert answer.background == "transparent"
    (event,) = client.images.edit(image=encode(rgba), prompt="make it night", stream=True, output_format="jpeg")
    assert event.background == "opaque"
    (event,) = client.images.edit(image=encode(scene.convert("RGBA")), prompt="make it night", stream=True)
    assert event.background == "opaque"


def test_a_stream_shows_the_work_in_progress(client: openai.OpenAI, scene: Image.Image) -> None:
    stream = client.images.edit(
        image=encode(scene), prompt="make it night", stream=True, partial_images=2, extra_body={"steps": 4, "seed": 1, "strength": 1}
    )
    events = list(stream)
    assert [event.type for event in events] == ["image_edit.partial_image"] * 2 + ["image_edit.completed"]
    assert [event.partial_image_index for event in events[:2]] == [0, 1]  # type: ignore[union-attr]
    assert read(events[0].b64_json).size == (152, 104)
    assert read(events[2].b64_json).size == scene.size
    assert events[2].usage.output_tokens == 16 * 16  # type: ignore[union-attr]


def test_what_the_filter_refuses_is_not_shown_in_progress_either(http: httpx.Client, scene: Image.Image) -> None:
    fields = {"prompt": "make it shy", "stream": "true", "partial_images": "2", "steps": "4"}
    answer = http.post("/v1/images/edits", data=fields, files={"image": encode(scene)})
    assert "The result is shy." in answer.text and "b64_json" not in answer.text


def test_a_stream_of_several_results(client: openai.OpenAI, scene: Image.Image) -> None:
    stream = client.images.edit(image=encode(scene), prompt="make it night", stream=True, n=2)
    events = list(stream)
    assert [event.type for event in events] == ["image_edit.completed"] * 2
    assert len({event.seed for event in events}) == 2  # type: ignore[union-attr]


def test_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["mini", "gpt-image-1", "org/mini"]
    assert client.models.retrieve("org/mini").id == "org/mini"
    assert client.models.retrieve("mini").owned_by == "step1x-edit"
    with pytest.raises(openai.NotFoundError, match="no model dall-e-2"):
        client.models.retrieve("dall-e-2")


def test_a_model_that_makes_no_pictures_from_text_says_so(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="makes no pictures from text alone"):
        client.images.generate(prompt="a red ball", model="mini", n=None, size=None, quality=None)  # which are sent as null


def test_json_with_the_picture_in_it(http: httpx.Client, scene: Image.Image) -> None:
    url = "data:image/png;base64," + base64.b64encode(encode(scene)).decode()
    answer = http.post("/v1/images/edits", json={"prompt": "make it night", "images": [{"image_url": url}], "seed": 3})
    assert answer.status_code == 200 and read(answer.json()["data"][0]["b64_json"]).size == scene.size


def test_ten_at_once_get_each_their_own(client: openai.OpenAI) -> None:
    sizes = [(40 + 16 * i, 40 + 8 * (9 - i)) for i in range(10)]

    def ask(i: int) -> tuple[int, int]:
        answer = client.images.edit(image=encode(noise(*sizes[i], i)), prompt="make it night", extra_body={"seed": i})
        assert answer.data
        return read(answer.data[0].b64_json).size

    with ThreadPoolExecutor(10) as pool:
        assert list(pool.map(ask, range(10))) == sizes


PICTURE = encode(noise(64, 48))
WRONG: list[tuple[dict[str, str], str, int, str]] = [
    ({"prompt": " "}, "instruction is empty", 400, "invalid_value"),
    ({"prompt": "word " * 100_000}, "500000 characters; say it in at most 2000", 400, "invalid_value"),
    ({"n": "11"}, "at most 10 results", 400, "invalid_value"),
    ({"n": "two"}, "field n is wrong", 400, "invalid_value"),
    ({"steps": "1000000"}, "at most 100", 400, "invalid_value"),
    ({"guidance": "nan"}, "field guidance is wrong", 400, "invalid_value"),
    ({"model_size": "4096"}, "at most at 256", 400, "invalid_value"),
    ({"size": "big"}, "field size is wrong: give auto, or WIDTHxHEIGHT", 400, "invalid_value"),
    ({"size": "99999x99999"}, "million pixels", 400, "invalid_value"),
    ({"output_format": "gif"}, "field output_format is wrong", 400, "invalid_value"),
    ({"background": "transparent"}, "Transparent backgrounds", 400, "unsupported_value"),
    ({"model": "maxi"}, "There is no model maxi", 404, "model_not_found"),
    ({"colour": "red"}, "no field colour", 400, "unknown_parameter"),
    ({"seed": str(2**63)}, "field seed is wrong", 400, "invalid_value"),
    ({"seed": str(2**63 - 1), "n": "2"}, "beyond 2..63 - 1", 400, "invalid_value"),
    ({"prompt": "show <|image_pad|>"}, "a meaning of its own", 400, "invalid_value"),
    ({"image": "abc"}, "field image is a text; send it as a file", 400, "invalid_value"),
    ({"prompt": "draw blood"}, "Blood is not drawn here", 400, "content_policy_violation"),
]


@pytest.mark.parametrize(("fields", "sentence", "status", "code"), WRONG, ids=[next(iter(case[0])) + case[3] for case in WRONG])
def test_what_is_wrong_is_said(http: httpx.Client, fields: dict[str, str], sentence: str, status: int, code: str) -> None:
    answer = http.post("/v1/images/edits", data={"prompt": "make it night"} | fields, files={"image": PICTURE})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, code)
    assert error["type"] == "invalid_request_error" and sentence.partition("..")[0] in error["message"]


def test_too_many_pictures_and_masks_that_do_not_fit(http: httpx.Client) -> None:
    def ask(files: list[tuple[str, bytes]]) -> str:
        answer = http.post("/v1/images/edits", data={"prompt": "make it night"}, files=files)
        assert answer.status_code == 400
        return answer.json()["error"]["message"]

    assert "takes one picture in a request, not 20" in ask([("image[]", PICTURE)] * 20)
    assert "cannot be read: Too many files" in ask([("image[]", PICTURE)] * 40)
    assert "picture to edit is missing" in ask([("mask", PICTURE)])
    assert "mask is 10 x 10 pixels and the picture 64 x 48" in ask([("image", PICTURE), ("mask", encode(noise(10, 10)))])
    for opaque in (PICTURE, encode(noise(64, 48).convert("RGBA"))):
        assert "mask has no transparency" in ask([("image", PICTURE), ("mask", opaque)])
    assert "no field other" in ask([("image", PICTURE), ("other", PICTURE)])


def test_a_picture_that_came_as_text_is_said_to_be_one(http: httpx.Client) -> None:
    answer = http.post("/v1/images/edits", files={"prompt": (None, "make it night"), "image": (None, "cat.png")})
    assert answer.status_code == 400 and "field image is a text; send it as a file" in answer.json()["error"]["message"]


def test_a_text_that_came_as_a_file_is_said_to_be_one(http: httpx.Client) -> None:
    answer = http.post("/v1/images/edits", files={"image": PICTURE, "prompt": ("prompt.txt", b"make it night")})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "prompt")
    assert answer.json()["error"]["message"] == "The field prompt came as a file; send it as a text, without a file name."


def test_a_file_that_was_not_chosen_counts_as_left_out(http: httpx.Client) -> None:
    pictures = {"image": ("a.png", PICTURE), "mask": ("none", b"")}
    form = httpx.Request("POST", str(http.base_url), data={"prompt": "make it night"}, files=pictures)
    body = form.read().replace(b'filename="none"', b'filename=""')  # as browsers write it, and httpx does not
    answer = http.post("/v1/images/edits", content=body, headers={"content-type": form.headers["content-type"]})
    assert answer.status_code == 200, answer.text


def test_results_that_are_too_much_together_are_refused(http: httpx.Client) -> None:
    large = encode(Image.new("RGB", (4800, 3800)))
    for n, size in (("3", "auto"), ("10", "3000x3000")):
        answer = http.post("/v1/images/edits", data={"prompt": "make it night", "n": n, "size": size}, files={"image": large})
        assert answer.status_code == 400 and "all results together may have 40 million" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, 'or in JSON as images: [{"image_url": "data:image/png;base64,..."}].'),
        ({"image": "data:"}, 'or in JSON as images: [{"image_url": "data:image/png;base64,..."}].'),
        ({"images": ["data:"]}, 'The field images.0 is wrong: give it as {"image_url": "data:image/png;base64,..."}.'),
        ({"images": [{"image_url": "data:"}], "mask": "data:"}, 'The field mask is wrong: give it as {"image_url":'),
    ],
)
def test_how_json_holds_a_picture_is_said(http: httpx.Client, fields: dict[str, object], sentence: str) -> None:
    answer = http.post("/v1/images/edits", json={"prompt": "make it night"} | fields)
    assert answer.status_code == 400 and sentence in answer.json()["error"]["message"]


def test_bodies_of_other_kinds(http: httpx.Client) -> None:
    def ask(content: bytes, kind: str) -> tuple[int, str]:
        answer = http.post("/v1/images/edits", content=content, headers={"content-type": kind})
        return answer.status_code, answer.json()["error"]["code"]

    assert ask(b"prompt=x", "application/x-www-form-urlencoded") == (415, "unsupported_media_type")
    assert ask(b"{", "application/json") == (400, "invalid_json")
    assert ask(b"[" * 100_000, "application/json") == (400, "invalid_json")
    assert ask(b"[]", "application/json") == (400, "invalid_json")
    assert ask(b'{"prompt": "\\ud800", "images": [{"image_url": "data:image/png;base64,AAAA"}]}', "application/json")[0] == 400
    assert ask(b'{"\\ud800": 1, "prompt": "x"}', "application/json") == (400, "invalid_value")
    assert ask(b'{"prompt": "x"}', "application/json") == (400, "missing_required_parameter")
    assert ask(b'{"prompt": "x", "images": [{"image_url": "https://example.com/x.png"}]}', "application/json") == (400, "invalid_image_url")
    assert ask(b"nothing", "multipart/form-data") == (400, "invalid_form")
    assert ask(b"nothing", "multipart/form-data; boundary=x") == (400, "invalid_form")
    field = b'--x\r\nContent-Disposition: form-data; name="prompt"\r\n\r\nhi\xff\r\n--x--\r\n'
    assert ask(field, "multipart/form-data; boundary=x; charset=undefined") == (400, "invalid_form")
    assert ask(bytes(9 * 2**20), "application/json") == (413, "request_too_large")


def test_a_failure_in_a_stream_has_a_status_too(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="damaged or cut off"):
        client.images.edit(image=PICTURE[:-400], prompt="make it night", stream=True)


def test_deadlines(http: httpx.Client, scene: Image.Image) -> None:
    answer = http.post("/v1/images/edits", data={"prompt": "make it night", "timeout": "0.001"}, files={"image": encode(scene)})
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "deadline_exceeded")
    assert http.post("/v1/images/edits", data={"prompt": "make it night"}, files={"image": PICTURE}).status_code == 200


def test_the_official_client_does_not_repeat_what_missed_its_deadline(server: Server, http: httpx.Client) -> None:
    missed = 'step1x_requests_total{path="/v1/images/edits",status="504"}'
    late = {"prompt": "make it night", "timeout": "0.001"}
    assert http.post("/v1/images/edits", data=late, files={"image": PICTURE}).status_code == 504
    before = server.metric(missed)
    with openai.OpenAI(base_url=f"{server.root}/v1", api_key="none", max_retries=2) as client, pytest.raises(openai.InternalServerError):
        client.images.edit(image=PICTURE, prompt="make it night", extra_body={"timeout": 0.001})
    assert server.metric(missed) == before + 1


def test_what_operators_ask(server: Server, http: httpx.Client) -> None:
    assert http.get("/health").json() == {"alive": True}
    assert http.get("/ready").json() == {"ready": True}
    made = server.metric("step1x_pictures_total")
    assert http.post("/v1/images/edits", data={"prompt": "make it night"}, files={"image": PICTURE}).status_code == 200
    assert (server.metric("step1x_pictures_total"), server.metric("step1x_waiting"), server.metric("step1x_held_bytes")) == (made + 1, 0, 0)
    paths = http.get("/openapi.json").json()["paths"]
    assert set(paths["/v1/images/edits"]["post"]["requestBody"]["content"]) == {"multipart/form-data", "application/json"}
    for path in ("/health", "/ready"):
        assert http.head(path).status_code == 200 and not http.head(path).content
    for path in ("/nowhere", "/images/edits", "/v1/images/edits/"):
        answer = http.post(path, headers={"host": "elsewhere.example"})
        assert answer.status_code == 404 and answer.json()["error"]["type"] == "invalid_request_error"
        assert answer.json()["error"]["message"] == f"There is nothing at {path}; what there is begins with /v1, see /openapi.json."
    assert http.put("/v1/models").status_code == 405
    assert len(answer.headers["x-request-id"]) == 16 and answer.headers["cache-control"] == "no-store"


def test_a_connection_may_lie_idle_as_proxies_let_it(server: Server) -> None:
    with socket.create_connection((server.host, server.port)) as line:
        for idle in (6.0, 0.1):  # more than the 5 s after which uvicorn by itself hangs up, while httpx and others still count on it
            line.sendall(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
            answer = b""
            while not answer.endswith(b"}"):
                piece = line.recv(4096)
                assert piece
                answer += piece
            line.settimeout(idle)
            with pytest.raises(TimeoutError):
                line.recv(1)
            line.settimeout(20)


def test_other_sites_and_names_are_kept_out(http: httpx.Client) -> None:
    assert http.get("/v1/models", headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert http.get("/v1/models", headers={"host": "evil.example"}).json()["error"]["code"] == "unknown_host"
    assert http.get("/v1/models", headers={"host": "localhost:8000"}).status_code == 200
    assert http.get("/v1/models", headers={"host": "Photos.Example", "origin": "http://photos.example:3000"}).status_code == 200
    for origin in ("http://evil.example", "http://localhost.evil.example:8000", "null"):
        answer = http.get("/v1/models", headers={"host": "localhost:8000", "origin": origin})
        assert answer.json()["error"]["code"] == "cross_site"


def test_names_are_compared_without_case_and_port() -> None:
    service = Service(Settings(hosts=("Photos.Example:8000", "fd00::1")))
    for host in ("photos.example", "PHOTOS.example:80", "[FD00::1]:8000"):
        assert service.authorise({"host": host}, None)
    with pytest.raises(Refusal, match="not addressed under this name"):
        service.authorise({"host": "localhost"}, None)


@pytest.mark.parametrize("host", ["", "https://photos.example", "photos.example/", "*", "a b", "*.*.example"])
def test_hosts_that_would_never_be_found_are_refused(host: str) -> None:
    with pytest.raises(UsageError, match="not the name of a server; give one as"):
        Settings(hosts=("photos.example:8000", host))
    for name in (host, "photos.example:443"):
        with pytest.raises(UsageError, match="not a host to read from; give one as"):
            Settings(url_hosts=("*.photos.example", "2606:4700::1111", name))


def test_probes_are_logged_only_where_something_is_wrong(server: Server, http: httpx.Client) -> None:
    probes = [http.get(path) for path in ("/health", "/ready")]
    other = http.get("/v1/models")
    assert server.has_said(other.headers["x-request-id"])
    assert [probe.headers["x-request-id"] in server.output for probe in probes] == [False, False]


def test_nothing_of_a_request_is_logged(server: Server, http: httpx.Client) -> None:
    secret = "paint the zebra heliotrope"
    answer = http.post("/v1/images/edits?token=heliotrope", data={"prompt": secret}, files={"image": ("zebra.png", PICTURE)})
    assert answer.status_code == 200
    assert server.has_said(answer.headers["x-request-id"])
    assert "zebra" not in server.output and "heliotrope" not in server.output
    assert json.loads(answer.content)["model"] == "mini"
