"""Set up ``.venv`` for the Makefile: find an interpreter, get pip into it, install the pinned packages.

Runs under any Python 3.7 or later, so that an old ``python3`` can still say what is missing or hand over to
a newer one; hence no import outside the standard library and no recent syntax.

``python3 tools/setup.py STAMP`` sets up the environment that STAMP lies in, and then writes STAMP.
``python3 tools/setup.py --minimums STAMP`` does so with the lowest releases that ``pyproject.toml`` promises.
``python3 tools/setup.py --newest STAMP`` does so with the latest releases that there are.
``python3 tools/setup.py --pins`` writes ``constraints.txt`` and ``constraints-min.txt`` anew.
"""

import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

OLDEST = (3, 11)
CANDIDATES = ["python3.13", "python3.12", "python3.11", "python3"]
OLDEST_FIRST = ["python3.11", "python3.12", "python3.13", "python3"]
REQUIREMENT = ".[report,docs,dev]"
PINS, MINIMUMS = "constraints.txt", "constraints-min.txt"
# For each kind of environment: the interpreters to try, and what pip is told.
KINDS = {
    "": (CANDIDATES, ["-c", PINS]),
    "--minimums": (OLDEST_FIRST, ["-c", MINIMUMS]),
    "--newest": (CANDIDATES, ["--upgrade", "--upgrade-strategy", "eager"]),
}
# Variables that would lead pip or Python to packages outside `.venv`.
FOREIGN = ["PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_PYTHON"]
FOREIGN += ["PIP_REQUIRE_VIRTUALENV", "PIP_NO_DEPS", "__PYVENV_LAUNCHER__"]


def clean_environment() -> "dict[str, str]":
    """Return the environment without an active virtualenv and without the user's site-packages."""
    env = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    # PIP_USER=0, rather than no PIP_USER, also overrides `user = true` in a pip.conf.
    env.update(PIP_USER="0", PIP_NO_INPUT="1", PIP_DISABLE_PIP_VERSION_CHECK="1")
    return env


def run(*command: str) -> "tuple[int, str]":
    """Run a command quietly and return its exit status and all it printed."""
    try:
        done = subprocess.run(
            command,
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    except OSError as error:
        return 127, str(error)
    return done.returncode, done.stdout


def fail(message: str, details: str = "") -> None:
    """Leave with one clear message, below whatever the failing command printed."""
    if details.strip():
        sys.stderr.write(details.rstrip() + "\n\n")
    sys.exit("setup: " + message)


def probe(name: str) -> "tuple[tuple[int, ...], str]":
    """Return the version of an interpreter and its path, or ``((), "")`` if it does not run.

    The path is that of the base interpreter: `name` may be the Python of an active virtualenv.
    """
    code = "import sys; print(*sys.version_info[:3], getattr(sys, '_base_executable', '') or sys.executable)"
    status, printed = run(name, "-c", code)
    words = printed.strip().split(" ", 3)
    if status or len(words) != 4:
        return (), ""
    return tuple(map(int, words[:3])), words[3]


def find_python(names: "list[str]") -> "tuple[tuple[int, ...], str]":
    """Return version and path of the first interpreter that is new enough, ``$PYTHON`` before all others."""
    chosen = os.environ.get("PYTHON", "")
    seen = []
    for name in [chosen] if chosen else names:
        version, path = probe(name)
        if version >= OLDEST:
            return version, path
        seen.append("{} ({})".format(name, ".".join(map(str, version)) or "does not run"))
    wanted = ".".join(map(str, OLDEST))
    remedy = "install one, or name it: make PYTHON=/path/to/python3"
    fail(f"needs Python >= {wanted}, found {', '.join(seen)}; {remedy}")
    raise AssertionError


def find_oldest() -> str:
    """Return the path of the oldest interpreter on PATH that is new enough: 3.11.2 before 3.11.7."""
    paths = [os.path.join(folder, name) for folder in os.get_exec_path() for name in OLDEST_FIRST]
    known = [one for one in map(probe, filter(os.path.exists, paths)) if one[0] >= OLDEST]
    return min(known)[1] if known and not os.environ.get("PYTHON") else find_python(OLDEST_FIRST)[1]


def make_venv(python: str, folder: str) -> None:
    """Make a virtual environment with pip, also where the system's Python comes without ensurepip."""
    shutil.rmtree(folder, ignore_errors=True)
    status, first = run(python, "-m", "venv", folder)
    inner = os.path.join(folder, "bin", "python")
    if status == 0 and run(inner, "-m", "pip", "--version")[0] == 0:
        return
    shutil.rmtree(folder, ignore_errors=True)
    status, printed = run(python, "-m", "venv", "--without-pip", folder)
    remedy = "on Debian or Ubuntu: apt install python3-venv"
    if status:
        fail(f"{python} cannot make a virtual environment; {remedy}", printed)
    # The interpreter's own pip can install into another one (pip >= 22.3); failing that, Debian keeps wheels.
    attempts = [[python, "-m", "pip", "--python", inner, "install", "pip"]]
    for wheel in sorted(glob.glob("/usr/share/python-wheels/pip-*.whl")):
        attempts.append([inner, wheel + "/pip", "install", "--no-index", wheel])
    tried = first
    for attempt in attempts:
        status, printed = run(*attempt)
        if status == 0 and run(inner, "-m", "pip", "--version")[0] == 0:
            return
        tried += printed
    shutil.rmtree(folder, ignore_errors=True)
    fail(f"{python} has neither ensurepip nor a pip that could stand in for it; {remedy}", tried)


def install(folder: str, *options: str) -> None:
    """Install the project, editable, and all it needs into a virtual environment."""
    pip = [os.path.join(folder, "bin", "python"), "-m", "pip"]
    status, printed = run(*pip, "install", *options, "-e", REQUIREMENT)
    if status:
        fail("pip could not install the packages (see above)", printed)


def set_up(stamp: str, kind: str) -> None:
    """Bring an environment up to date and write the stamp last, so that an interrupted set-up leaves none."""
    folder = os.path.dirname(stamp)
    candidates, options = KINDS[kind]
    version, python = find_python(candidates)
    complete = os.path.exists(stamp) and probe(os.path.join(folder, "bin", "python"))[0] == version
    if complete:
        os.remove(stamp)
    else:
        print("setup: {} with Python {}.{}.{} ({})".format(folder, *version, python), flush=True)
        make_venv(python, folder)
    print("setup: installing the packages of", options[1] if "-c" in options else "today", flush=True)
    install(folder, *options)
    with open(stamp, "w") as file:
        file.write(python + "\n")


def renew_pins() -> None:
    """Write both files of pins, from the releases that the oldest supported Python can use."""
    python = find_oldest()
    write_pins(PINS, python)
    with open("pyproject.toml", encoding="utf-8") as file:
        promised = lowest(file.read())
    with tempfile.TemporaryDirectory() as folder:
        place = os.path.join(folder, "lowest.txt")
        with open(place, "w") as file:
            file.writelines(line + "\n" for line in promised)
        write_pins(MINIMUMS, python, "-c", place)


def lowest(project: str) -> "list[str]":
    """Return ``name==version`` of every lower bound in ``pyproject.toml``; old Pythons have no tomllib."""
    found = re.findall(r'^    "([\w.-]+)>=([\w.]+)"', project, re.MULTILINE)
    return [f"{name}=={version}" for name, version in found]


def write_pins(place: str, python: str, *options: str) -> None:
    """Install into an environment of its own and write what came, below the header that the file has."""
    folder = ".venv-pins"
    with open(place) as file:
        header = file.readline()
    make_venv(python, folder)
    install(folder, *options)
    inner = os.path.join(folder, "bin", "python")
    # Only standard output: a warning must not become a pin.
    pins = subprocess.check_output(
        [inner, "-m", "pip", "freeze", "--exclude-editable"], env=clean_environment(), text=True
    )
    with open(place, "w") as file:
        file.write(header + pins)
    shutil.rmtree(folder)


def main() -> None:
    """Read the arguments."""
    *kind, last = sys.argv[1:] or [""]
    os.chdir(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    try:
        if (kind, last) == ([], "--pins"):
            renew_pins()
        elif last and not last.startswith("--") and "".join(kind) in KINDS:
            set_up(last, "".join(kind))
        else:
            fail("usage: tools/setup.py [--minimums | --newest] STAMP | --pins")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
