"""Everything that a machine with a GPU should do for this project, in one call: checks, figures, trainings.

    python benchmarks/gpu.py --data-root DIR --pack FILE [--earlier COMPARISONS]
    python benchmarks/gpu.py --data-root FILE -o OUT [--minutes 8] [--only checks figures trainings]
    make gpu DATA_ROOT=FILE OUT=OUT

Three parts, in this order, until the minutes are used:

- checks: the tests in tests/gpu, that is, every architecture and gating against the CPU and against its folded network,
  half precision, compiled and as CUDA graphs, from eight threads, trainings as one graph, side by side, resumed;
- figures: images a second in training and microseconds of a call, beside the targets, with the kernels of a step and a
  profile; a whole comparison of small networks; what bf16 costs in loss;
- trainings: those that take a GPU, in order of worth. Each goes on from where an earlier call stopped, as long as the
  folder OUT.work beside OUT is there, in which everything happens.

Every part is a command of its own with a time limit, so that one that fails or hangs costs no other its result. OUT
then holds five files: gpu.json, log.txt, results.tar with what the benchmarks and comparisons wrote, trainings.tar with
the finished models, and comparisons.tar.gz with the finished runs of comparisons, but for their weights. A table is
printed last. The first form packs what the machine may lack, the data sets and a small package, into one file of about
23 MB, which the second form takes; a folder of data sets will do as well. With --earlier the runs of comparisons travel
too, so that another machine goes on from there: it trains again only what it has to measure on test images. With
--tiny everything runs with small sizes, also on a CPU, to try the script itself.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PARTS = ("checks", "figures", "trainings")
LEAST = 20.0  # seconds that a command should have
STOP = 25.0  # seconds that a training has to save its state
PACKAGES, EARLIER = "packages", "comparisons.tar.gz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One command.

    Attributes:
        name: Its name in the table.
        part: The part that it belongs to.
        command: The arguments of Python.
        limit: The most seconds that it may take.
        figures: What to say of its result, as lines of name, figure, target.
    """

    name: str
    part: str
    command: list[str]
    limit: float
    figures: Callable[[], Iterator[tuple[str, str, str]]] = field(default=lambda: iter(()))


def main() -> None:
    """Run, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--pack", type=Path, metavar="FILE", help="write the data and packages to take along, and stop")
    parser.add_argument("--earlier", type=Path, metavar="FILE", help="comparisons.tar.gz of another machine to pack")
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=[*PARTS])
    parser.add_argument("--tiny", action="store_true", help="small sizes, on any device")
    given = parser.parse_args()
    if not given.data_root.exists():
        parser.error(f"{given.data_root}: no such file or folder")
    if given.pack is not None:
        pack_luggage(given.data_root, given.pack, given.earlier)
        return
    if given.output is None:
        parser.error("say with -o where the results go")
    given.output, given.data_root = given.output.resolve(), given.data_root.resolve()
    given.work = given.output.with_name(f"{given.output.name}.work")
    for folder in (given.output, given.work):
        folder.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + 60 * given.minutes
    with tempfile.TemporaryDirectory() as folder:
        if given.data_root.is_file():
            with tarfile.open(given.data_root) as tar:
                tar.extractall(folder, filter="data")
            given.data_root = Path(folder)
            if (given.data_root / EARLIER).is_file():
                unpack_runs(given.data_root / EARLIER, given.work / "runs")
        sys.exit(any(each["status"] == "failed" for each in run_all(given, deadline)))


def pack_luggage(data_root: Path, file: Path, earlier: Path | None) -> None:
    """Pack the data sets that the tasks need, a package that writes recipes, which few machines have, and old runs."""
    import tomli_w

    with tarfile.open(file, "w:gz") as tar:
        for name in ("MNIST", "BinarizedMNIST", "Omniglot"):
            tar.add(data_root / name, arcname=name)
        tar.add(Path(tomli_w.__file__).parent, arcname=f"{PACKAGES}/tomli_w")
        if earlier is not None:
            tar.add(earlier, arcname=EARLIER)
    print(f"wrote {file}, {file.stat().st_size / 1e6:.1f} MB")


def pack_runs(runs: Path, file: Path) -> None:
    """Pack the finished runs of comparisons, but for the weights and the plots of each."""
    with tarfile.open(file, "w:gz") as tar:
        for run in sorted(path.parent for path in runs.glob("*/*/config.json")):
            for path in sorted(run.iterdir()):
                if path.suffix in (".json", ".jsonl", ".toml") or path.name.startswith("test-"):
                    tar.add(path, arcname=str(path.relative_to(runs)))


def unpack_runs(file: Path, runs: Path) -> None:
    """Put runs of another machine beside those that are here, which are kept."""
    with tarfile.open(file) as tar:
        for member in tar.getmembers():
            if not (runs / member.name).exists():
                tar.extract(member, runs, filter="data")


def run_all(given: argparse.Namespace, deadline: float) -> list[dict[str, Any]]:
    """Run the tasks until the deadline; what is known is written after each."""
    results: list[dict[str, Any]] = []
    for task in tasks(given):
        left = deadline - time.monotonic()
        if task.part not in given.only or left < LEAST:
            if task.part in given.only:
                results.append({"task": task.name, "part": task.part, "status": "no time left", "seconds": 0.0})
            continue
        results.append(run(task, min(task.limit, left), given))
        deliver(given, results)
    show(results)
    return results


def tasks(given: argparse.Namespace) -> list[Task]:
    """Everything to do, in order."""
    out, data, tiny = given.work, str(given.data_root), given.tiny
    speed = (
        ["--turns", "3", "--shortest", "0.02", "--batch-size", "8", "--stacked", "2", "--eager-only"]
        if tiny
        else ["--turns", "7"]
    )
    return [
        Task(
            name="correct on this device",
            part="checks",
            command=[
                "-m",
                "pytest",
                "-q",
                *("-W", "default"),
                "-p",
                "no:cacheprovider",
                "-n",
                "1" if tiny else "6",
                "tests/gpu",
            ]
            + (["-k", "shrinkage and mlp or threads or noise"] if tiny else []),
            limit=150,
        ),
        Task(
            name="training step, MLP",
            part="figures",
            command=[
                "benchmarks/training_step.py",
                *speed,
                *("--networks", "mlp", "--data-root", data, "-o", str(out / "training_step_mlp.json")),
            ],
            limit=600 if tiny else 120,
            figures=lambda: of_step(out / "training_step_mlp.json", 500_000, 1 / 1.2, 10, 4_000_000),
        ),
        Task(
            name="training step, ResNet of the authors",
            part="figures",
            command=[
                "benchmarks/training_step.py",
                *speed,
                *("--networks", "resnet" if tiny else "paper resnet", "--data-root", data),
                *("--stacked", "2" if tiny else "4", "-o", str(out / "training_step_resnet.json")),
            ],
            limit=600 if tiny else 120,
            figures=lambda: of_step(out / "training_step_resnet.json", 60_000, 1 / 1.15, 5, None),
        ),
        Task(
            name="a call of a model",
            part="figures",
            command=[
                "benchmarks/inference.py",
                *(["--turns", "3", "--shortest", "0.01", "--batches", "4", "--eager-only"] if tiny else []),
                *("-o", str(out / "inference.json")),
            ],
            limit=90,
            figures=lambda: of_inference(out / "inference.json"),
        ),
        Task(
            name="comparison of MLPs, ten β, three seeds",
            part="figures",
            command=[
                *("-m", "mrvae_zoo", "compare", "mrvae_mlp.binarized_mnist", "--data-root", data),
                *("--seeds", "1" if tiny else "3", "--betas", "2" if tiny else "10", "--force", "--draws", "2"),
                *("--runs", str(out / "compare"), "-o", str(out)),
                *(setting for each in SMALL_COMPARISON if tiny for setting in ("--set", each)),
            ],
            limit=150,
            figures=lambda: of_comparison(out),
        ),
        Task(
            name="what bf16 costs in loss",
            part="figures",
            command=[
                *("benchmarks/precision.py", "--data-root", data, "-o", str(out / "precision.json")),
                *(("--seeds", "1", "--epochs", "1", "--limit", "640") if tiny else ("--seeds", "1", "--epochs", "10")),
            ],
            limit=90,
        ),
        *(
            Task(
                name=f"{command} {name}",
                part="trainings",
                command=[
                    *("-m", "mrvae_zoo", command, name, "--data-root", data, *options),
                    *(["--learning-rate", "0.001"] if tiny and command == "compare" else []),
                    *(setting for each in small if tiny for setting in ("--set", each)),
                    *(["--runs", str(out / "runs" / Path(name).stem)] if command == "compare" else []),
                    *(["-o", str(out), "--force"] if command == "compare" else []),
                    *(["-o", str(out / "runs" / f"trained-{name}")] if command == "train" else []),
                ],
                limit=600,
            )
            for command, name, options, small in TRAININGS
        ),
    ]


SMALL_COMPARISON = ("training.max_steps=10", "training.warmup_steps=0", "model.widths=[16]", "data.limit=1280")
# In order of worth: the published comparison with the networks and the regime of the authors; larger checkpoints for
# the zoo. Each goes on where it stopped: a comparison by itself, a training with --resume. CIFAR-10 is left to machines
# that have it, as it is too large to take along.
SHORT_AND_NARROW = (
    *("training.max_steps=3", "training.warmup_steps=0", "data.limit=256"),
    *("model.widths=[8, 8, 8]", "model.depth=1"),
)
AS_PUBLISHED = ["--betas", "10", "--regime", "long", "--tune-at", "4", "--arm", "paper", "--arm", "concat"]
TRAININGS: list[tuple[str, str, list[str], tuple[str, ...]]] = [
    *(
        ("compare", f"benchmarks/comparisons/mrvae_resnet.{name}.toml", AS_PUBLISHED, SHORT_AND_NARROW)
        for name in ("paper_omniglot", "paper_binarized_mnist")
    ),
    ("train", "mrvae_mlp.mnist", [], ("training.max_steps=3", "data.limit=256", "training.warmup_steps=0")),
]


def run(task: Task, seconds: float, given: argparse.Namespace) -> dict[str, Any]:
    """Run a command for so many seconds at most; what it printed last is kept."""
    path = [str(ROOT), str(given.data_root / PACKAGES), *sys.path[1:]]
    environment = os.environ | {"TQDM_DISABLE": "1", "PYTHONPATH": os.pathsep.join(path)}
    if given.tiny:
        environment |= {"MRVAE_GPU_TESTS": "cpu", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *task.command]
    training = task.part == "trainings"
    if training:
        (given.work / "runs").mkdir(exist_ok=True)
        if command[3] == "train" and Path(command[-1]).is_dir():
            command.append("--resume")
    start = time.monotonic()
    print(f"{task.name} …", flush=True)
    log = given.output / "log.txt"
    with log.open("a", encoding="utf-8") as file:
        file.write(f"\n== {task.name}: {' '.join(command)}\n")
        file.flush()
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=file, start_new_session=True)
        try:
            status = "done" if process.wait(seconds - (STOP if training else 0)) == 0 else "failed"
        except subprocess.TimeoutExpired:
            status = end(process, gently=training)
    result = {"task": task.name, "part": task.part, "status": status, "seconds": round(time.monotonic() - start, 1)}
    if status == "failed":
        result["last"] = log.read_text(encoding="utf-8", errors="replace").splitlines()[-8:]
    elif status == "done":
        result["figures"] = [*task.figures()]
    return result


def end(process: subprocess.Popen[bytes], *, gently: bool) -> str:
    """Stop a command that takes too long: a training saves its state, anything else is killed with its children."""
    if gently:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP)
        except subprocess.TimeoutExpired:
            pass
        else:
            return "stopped; its state is saved"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return "out of time"


def of_step(path: Path, images: int, plain: float, loop: float, stacked: int | None) -> Iterator[tuple[str, str, str]]:
    """The figures of a training step beside their targets."""
    (result,) = json.loads(path.read_text(encoding="utf-8"))["results"]
    best, over = f"gated, {result['best']}", result["images_per_second_of_the_best_over"]
    speed = result["rows"][best]
    yield f"images a second ({result['best']})", f"{speed['images_per_second']['median']:,.0f}", f">= {images:,}"
    share = speed.get("share_of_bf16_peak")
    if share is not None:
        yield "share of the bf16 peak", f"{share:.1%}", ""
    for label, row in result["rows"].items():
        times = over[f"{best} / {label}"]["median"]
        if label.startswith("plain"):
            yield "gated over plain, speed", f"{times:.2f}", f">= {plain:.2f}"
        if label.startswith("loop, plain"):
            yield "over a plain loop", f"{times:.1f}", f">= {loop}"
        if label.startswith("pythae"):
            yield "over pythae's trainer", f"{times:.1f}", ">= 10"
        if label.startswith("stack"):
            target = "" if stacked is None else f">= {stacked:,}"
            yield f"model-images a second, {label}", f"{row['images_per_second']['median']:,.0f}", target
    kernels = result["kernels"]
    if kernels:
        yield "kernels a step, eager and best", f"{kernels['gated, eager, fp32']:.0f}, {kernels[best]:.0f}", ""


def of_inference(path: Path) -> Iterator[tuple[str, str, str]]:
    """The figures of a call beside their targets."""
    for row in json.loads(path.read_text(encoding="utf-8"))["results"]:
        what = f"{row['network']}, {row['mode']}, batch {row['batch']}: µs, over folded"
        figures = f"{row['microseconds']['one beta']['median']:,.0f}, {row['over_folded']['one beta']['median']:.3f}"
        yield what, figures, "<= 1.05" if row["mode"] == "compiled" else ""


def of_comparison(out: Path) -> Iterator[tuple[str, str, str]]:
    """How long all trainings of a comparison took."""
    recipes = [tomllib.loads(path.read_text(encoding="utf-8")) for path in (out / "compare").glob("*/recipe.toml")]
    seconds = sum(recipe["trained"]["seconds"] for recipe in recipes if "trained" in recipe)
    yield f"seconds of {len(recipes)} trainings", f"{seconds:.1f}", "< 60"


def deliver(given: argparse.Namespace, results: list[dict[str, Any]]) -> None:
    """Put what is known so far into the output folder."""
    write(given.output / "gpu.json", results)
    files = [path for path in sorted(given.work.iterdir()) if path.suffix in (".json", ".png")]
    models = [path.parent for path in sorted((given.work / "runs").glob("trained-*/config.json"))]
    for name, paths in (("results.tar", files), ("trainings.tar", models)):
        if paths:
            with tarfile.open(given.output / name, "w") as tar:
                for path in paths:
                    tar.add(path, arcname=path.name)
    pack_runs(given.work / "runs", given.output / EARLIER)


def write(path: Path, results: list[dict[str, Any]]) -> None:
    """Write what is known so far."""
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    shutil.move(partial, path)


def show(results: list[dict[str, Any]]) -> None:
    """Print the table."""
    print()
    for each in results:
        print(f"{each['task']:<46} {each['status']:<12} {each['seconds']:>7.1f} s")
        for name, figure, target in each.get("figures", ()):
            print(f"    {name:<62} {figure:>18}  {target}")
        for line in each.get("last", ()):
            print(f"    {line}")


if __name__ == "__main__":
    main()
