"""Run the library's tests on each other CPython 3.11 to 3.14 of this machine.

They are looked for on the path and among pyenv's; each gets an environment
in build/python, from the same lock.

    python tests/on_every_python.py           the library's tests
    python tests/on_every_python.py SCRIPT    another script
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
# What an environment is made of: one that is older is made anew.
PARTS = [
    ROOT / "requirements.lock",
    ROOT / "pyproject.toml",
    *ROOT.glob("lib/evening/*.c"),
]
VERSIONS = ["3.11", "3.12", "3.13", "3.14"]
TESTS = [
    f"tests/test_{name}.py"
    for name in [
        "greenlet",
        "hostile",
        "slicing",
        "state",
        "core",
        "hub",
        "event",
        "socket",
        "faults",
        "names",
        "journey",
        "snippets",
        "trace",
    ]
]
ASK = (
    "import sys; assert sys.implementation.name == 'cpython';"
    "print('%d.%d' % sys.version_info[:2])"
)


def candidates():
    """Yield commands that may be a Python."""
    for version in VERSIONS:
        yield f"python{version}"
        pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
        yield from pyenv.glob(f"versions/{version}.*/bin/python")


def found():
    """Return a command for each version that is here, without our own."""
    pythons = {}
    for command in candidates():
        try:
            child = subprocess.run(
                [command, "-c", ASK],
                capture_output=True,
                text=True,
                timeout=30,
            )
        except OSError:
            continue
        if child.returncode == 0:
            pythons.setdefault(child.stdout.strip(), command)
    pythons.pop("{}.{}".format(*sys.version_info), None)
    return {v: pythons[v] for v in VERSIONS if v in pythons}


def prepare(version, command):
    """Return the Python of an environment that is ready for the tests."""
    folder = ROOT / "build/python" / version
    python = folder / "bin/python"
    stamp = folder / "ready"
    newest = max(part.stat().st_mtime for part in PARTS)
    if not stamp.exists() or stamp.stat().st_mtime < newest:
        subprocess.run([command, "-m", "venv", folder], check=True)
        install = [python, "-m", "pip", "install", "--quiet"]
        install += ["-c", ROOT / "requirements.lock"]
        editable = ["--no-build-isolation", "--editable", ROOT]
        log = folder / "install.log"
        with log.open("wb") as out:
            for packages in (
                ["setuptools"],
                [*editable, "gevent", "greenlet[test]", "pytest", "sphinx"],
            ):
                if subprocess.run(
                    [*install, *packages], stdout=out, stderr=out
                ).returncode:
                    sys.exit(f"could not install {packages[-1]}: see {log}")
        stamp.touch()
    return python


def main(script):
    """Run *script*, by default the tests; return how many Pythons failed."""
    name = " ".join(script) or "the library"
    script = script or ["-m", "pytest", "-q", *TESTS]
    pythons = found()
    failed = 0
    for version in VERSIONS:
        if version not in pythons:
            continue
        print(f"-- {name} on Python {version}", flush=True)
        python = prepare(version, pythons[version])
        child = subprocess.run([python, *script], cwd=ROOT)
        failed += bool(child.returncode)
    here = "{}.{}".format(*sys.version_info)
    absent = [v for v in VERSIONS if v not in pythons and v != here]
    if absent:
        print(f"not on this machine: Python {', '.join(absent)}")
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
