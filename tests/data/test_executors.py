"""The same tasks run here, in several processes, on Ray where it is installed, and through Slurm's commands; what fails is said.

Slurm itself is not needed: four small scripts take the place of its commands and run a job's array on this machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from datatrove.pipeline.base import PipelineStep
from failing_steps import Dies, Fails, Tells, Waits

from step1x_edit.data.building import build
from step1x_edit.data.executors import LocalWorkers, RayWorkers, run_tasks
from step1x_edit.data.gpus import list_gpus
from step1x_edit.data.recipe import DataRecipe, Executor, Ray, Slurm
from step1x_edit.data.storage import PARTIAL
from step1x_edit.errors import Step1XError, UsageError
from step1x_edit.types import EditCategory

SBATCH = """#!/bin/bash
# sbatch --export=ALL,RUN_OFFSET=0 SCRIPT: run the array of the script, one task after the other, in the background
script=$(mktemp -p {place}); cp "${{@: -1}}" $script; chmod +x $script
last=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' $script)
touch $script.running
( for i in $(seq 0 $last); do
    SLURM_ARRAY_TASK_ID=$i RUN_OFFSET=0 SLURM_NODELIST=localhost bash $script >>{place}/log 2>&1
  done; rm -f $script.running ) </dev/null >/dev/null 2>&1 &
echo Submitted batch job 1
"""
COMMANDS = {
    "sbatch": SBATCH,
    "srun": '#!/bin/bash\nwhile [[ "$1" == -* ]]; do [[ "$1" == -n ]] && shift; shift; done\nexec "$@"\n',
    "squeue": "#!/bin/bash\nls {place}/*.running 2>/dev/null\nexit 0\n",
    "scontrol": "#!/bin/bash\necho localhost\n",
}


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Slurm's commands on the path, for one machine."""
    place = tmp_path / "slurm"
    place.mkdir()
    for name, text in COMMANDS.items():
        (place / name).write_text(text.format(place=place) if name != "srun" else text)
        (place / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}:{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parents[2] / 'src'}:{Path(__file__).parent}")
    monkeypatch.setattr("step1x_edit.data.executors._POLL", 0.1)
    yield place


def test_slurm_makes_the_same_set(recipe: DataRecipe, tmp_path: Path, slurm: Path, digest_folder: Callable[[Path], dict[str, str]]) -> None:
    few = {key: recipe.categories[key] for key in (EditCategory.COLOR_ALTERATION, EditCategory.TONE_TRANSFORMATION)}
    small = recipe.model_copy(update={"count": 4, "categories": few})
    build(small, tmp_path / "here")
    where = Executor(kind="slurm", block=8, slurm=Slurm(partition="work", tasks_per_job=40, arguments={"account": "me"}))
    there, wanted = tmp_path / "there", small.model_copy(update={"executor": where})
    (slurm / "sbatch").rename(slurm / "kept")
    (slurm / "sbatch").write_text("#!/bin/bash\nexit 1\n")
    (slurm / "sbatch").chmod(0o755)
    with pytest.raises(Step1XError, match="sbatch has not taken"):
        build(wanted, there)
    writing = there / "shards" / f"triplets-00000.tar.0{PARTIAL}"
    writing.parent.mkdir()
    writing.touch()
    with pytest.raises(Step1XError, match="sbatch has not taken"):
        build(wanted, there)
    assert writing.exists()  # an array that the first run has asked for might be at work
    (slurm / "kept").rename(slurm / "sbatch")
    build(wanted, there)
    assert digest_folder(there) == digest_folder(tmp_path / "here")


def test_slurm_jobs_that_fail_are_said_and_not_waited_for(tmp_path: Path, slurm: Path) -> None:
    with pytest.raises(Step1XError, match="1 of 3 tasks failed"):
        run_tasks([Fails()], 3, tmp_path / "logs", Executor(kind="slurm", slurm=Slurm(partition="work")))
    script = (tmp_path / "logs" / "launch_script.slurm").read_text()
    assert "#SBATCH --partition=work" in script
    assert "#SBATCH --array=0-2%1" in script


def test_work_that_slurm_does_not_take_is_said(tmp_path: Path, slurm: Path) -> None:
    (slurm / "sbatch").write_text("#!/bin/bash\necho invalid partition >&2\nexit 1\n")
    with pytest.raises(Step1XError, match=r"sbatch has not taken the work \(exit status 1\)"):
        run_tasks([Fails()], 1, tmp_path / "logs", Executor(kind="slurm", slurm=Slurm(partition="typo")))


def test_a_controller_that_does_not_answer_is_waited_for(tmp_path: Path, slurm: Path) -> None:
    (slurm / "sbatch").write_text("#!/bin/bash\necho Submitted batch job 1\n")
    done = tmp_path / "logs" / "completions" / "00000"
    squeue = f"""#!/bin/bash
n=$(cat {slurm}/asked 2>/dev/null || echo 0); echo $((n + 1)) >{slurm}/asked
if [ $n = 2 ]; then mkdir -p {done.parent}; touch {done}; exit; fi
echo "slurm_load_jobs error: Unable to contact slurm controller" >&2; exit 1
"""
    (slurm / "squeue").write_text(squeue)
    run_tasks([Fails()], 1, tmp_path / "logs", Executor(kind="slurm", slurm=Slurm(partition="work")))
    assert (slurm / "asked").read_text() == "3\n"


def test_one_job_is_asked_for_a_list(tmp_path: Path, slurm: Path) -> None:
    (slurm / "sbatch").rename(slurm / "first")
    (slurm / "sbatch").write_text(f'#!/bin/bash\nmkdir {slurm}/asked && exec {slurm}/first "$@"\n')
    (slurm / "sbatch").chmod(0o755)
    run_tasks([Tells(tmp_path / "told")], 2, tmp_path / "logs", Executor(kind="slurm", slurm=Slurm(partition="work")))
    assert len(list((tmp_path / "told").iterdir())) == 2


def test_an_array_that_a_stopped_run_has_asked_for_is_waited_for(tmp_path: Path, slurm: Path) -> None:
    for name in ("begun", "gate"):
        os.mkfifo(tmp_path / name)
    run = f"""
from pathlib import Path
from failing_steps import Waits
from step1x_edit.data.executors import run_tasks
from step1x_edit.data.recipe import Executor, Slurm
run_tasks([Waits(Path({str(tmp_path)!r}))], 1, Path({str(tmp_path / "logs")!r}), Executor(kind="slurm", slurm=Slurm(partition="work")))
"""
    stopped = subprocess.Popen([sys.executable, "-c", run])
    assert (tmp_path / "begun").read_text() == "yes"
    stopped.kill()
    stopped.wait()
    (slurm / "sbatch").write_text("#!/bin/bash\nexit 1\n")
    (slurm / "squeue").write_text(f"#!/bin/bash\nls {slurm}/*.running\nmkdir {tmp_path}/asked && echo go >{tmp_path}/gate\nexit 0\n")
    run_tasks([Waits(tmp_path)], 1, tmp_path / "logs", Executor(kind="slurm", slurm=Slurm(partition="work")))
    assert (tmp_path / "written").read_bytes() == b"whole"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_is_one_sentence(tmp_path: Path, workers: int) -> None:
    (tmp_path / "logs" / "stats").mkdir(parents=True)
    (tmp_path / "logs" / "stats" / "00000.json").symlink_to("/dev/full")
    with pytest.raises(Step1XError, match=r"No space left on device.* make room, and run the same command again"):
        run_tasks([Fails()], 1, tmp_path / "logs", Executor(workers=workers))


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_a_task_comes_through_and_what_was_done_stays_done(tmp_path: Path, workers: int) -> None:
    with pytest.raises(UsageError, match="the pictures have gone"):
        run_tasks([Fails()], 2, tmp_path / "logs", Executor(workers=workers))
    assert (tmp_path / "logs" / "completions" / "00000").exists()
    assert not (tmp_path / "logs" / "completions" / "00001").exists()


def test_a_worker_that_is_killed_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(Step1XError, match="A worker was killed"):
        run_tasks([Dies()], 3, tmp_path / "logs", Executor(workers=2))


def test_progress_counts_what_was_done_before(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    steps: list[PipelineStep] = [Fails()]
    with pytest.raises(UsageError):
        run_tasks(steps, 3, tmp_path / "logs", Executor(), lambda done, total: told.append((done, total)))
    assert told == [(0, 3), (1, 3)]
    (tmp_path / "logs" / "completions" / "00001").touch()
    run_tasks(steps, 3, tmp_path / "logs", Executor(), lambda done, total: told.append((done, total)))
    assert told[2:] == [(2, 3), (3, 3)]
    run_tasks(steps, 0, tmp_path / "nothing", Executor())


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run_tasks([Fails()], 1, tmp_path / "logs", Executor())
    assert capfd.readouterr() == ("", "")


def _note_gpu(folder: Path, rank: int) -> None:
    (folder / str(rank)).write_text(os.environ["CUDA_VISIBLE_DEVICES"])


def test_each_worker_sees_a_gpu_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b,GPU-c")

    with LocalWorkers(2) as workers:
        list(workers.run(partial(_note_gpu, tmp_path), range(12)))
    assert {path.read_text() for path in tmp_path.iterdir()} <= {"GPU-a", "GPU-b"}


@pytest.mark.parametrize(
    ("given", "files", "found"),
    [(None, ["nvidia0", "nvidia1", "nvidiactl"], ["0", "1"]), (None, [], []), ("2,5", ["nvidia0"], ["2", "5"]), ("", ["nvidia0"], [])],
)
def test_gpus_are_those_that_may_be_used(
    given: str | None, files: list[str], found: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in files:
        (tmp_path / name).touch()
    monkeypatch.setattr("step1x_edit.data.gpus._DEVICES", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if given is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert list_gpus() == found


def test_one_pool_serves_list_after_list(tmp_path: Path) -> None:
    with LocalWorkers(2) as workers:
        for number in range(2):
            run_tasks([Tells(tmp_path / f"round-{number}")], 6, tmp_path / f"logs-{number}", Executor(workers=2), workers=workers)
    pids = [{path.read_text() for path in (tmp_path / f"round-{number}").iterdir()} for number in range(2)]
    assert len(pids[0] | pids[1]) <= 2
    assert str(os.getpid()) not in pids[0] | pids[1]


def test_ray_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'step1x-edit\[ray\]'"):
        run_tasks([Fails()], 1, tmp_path / "logs", Executor(kind="ray"))


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[Executor]:
    """A recipe's section for two workers on a Ray that is started on this machine."""
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parents[2] / 'src'}:{Path(__file__).parent}")
    yield Executor(kind="ray", workers=2, block=8, ray=Ray(mem_per_cpu_gb=0.2))


def test_ray_makes_the_same_set(recipe: DataRecipe, tmp_path: Path, ray: Executor, digest_folder: Callable[[Path], dict[str, str]]) -> None:
    small = recipe.model_copy(update={"count": 11})
    build(small, tmp_path / "here")
    build(small.model_copy(update={"executor": ray}), tmp_path / "there")
    assert digest_folder(tmp_path / "there") == digest_folder(tmp_path / "here")


def test_on_ray_actors_serve_list_after_list_and_errors_come_through(tmp_path: Path, ray: Executor) -> None:
    told: list[tuple[int, int]] = []
    with RayWorkers(ray) as workers:
        for number in range(2):
            steps: list[PipelineStep] = [Tells(tmp_path / f"round-{number}")]
            run_tasks(steps, 6, tmp_path / f"logs-{number}", ray, lambda done, total: told.append((done, total)), workers)
        pids = {path.read_text() for path in tmp_path.glob("round-*/*")}
        assert len(pids) <= 2 and str(os.getpid()) not in pids  # one may be done before the other has started
        assert told == 2 * [(done, 6) for done in range(7)]
        with pytest.raises(UsageError, match=r"^the pictures have gone$"):
            run_tasks([Fails()], 2, tmp_path / "logs-fails", ray, workers=workers)
        with pytest.raises(Step1XError, match="A worker was killed"):
            run_tasks([Dies()], 3, tmp_path / "logs-dies", ray, workers=workers)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"gpus_per_task": 64.0}, r"Ray has \d+ GPUs here, and executor.ray.gpus_per_task is 64"),
        ({"mem_per_cpu_gb": 1e6}, "Ray has .* GB of memory here, and executor.ray asks for 1000000.0 GB a task"),
        ({"address": "nowhere at all"}, r"Ray cannot be used at nowhere at all \(Invalid address.*\); correct executor.ray.address"),
    ],
)
def test_what_ray_never_has_room_for_is_said_and_not_waited_for(tmp_path: Path, ray: Executor, asked: dict[str, Any], said: str) -> None:
    where = ray.model_copy(update={"ray": ray.ray.model_copy(update=asked)})
    with pytest.raises(Step1XError, match=said):
        run_tasks([Fails()], 1, tmp_path / "logs", where)
