"""The benches run, whatever they measure, and judge by what they measured."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import cost
import ladders
import loops

BENCHES = Path(__file__).parent / "bench"
TIMEOUT = 300  # seconds; the slowest takes 30 where nothing else runs

#: A bench beside loop.py has a package's name, and one a name of docs/_ext:
#: so it is imported in a process of its own, and looked for last.
ASK = f"import json, sys; sys.path.append({str(BENCHES)!r}); import loop; "


def child(*words, **env):
    return subprocess.run(
        [sys.executable, *words],
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )


def asked(code, module="loop", **env):
    ask = f"{ASK}import {module}; json.dump({code}, sys.stdout)"
    done = child("-P", "-c", ask, **env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_what_was_kept_is_found_only_under_its_key(tmp_path):
    path = repr(str(tmp_path / "figures.json"))
    found = f"[kept.found(kept.Path({path}), key) for key in ('a', 'b')]"
    assert asked(found, module="kept") == [None, None]
    keep = f"kept.keep(kept.Path({path}), 'a', {{'x': 1}})"
    assert asked(keep, module="kept") == {"x": 1}
    assert asked(found, module="kept") == [{"x": 1}, None]


@pytest.mark.parametrize("name", ["cost", "greenlet", "ladder", "loop"])
def test_a_served_page_does_not_wait_for_figures(tmp_path, name):
    benches = tmp_path / "tests/bench"
    shutil.copytree(BENCHES, benches)
    script = benches / f"{name}.py"
    assert cost.answer(script, "--found") is None
    figures = json.dumps({"key": "of another day", "figures": {}})
    (tmp_path / "build/bench").mkdir(parents=True)
    (tmp_path / f"build/bench/{name}.json").write_text(figures, "utf-8")
    assert cost.said(script, "--found") is None


def test_a_bench_measures_only_where_nothing_is_kept(tmp_path):
    path, measured = (
        tmp_path / "figures.json",
        "measured.append(1) or {'x': 1}",
    )
    code = f"""
import sys
sys.path.append({str(BENCHES)!r})
import kept
measured, path = [], kept.Path({str(path)!r})
for wishes in (), ("--found",), ("--kept",), ("--kept",), ("--found",):
    add = lambda figures: figures | {{"today": True}}
    said = kept.answered(wishes, path, "key", lambda: {measured}, add)
    print("", said, len(measured))
"""
    done = child("-P", "-c", code)
    figures = '{"x": 1, "today": true}'
    assert done.stdout.splitlines() == [
        " False 0",
        "null True 0",
        *[f"{figures} True 1"] * 3,
    ]


@pytest.fixture(scope="module")
def quick():
    done = child(BENCHES / "loop.py", "--quick")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_work_runs(quick):
    works = re.findall(r"^(.*), (?:µs|KB): median", quick, re.M)
    inside = asked("list(loop.works(loop.QUICK))")
    assert [work for work in works if work in inside] == inside
    assert quick.endswith("it runs\n")
    if "loadgen is left out" not in quick:
        served = ["tcp 10", "tcp 100", "tcp 1000", "churn", "asleep", "idle"]
        assert works == inside + served


def test_everybody_is_measured_or_named_as_missing(quick):
    for name in asked("list(loop.PEERS)"):
        measured = re.search(rf"^  {re.escape(name)}  +\d", quick, re.M)
        assert measured or f"\n{name} is left out: " in quick, name


def test_the_bench_of_layer_1_runs():
    done = child(BENCHES / "greenlet.py", "--quick")
    assert done.returncode == 0, done.stderr


def test_every_rung_is_measured_or_named_as_missing():
    done = child(BENCHES / "ladder.py", "--quick")
    assert done.returncode == 0, done.stderr
    rungs = asked("list(ladder.RUNGS)", module="ladder")
    for name in rungs:
        measured = re.search(rf"^  {re.escape(name)}  +\d", done.stdout, re.M)
        assert measured or f"\n{name} is left out: " in done.stdout, name


def test_a_step_counts_the_median_of_the_differences_of_the_rounds():
    rounds = [
        {"edge": before, "remember": after}
        for before, after in [(9, 8), (7, 1), (9, 7)]
    ]
    saved = asked(f"ladder.saved({rounds}, ladder.CLIMB)", module="ladder")
    assert saved == {"remember": 2}


def test_every_rung_has_a_name_in_the_book():
    told = {name for _, rungs in ladders.CHARTS.values() for name in rungs}
    assert set(asked("list(ladder.RUNGS)", module="ladder")) == told


def test_a_chart_leaves_out_the_rung_that_is_missing():
    measured = {
        "current": True,
        "medians": {"gevent": 9, "shipped": 4},
        "saved": {"shipped": -1.5},
    }
    words = [*ladders.chart("ladder", measured).itertext()]
    assert "4.0 µs (+1.5)" in words
    assert "on our own engine" not in words
    measured["medians"].pop("shipped")
    assert ladders.chart("ladder", measured) is None


def test_who_can_not_be_built_is_named(tmp_path):
    missing = asked("loop.absent()", PATH=str(tmp_path))
    for name in ("loadgen", "C", "Go"):
        assert re.match("there is no|it asks for Linux", missing[name])


def test_who_dies_at_work_is_named_and_fails_the_bench():
    done = child(
        "-P",
        "-c",
        ASK
        + """
loop.PEERS["gevent"] = loop.Peer("steam")
loop.works = lambda effort: {"events": (["events", 9], ["gevent"])}
loop.main(["--quick"])
""",
    )
    assert done.returncode == 1
    assert "tests/bench/loop.py: gevent" in done.stderr
    assert "No module named 'steam'" in done.stderr


def test_a_target_counts_the_median_of_the_ratios_of_the_rounds():
    rounds = [
        {"evening": ours, "gevent": theirs}
        for ours, theirs in [(1, 2), (1, 9), (2, 8)]
    ]
    figures = {"works": {"yields": {"rounds": rounds}}, "growth": {}}
    judged = asked(f"loop.judged({figures})")
    (one,) = [one for one in judged if one["ratio"] is not None]
    assert (one["work"], one["ratio"], one["reached"]) == ("yields", 4, True)
    assert all(o["reached"] is None for o in judged if o is not one)


def test_beside_a_target_stands_what_a_bare_loop_reaches():
    rounds = [{"evening": 5, "gevent": 10, "bare epoll loop": 4}]
    figures = {"works": {"echo 100": {"rounds": rounds}}, "growth": {}}
    bare = [one["bare"] for one in asked(f"loop.judged({figures})")]
    assert [one for one in bare if one is not None] == [2.5, 2.5]


def test_a_target_of_memory_and_of_growth_is_a_bound_above():
    rounds = [{"evening": 5, "gevent": 10}]
    figures = {
        "works": {"asleep": {"rounds": rounds}},
        "growth": {"evening": 1.4},
    }
    judged = {
        one["work"]: one["reached"]
        for one in asked(f"loop.judged({figures})")
        if one["ratio"] is not None
    }
    assert judged == {"asleep": True, "growth": False}


def test_what_is_measured_has_a_name_in_the_book():
    assert set(asked("list(loop.PEERS)")) == set(loops.PEERS)
    works = asked("list(loop.works(loop.Effort()))")
    assert not set(works) - set(loops.WORKS)
    targets = asked("[target.work for target in loop.TARGETS]")
    assert not set(targets) - set(loops.WANTED)


def test_a_chart_leaves_out_who_is_missing():
    figures = {"works": {"yields": {"unit": "µs", "medians": {"gevent": 1}}}}
    svg = loops.CHARTS["hub"](figures)
    assert "gevent" in [*svg.itertext()]
    assert "uvloop" not in [*svg.itertext()]


def test_without_a_load_generator_there_is_no_chart_of_servers():
    assert loops.CHARTS["tcp"]({"works": {}}) is None
    assert loops.TABLES["servers"]({"works": {}, "growth": {}}) is None
