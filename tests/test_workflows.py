"""A workflow asks for nothing that is not there.

`make lint` holds the workflows against their schema, which knows nothing of
names: what an expression asks for and nobody has is empty, without a word.
"""

import re
from pathlib import Path

import pytest
import yaml

FOLDER = Path(__file__).parents[1] / ".github/workflows"
WORKFLOWS = sorted(FOLDER.glob("*.yml"))
CI = (FOLDER / "ci.yml").read_text("utf-8")

EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.S)
#: A name has a dot at least; what stands in quotes is none.
NAME = re.compile(r"'[^']*'|\b([a-z]\w*(?:\.[\w-]+)+)")
#: What we use of what GitHub tells of a run.
GITHUB = {"event_name", "ref", "repository", "server_url", "sha"}
STEP_HAS = {"conclusion", "outcome", "outputs"}


def unknown(text):
    """Return the names that a workflow asks for and that are not there."""
    workflow = yaml.safe_load(text)
    jobs, env = workflow["jobs"], workflow.get("env", {})
    return [
        name
        for job in jobs.values()
        for name in [*missing_jobs(job, jobs), *missing_names(job, env)]
    ]


def missing_jobs(job, jobs):
    """Return the jobs that *job* waits for in vain."""
    return [name for name in needs(job) if name not in jobs]


def needs(job):
    """Return the jobs that *job* waits for."""
    named = job.get("needs", [])
    return [named] if isinstance(named, str) else named


def missing_names(job, env):
    """Yield what the expressions of *job* ask for in vain."""
    has = {
        "env": {*env, *job.get("env", {})},
        "github": GITHUB,
        "matrix": {*job.get("strategy", {}).get("matrix", {})},
        "needs": {*needs(job)},
        "steps": set(),
    }
    for step in job["steps"]:  # it knows of those before it
        env = {*has["env"], *step.get("env", {})}
        yield from not_in(step, has | {"env": env})
        has["steps"].add(step.get("id"))
    yield from not_in({**job, "steps": []}, has)


def not_in(part, has):
    """Yield the names in *part* of a workflow that are not what it *has*."""
    for name in asked(part):
        context, first, *rest = name.split(".")
        in_vain = first not in has.get(context, ())
        if in_vain or (context == "steps" and {*rest[:1]} - STEP_HAS):
            yield name


def asked(part, key=None):
    """Yield the names that *part* of a workflow asks for."""
    if isinstance(part, dict):
        for key, value in part.items():
            yield from asked(value, key)
    elif isinstance(part, list):
        for value in part:
            yield from asked(value)
    elif isinstance(part, str):
        whole = [part] if key == "if" else []
        for expression in EXPRESSION.findall(part) or whole:
            yield from filter(None, NAME.findall(expression))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_each_name_that_a_workflow_asks_for_is_there(path):
    assert unknown(path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("matrix.python", "matrix.pythons"),
        ("steps.pages.outputs", "steps.page.outputs"),
        ("steps.pages.outputs", "steps.deploy.outputs"),  # it comes later
        ("steps.deploy.outputs", "steps.deploi.outputs"),
        ("steps.deploy.outputs", "steps.deploy.output"),
        ("github.server_url", "github.server"),
        ("github.event_name", "github.event_nam"),
        ("github.event_name", "gihub.event_name"),
        ("needs: prove", "needs: proof"),
        ("id: pages", "id: page"),
        ("python: [", "pythons: ["),
    ],
)
def test_a_name_that_is_misspelt_is_found(right, wrong):
    assert right in CI
    assert len(unknown(CI.replace(right, wrong))) == 1


def test_what_steps_and_jobs_set_is_there():
    text = """
        env: {ONE: 1}
        jobs:
          first: {steps: []}
          second:
            needs: [first]
            env: {TWO: 2}
            steps:
            - env: {THREE: 3}
              run: ${{ env.ONE }} ${{ env.TWO + env.THREE }} 'not.env'
              if: needs.first.result == 'env.success' && success()
            - run: ${{ env.THREE }}
    """
    assert unknown(text) == ["env.THREE"]
