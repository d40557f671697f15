"""No command reports anything: it writes nothing outside of the caches and its --out, and asks for no host.

What is watched: calls of the C library that look up a name, of this process and of every native library in it (through
LD_PRELOAD, where there is a compiler); Python's own look-ups and connections (through an audit hook); and all files in
a fresh home folder, a fresh working folder and a fresh folder for temporary files. What is not: names that a library
would look up by itself, packet by packet, without the C library. No library here has code for that.
"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.helpers import Dogvscat, quick_flags

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="watches with LD_PRELOAD")]

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <string.h>
#include <stdlib.h>
#include <unistd.h>

static void note(const char *name) {
    char line[300] = "native ";
    const char *file = getenv("LOOKUPS");
    int descriptor = file ? open(file, O_WRONLY | O_APPEND | O_CREAT, 0600) : -1;
    if (descriptor < 0 || !name) return;
    strncat(line, name, 250);
    strcat(line, "\n");
    if (write(descriptor, line, strlen(line)) < 0) abort();
    close(descriptor);
}
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result) {
    note(node);
    return NEXT(getaddrinfo)(node, service, hints, result);
}
struct hostent *gethostbyname(const char *name) { note(name); return NEXT(gethostbyname)(name); }
struct hostent *gethostbyname2(const char *name, int family) { note(name); return NEXT(gethostbyname2)(name, family); }
int gethostbyname_r(
    const char *name, struct hostent *host, char *buffer, size_t size, struct hostent **result, int *error
) {
    note(name);
    return NEXT(gethostbyname_r)(name, host, buffer, size, result, error);
}
"""
"""Notes the names that are looked up, and looks them up as usual."""

HOOK = """
import ipaddress, os, sys
def note(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        host = arguments[0]
    elif event in ("socket.connect", "socket.sendto") and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    with open(os.environ["LOOKUPS"], "a") as file:
        file.write(f"python {host.decode() if isinstance(host, bytes) else host}\\n")
sys.addaudithook(note)
"""
"""The same for Python, as sitecustomize.py."""

COMMANDS = """
import shlex, sys
from dogvscat.cli.main import main
for line in sys.stdin.read().splitlines():
    code = main(shlex.split(line))
    if code:
        sys.exit(f"{line}: {code}")
"""
"""Runs many commands in one process, because importing Keras takes seconds."""

STUDY = """
seeds = [0]
[base]
"network.layers" = ["2 x (conv 8, relu, max pool), flatten, dense 8"]
"data.image_size" = 32
"training.epochs" = 1
[variants."no dropout"]
"network.dropout" = 0.0
"""
SPACE = """
recipe = "classic"
[base]
"network.layers" = ["2 x (conv 8, relu, max pool), flatten, dense 8"]
"data.image_size" = 32
"training.epochs" = 1
[space]
"training.learning_rate" = { low = 1e-4, high = 1e-2, log = true }
"""


@pytest.fixture
def watched(tmp_path: Path) -> dict[str, str]:
    """An environment with fresh folders, in which look-ups are noted in the file `LOOKUPS`."""
    names = ("home", "work", "temporary", "hook")
    for name in names:
        (tmp_path / name).mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(HOOK)
    dropped = ("DOGVSCAT_HOME", "MPLCONFIGDIR", "KERAS_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")
    environment = {name: value for name, value in os.environ.items() if name not in dropped}
    environment |= {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "temporary")}
    environment["LOOKUPS"] = str(tmp_path / "lookups")
    environment["PYTHONPATH"] = f"{tmp_path / 'hook'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    if shutil.which("cc"):
        (tmp_path / "shim.c").write_text(SHIM)
        command = ["cc", "-shared", "-fPIC", "-o", str(tmp_path / "shim.so"), str(tmp_path / "shim.c"), "-ldl"]
        subprocess.run(command, check=True)
        environment["LD_PRELOAD"] = str(tmp_path / "shim.so")
    return environment


def lookups(environment: Mapping[str, str]) -> set[str]:
    """The hosts that were asked for, apart from this machine's own loopback; `native` or `python` comes first."""
    file = Path(environment["LOOKUPS"])
    own = ("127.", "0.0.0.0", "localhost", "::1", "None")
    lines = file.read_text().splitlines() if file.exists() else []
    return {line for line in lines if not line.partition(" ")[2].startswith(own)}


def stray_files(environment: Mapping[str, str]) -> list[str]:
    """Files in the home folder that are not in the caches, and temporary files that were left behind."""
    home, temporary = Path(environment["HOME"]), Path(environment["TMPDIR"])
    files = [str(file.relative_to(home)) for file in home.rglob("*") if file.is_file()]
    stray = [file for file in files if not file.startswith(".cache/dogvscat/")]
    return stray + [str(file) for file in temporary.rglob("*")]


def run_all(environment: Mapping[str, str], *commands: str) -> None:
    """Run commands one after the other in a process of their own, in the folder `work`."""
    folder = Path(environment["HOME"]).parent / "work"
    command = [sys.executable, "-c", COMMANDS]
    result = subprocess.run(
        command, input="\n".join(commands), env=environment, cwd=folder, capture_output=True, text=True, timeout=500
    )
    assert result.returncode == 0, result.stderr


def test_a_look_up_would_be_noticed(watched: dict[str, str]) -> None:
    code = (
        "import contextlib, ctypes, socket\n"
        "with contextlib.suppress(OSError): socket.getaddrinfo('python.invalid', 80)\n"
        "ctypes.CDLL(None).gethostbyname(b'native.invalid')"
    )
    subprocess.run([sys.executable, "-c", code], env=watched, check=True)
    expected = {"python python.invalid"}
    if "LD_PRELOAD" in watched:
        expected |= {"native python.invalid", "native native.invalid"}
    assert lookups(watched) == expected


def test_commands_that_predict(watched: dict[str, str], untouched_bundle: Path) -> None:
    run_all(
        watched,
        "sample drawings --count 6",
        f"predict drawings --model {untouched_bundle}",
        f"predict drawings --model {untouched_bundle} --out results.parquet",
        "predict drawings",
        f"explain drawings --model {untouched_bundle} --out why",
        f"evaluate {untouched_bundle} drawings --out evaluation",
        "audit drawings --out audit",
        f"export {untouched_bundle} --format onnx --out onnx",
        f"export {untouched_bundle} --format openvino --out openvino",
        "cache",
    )
    assert lookups(watched) == set()
    assert stray_files(watched) == []
    made = {file.name for file in (Path(watched["HOME"]).parent / "work").iterdir()}
    assert made == {"drawings", "results.parquet", "why", "evaluation", "audit", "onnx", "openvino"}


def test_commands_that_train(watched: dict[str, str]) -> None:
    work = Path(watched["HOME"]).parent / "work"
    (work / "study.toml").write_text(f'recipe = "classic"\n{STUDY}')
    (work / "space.toml").write_text(SPACE)
    quick = shlex.join(quick_flags("training.epochs=1"))
    run_all(
        watched,
        "sample drawings --count 48",
        f"train drawings --out run {quick}",
        f"train drawings --out other {quick} --seed 1",
        "compare run other --out comparison",
        "runs .",
        "explain drawings --model run --out why --method grad-cam --layers",
        "export run --format keras --out keras",
        "export run --format savedmodel --out savedmodel",
        "export run --format litert --out litert",
        f"lr-find drawings --steps 20 --out rates {quick}",
        "study drawings --config study.toml --out study",
        "tune drawings --config space.toml --trials 1 --out search",
        f"audit drawings --labels --folds 2 --out audit {quick} --set training.schedule=one_cycle",
    )
    assert lookups(watched) == set()
    assert stray_files(watched) == []
    made = {file.name for file in work.iterdir()}
    inputs = {"study.toml", "space.toml", "drawings"}
    results = {
        "run",
        "other",
        "comparison",
        "why",
        "keras",
        "savedmodel",
        "litert",
        "rates",
        "study",
        "search",
        "audit",
    }
    assert made == inputs | results


def test_the_service(watched: dict[str, str], untouched_bundle: Path) -> None:
    command = [sys.executable, "-m", "dogvscat", "serve", "--port", "0", "--model", str(untouched_bundle)]
    with subprocess.Popen(command, env=watched, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline().startswith("http://127.0.0.1:")
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0
    assert lookups(watched) == set()
    assert stray_files(watched) == []


def test_a_user_without_home_folder_predicts(
    tmp_path: Path, untouched_bundle: Path, drawn_photos: Path, dogvscat: Dogvscat
) -> None:
    """As in a container with a user id that /etc/passwd does not have."""
    no_user = "import pwd\ndef getpwuid(uid): raise KeyError(uid)\npwd.getpwuid = getpwuid\n"
    (tmp_path / "sitecustomize.py").write_text(no_user)
    names = ("HOME", "DOGVSCAT_HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    environment["PYTHONPATH"] = f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    photo = min(drawn_photos.rglob("*.jpg"))
    done = dogvscat("predict", photo, "--model", untouched_bundle, env=environment, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert str(photo) in done.stdout
    assert [file.name for file in tmp_path.iterdir() if not file.name.startswith("__")] == ["sitecustomize.py"]
    without_folder = dogvscat("cache", env=environment, cwd=tmp_path)
    assert without_folder.returncode == 2
    assert "there is no folder for caches" in without_folder.stderr
