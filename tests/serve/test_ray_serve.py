"""The application on Ray Serve, where it is installed: two replicas behind one address."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from serve_uploads import encode, noise

pytest.importorskip("ray")
pytest.importorskip("grpc_reflection", reason="Ray Serve is not installed: pip install 'step1x-edit[ray-serve]'")

SCRIPT = """
import json, socket, sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import httpx, openai, ray
from ray import serve
from step1x_edit.serve.ray_serve import build

with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
serve.start(http_options={"host": "127.0.0.1", "port": port})
serve.run(build({"model": "mini", "replicas": "2", "cpus": "0.5"}), route_prefix="/")
root = f"http://127.0.0.1:{port}"
ready = 0
while ready < 6:  # of either replica
    ready = ready + 1 if httpx.get(f"{root}/ready", trust_env=False).status_code == 200 else 0
    time.sleep(0.3)
client = openai.OpenAI(base_url=f"{root}/v1", api_key="none", max_retries=5)
edit = lambda seed: client.images.edit(image=Path(sys.argv[1]), prompt="make it night", extra_body={"seed": seed}).data[0].seed
with ThreadPoolExecutor(6) as pool:
    seeds = list(pool.map(edit, range(6)))
events = client.images.edit(image=Path(sys.argv[1]), prompt="make it night", stream=True, partial_images=1, extra_body={"steps": 2})
print(json.dumps({"seeds": seeds, "events": [event.type for event in events]}))
serve.shutdown()
ray.shutdown()
"""


def test_two_replicas(tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    picture.write_bytes(encode(noise(96, 64)))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, picture],
        env=os.environ | {"OMP_NUM_THREADS": "1", "RAY_AUTH_MODE": "disabled"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
    assert said == {"seeds": list(range(6)), "events": ["image_edit.partial_image", "image_edit.completed"]}
