"""The image for GPUs: what of CUDA it holds, and that it serves with a device and without."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import serving
from container import Container, Volume, specification

FOLDER = "usr/lib/x86_64-linux-gnu/"
# The first and the last are opened by the program, and the first needs the second.
LIBRARIES = ("libcublas.so.13", "libcublasLt.so.13", "libcurand.so.10")
# Where the node's driver is mounted.
DRIVER = "/usr/local/nvidia/lib64"
CUDA = re.compile(r"lib(cu|nv)\w*\.so")
SIMULATED = {"SLUICE_DEVICE": "cuda", "SLUICE_ALLOW_SIMULATED_DEVICE": "true"}
# The kernels' cases are interpreted.
SELFTEST_SECONDS = 600


def held(entries):
    """The libraries of CUDA that are used, each once, and no other."""
    found = [it.path for it in entries if CUDA.match(it.path.rpartition("/")[2])]
    for path in (FOLDER + name for name in LIBRARIES):
        if path not in found:
            yield f"{path} is not there"
    yield from (f"{path} is not used" for path in found if path.removeprefix(FOLDER) not in LIBRARIES)


def unlinked(files):
    """What the dynamic linker misses of them inside the image."""
    for name in LIBRARIES:
        words = ["chroot", files, "/lib64/ld-linux-x86-64.so.2", "--list", f"/{FOLDER}{name}"]
        said = subprocess.run(words, capture_output=True, text=True, timeout=60)
        missing = [line.strip() for line in said.stdout.splitlines() if "not found" in line]
        if said.returncode or missing:
            yield f"{name}: {missing or said.stderr}"


def licensed(entries):
    """Each wheel's licence."""
    texts = [it.path for it in entries if re.fullmatch(r"usr/share/doc/nvidia_(cublas|curand)-[\d.]+/copyright", it.path)]
    return [] if len(texts) == 2 else [f"only {texts}"]


def check(tally, given, image, tree):
    tally.check("it holds the libraries of CUDA that are used, and no other", held(image.entries))
    [entry] = [it for it in image.entries if it.path == FOLDER + LIBRARIES[1]]
    rest = [it for it in image.entries if it != entry]
    tally.refused("a missing library of CUDA", held(rest), "is not there")
    other = entry._replace(path=FOLDER + "libcusolver.so.12")
    tally.refused("a library of CUDA that nobody uses", held([*image.entries, other]), "is not used")
    tally.check("the dynamic linker finds all that they need", unlinked(image.files))
    tally.check("NVIDIA's licences are with them", licensed(image.entries))
    with tempfile.TemporaryDirectory(prefix="sluice-image-") as folder:
        # As a node mounts its driver. The stand-in is one file under every name, or each would have a state of its own.
        driver = Path(folder, "driver")
        driver.mkdir()
        first, *others = sorted(given.standin.iterdir())
        shutil.copyfile(first, driver / first.name)
        for name in (it.name for it in others):
            (driver / name).symlink_to(first.name)
        simulated(tally, given, image, tree, Volume(driver, DRIVER))
        selftest(tally, image, Volume(driver, DRIVER))


def with_variables(image, variables):
    return image.config | {"Env": [*image.config["Env"], *(f"{name}={value}" for name, value in variables.items())]}


def simulated(tally, given, image, tree, driver):
    """With a driver where a node mounts it, which is the stand-in's here."""
    with tempfile.TemporaryDirectory(prefix="sluice-image-") as folder:
        volumes = [*serving.Pod(given, image, tree, Path(folder)).volumes, driver]
        config = with_variables(image, SIMULATED)
        running = serving.Running("sluice-simulated", specification(image.files, config, volumes, unchangeable=False), folder)
        try:
            late = running.until(8000, "/v2/health/ready", 200, serving.READY_SECONDS)
            tally.check("with a driver where the node mounts it, it serves on the device (the stand-in here)", late)
            if late:
                return
            code, said = running.run("sluice", "status")
            tally.check("its status names the device", [] if code == 0 and "simulated" in said else [said])
        finally:
            running.remove()


def selftest(tally, image, driver):
    """As `docker run … gpu-selftest`."""
    with tempfile.TemporaryDirectory(prefix="sluice-image-") as folder:
        words = ["sluice", "gpu-selftest", "--allow-simulated-device"]
        spec = specification(image.files, image.config, [driver], words, unchangeable=False)
        container = Container("sluice-selftest", spec, folder)
        try:
            code = container.end(SELFTEST_SECONDS)
            passed = code == 0 and "failed=0" in container.said()
            tally.check("its selftest passes there", [] if passed else [f"exit {code}: {container.said()}"])
        finally:
            container.remove()
