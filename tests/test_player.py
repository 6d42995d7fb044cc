"""The player shows a recorded run as it went, step by step.

``make site`` builds what these tests look at.
"""

import json
import re
import statistics
from itertools import pairwise

import pytest

from conftest import ROOT, SITE, need
from lanes import ROW, Lanes
from markup import ALL_WORDS, WORDS, Markup, printed, shuffled
from memory import moments
from run_snippet import SNIPPETS
from sentences import plain, sentence
from test_site import DECK, PAGES, violations

GOLDEN = sorted(SNIPPETS.rglob("*.trace.json"))
NAMES = [f"{p.parent.name}/{p.name.split('.')[0]}" for p in GOLDEN]
RUNS = {
    (name, library): run
    for name, path in zip(NAMES, GOLDEN, strict=True)
    for library, run in json.loads(path.read_text("utf-8"))["runs"].items()
}
TALK = "greenlet/twelve_fifty_six"
PLAYED = {
    page: re.findall(
        r'<evening-player id="([^"]+)"', (SITE / page).read_text("utf-8")
    )
    for page in PAGES
}
PLAYED = {page: ids for page, ids in PLAYED.items() if ids}
FILES = [ROOT / f"docs/_static/player.{kind}" for kind in ("js", "css")]
PLAYER = "evening-player:defined"


@pytest.fixture(params=RUNS, ids="-".join)
def run(request):
    return RUNS[request.param]


# -- What the build writes


def test_script_and_style_have_15_kilobytes_at_most():
    assert sum(path.stat().st_size for path in FILES) <= 15_000


def test_every_event_is_said_and_names_its_greenlet(run):
    for event in run["events"]:
        said = plain(sentence(event, {}))
        assert not set("{}<") & set(said.replace(f"{event.get('value')}", ""))
        named = {event["greenlet"], "loop", "kernel"}
        named |= {event.get("timer"), event.get("watcher")} - {None}
        assert any(name in said for name in named), said


def test_the_lanes_have_a_group_for_each_step(run):
    steps = [group.get("data-step") for group in Lanes(run).draw()]
    assert [int(step) for step in steps] == [
        n for n, _ in enumerate(run["events"], 1)
    ]


def test_time_goes_down(run):
    heights = [int(group.get("data-y")) for group in Lanes(run).draw()]
    for before, after in pairwise(heights):
        assert after - before in (0, ROW)


def test_a_row_has_words_for_one_event_only(run):
    with_words = [
        group.get("data-y")
        for group in Lanes(run).draw()
        if any("step" in (one.get("class") or "") for one in group)
    ]
    assert len(with_words) == len(set(with_words))


def test_an_arrow_leads_from_the_greenlet_that_leaves_to_its_target(run):
    lanes = Lanes(run)
    for event, group in zip(run["events"], lanes.draw(), strict=True):
        ways = [one for one in group if one.get("class") == "switches"]
        if event["event"] in ("switch", "throw", "die") and ways:
            way = ways[0].get("d")
            assert way.startswith(f"M{lanes.x[event['greenlet']]} ")
            assert f"H{lanes.x[event['target']]}V" in way


def test_a_lane_begins_when_its_greenlet_is_made_and_ends_with_it():
    lanes = Lanes(RUNS[TALK, "gevent"])
    drawn = [
        {int(x) for x in re.findall(r"M(\d+) ", one.get("d"))}
        for group in lanes.draw()
        for one in group
        if one.get("class") == "lane"
    ]
    main, gr1, gr2 = (lanes.x[name] for name in ("main", "gr1", "gr2"))
    assert drawn[0] == {main}
    assert drawn[2] == {main, gr1, gr2}
    assert drawn[-1] == {main, gr2}


def test_lines_are_shuffled_and_at_each_build_alike():
    for lines in (["a", "b"], ["a", "a", "b"], ["12", "56", "34", "end"]):
        assert shuffled(lines) == shuffled(lines) != lines
        assert sorted(shuffled(lines)) == sorted(lines)


def test_what_a_run_prints_cannot_end_the_script_that_has_it():
    hard = "</script><!--<script>"
    said = {"event": "print", "greenlet": "main", "line": 1, "text": hard}
    run = {"greenlets": {"main": {"kind": "main", "parent": None}}}
    player = Markup(
        "a/b", "a-b", {"gevent": run | {"events": [said]}}, ALL_WORDS
    )
    (data,) = re.findall('json">(.*?)</script>', player.data(words=True))
    assert not re.search("<(!|/?script)", data)
    (event,) = json.loads(data)["runs"]["gevent"]["events"]
    assert event["text"] == hard


def test_the_moments_of_the_stack_are_those_of_the_switches():
    events = RUNS[TALK, "evening"]["events"]
    steps = moments(TALK, events)
    need(steps, "the engine _slice")
    for step in steps[1:]:
        assert events[step["at"] - 1]["target"] == step["target"]


# -- In the page


@pytest.fixture
def play(open_page):
    """A function that opens a page and returns one of its players."""

    def play_(name, anchor="", reveal=True, **options):
        page_name = next(p for p, ids in PLAYED.items() if name in ids)
        page = open_page(page_name + anchor, **options)
        player = page.locator(f"evening-player#{name}")
        page.wait_for_selector(PLAYER, state="attached")
        if reveal:
            player.evaluate("player => player.reveal()")
        return player

    return play_


def step_of(player):
    return player.evaluate("player => player.step")


@pytest.mark.parametrize("page_name", PLAYED)
def test_all_its_players_play_to_the_end_and_back(open_page, page_name):
    page = open_page(page_name, base=f"{SITE.as_uri()}/")
    page.wait_for_selector(PLAYER, state="attached")
    for player in page.locator("evening-player").all():
        said = player.evaluate(WALK)
        assert said["forth"] == said["back"][::-1]
        assert all(said["forth"])
        assert said["printed"] == said["truth"]
    assert page.faults == []


WALK = """player => {
  player.reveal();
  const forth = [], back = [];
  const said = () => player.querySelector(".said").textContent;
  for (let n = 0; n <= player.steps; n++) (player.seek(n), forth.push(said()));
  const pre = player.querySelector('.run:not([hidden]) [data-show="printed"]');
  const printed = pre?.textContent ?? "";
  for (let n = player.steps; n >= 0; n--) (player.seek(n), back.push(said()));
  const truth = player.run.events.filter(e => e.event === "print");
  return { forth, back, printed, truth: truth.map(e => e.text).join("\\n") };
}"""


@pytest.mark.parametrize("page_name", PLAYED)
def test_the_whole_program_is_seen_while_it_runs(open_page, page_name):
    page = open_page(page_name, viewport={"width": 1280, "height": 800})
    page.wait_for_selector(PLAYER, state="attached")
    assert page.evaluate(CUT) == []


CUT = """() => [...document.querySelectorAll("evening-player")].filter(
  player => {
    player.reveal();
    const code = player.querySelector(".snippet-code pre");
    return code.scrollHeight > code.clientHeight + 1;
  }).map(player => player.id)"""


def test_at_each_step_the_one_runs_to_whom_control_has_gone(play):
    player = play("greenlet-twelve_fifty_six")
    for key, run in RUNS.items():
        current = "main"
        states = player.evaluate(FOLDS, run)
        for event, state in zip(run["events"], states, strict=True):
            if event["event"] in ("switch", "throw", "die", "start"):
                current = event["target"]
            running = [n for n, is_ in state["is"].items() if is_ == "runs"]
            assert running == [current], (key, event)


def test_nothing_runs_or_waits_before_it_is_made_or_after_its_death(play):
    player = play("greenlet-twelve_fifty_six")
    for run in RUNS.values():
        dead = set()
        states = player.evaluate(FOLDS, run)
        for event, state in zip(run["events"], states, strict=True):
            if event["event"] == "spawn":
                assert state["is"][event["target"]] == "new"
            if event["event"] == "die":
                dead.add(event["greenlet"])
            assert dead == {n for n, s in state["is"].items() if s == "dead"}


def test_what_is_queued_is_run_and_what_is_set_comes_due(play):
    player = play("hub-two_sleepers")
    state = player.evaluate(FOLDS, RUNS["hub/two_sleepers", "gevent"])
    assert state[3]["ready"] == ["switch a", "switch b"]
    assert state[-1]["ready"] == []
    assert {"timer 1", "timer 2"} in [set(one["timers"]) for one in state]
    assert state[-1]["timers"] == {}
    assert state[-1]["turn"] == 3


FOLDS = """(player, run) => {
  const { fold } = customElements.get("evening-player");
  return run.events.map((_, n) => fold(run, n + 1));
}"""


def test_the_keyboard_plays_it(play):
    player = play("hub-two_sleepers")
    player.locator("input").focus()
    keys = player.page.keyboard
    for key, step in (
        ("ArrowRight", 1),
        ("ArrowRight", 2),
        ("ArrowLeft", 1),
        ("Home", 0),
        ("ArrowLeft", 0),
        ("End", 38),
        ("ArrowRight", 38),
    ):
        keys.press(key)
        assert step_of(player) == step
    keys.press(" ")  # from the beginning, as it is at its end
    wait_for(player, 2)
    keys.press(" ")
    assert player.get_attribute("playing") is None


def wait_for(player, step):
    player.page.wait_for_function(
        "([player, step]) => player.step === step",
        arg=[player.element_handle(), step],
    )


def test_a_click_goes_where_it_says(play):
    player = play("hub-two_sleepers")
    player.get_by_label("a step on").click()
    player.get_by_label("a step on").click()
    assert step_of(player) == 2
    player.get_by_label("a step back").click()
    assert step_of(player) == 1
    player.locator(".run:not([hidden]) [data-step='7'] .step").click()
    assert step_of(player) == 7
    player.get_by_label("to the end").click()
    assert step_of(player) == 38
    player.get_by_label("to the start").click()
    assert step_of(player) == 0
    player.get_by_label("play").click()
    assert player.get_by_label("pause").is_visible()
    player.get_by_label("pause").click()
    assert player.get_by_label("play").is_visible()


def test_a_finger_taps_and_swipes(play):
    player = play("hub-two_sleepers", has_touch=True)
    player.get_by_label("a step on").tap()
    assert step_of(player) == 1
    said = player.locator(".said")
    said.scroll_into_view_if_needed()
    box = said.bounding_box()
    touch = player.page.context.new_cdp_session(player.page)
    for from_, to, step in ((200, 80, 2), (80, 200, 1)):
        for kind, x in (
            ("touchStart", from_),
            ("touchMove", to),
            ("touchEnd", None),
        ):
            points = [{"x": box["x"] + x, "y": box["y"] + 9}] if x else []
            touch.send(
                "Input.dispatchTouchEvent",
                {"type": kind, "touchPoints": points},
            )
        assert step_of(player) == step


def test_each_step_is_announced_and_shown_where_it_is(play):
    player = play("hub-two_sleepers")
    run = RUNS["hub/two_sleepers", "gevent"]
    player.locator("input").focus()
    for n, event in enumerate(run["events"], 1):
        player.page.keyboard.press("ArrowRight")
        said = player.locator("[aria-live=polite]").inner_text()
        assert said == plain(sentence(event, {}))
        value = player.locator("input").get_attribute("aria-valuetext")
        assert value == f"{n} of {len(run['events'])}"
        running = player.locator(".running")
        if event["line"]:
            assert running.get_attribute("id").endswith(f"-{event['line']}")
        else:
            assert running.count() == 0


def test_who_waits_is_marked_in_its_line(play):
    player = play("hub-two_sleepers")
    player.evaluate("player => player.seek(17)")  # both sleep
    (line,) = player.locator("[data-waits*='a…']").all()
    assert line.get_attribute("data-waits") == "a…"
    assert "gevent.sleep(seconds)" in line.inner_text()
    (line,) = player.locator("[data-waits*='main…']").all()
    assert "gevent.joinall" in line.inner_text()


def test_the_tree_says_who_is_dead_in_words(play):
    player = play("greenlet-twelve_fifty_six")
    player.evaluate("player => player.seek(player.steps)")
    tree = player.locator(".run:not([hidden]) .tree").inner_text().split("\n")
    assert tree == ["main runs", "gr1 dead", "gr2 waits"]


def test_stack_and_heap_have_their_real_sizes(play):
    steps = moments(TALK, RUNS[TALK, "evening"]["events"])
    need(steps, "the engine _slice")
    player = play("greenlet-twelve_fifty_six")
    for step in steps:
        player.evaluate("(player, at) => player.seek(at)", step["at"])
        shown = player.locator(".memory [data-at].now")
        assert shown.count() == 1
        words = shown.text_content()
        for name, (_, _, saved) in step["slices"].items():
            assert name in words
            if saved:
                assert f"{saved:,} bytes" in words


def test_the_other_library_is_a_press_away(play):
    player = play("hub-two_sleepers")
    player.get_by_text("evening", exact=True).click()
    player.get_by_label("to the end").click()
    assert step_of(player) == len(
        RUNS["hub/two_sleepers", "evening"]["events"]
    )
    assert player.locator(".run:not([hidden])").count() == 1


@pytest.mark.parametrize("base", ["", f"{SITE.as_uri()}/"])
def test_an_address_names_a_step_and_follows_the_reader(play, base):
    options = {"base": base} if base else {}
    name = "greenlet-twelve_fifty_six"
    player = play(name, f"#{name}@7", reveal=False, **options)
    assert step_of(player) == 7
    assert player.locator(".said").is_visible()
    assert player.locator(".predict").count() == 0
    assert player.evaluate(
        "one => one.getBoundingClientRect().top < innerHeight"
    )
    player.locator("input").focus()
    player.page.keyboard.press("ArrowRight")
    player.page.wait_for_function(
        "hash => location.hash === hash", arg=f"#{name}@8"
    )
    player.page.evaluate(f"location.hash = '#{name}@3'")
    wait_for(player, 3)


def test_words_of_the_page_lead_to_the_step_that_they_tell_of(play):
    player = play("hub-two_sleepers-2")
    player.page.locator("a[href='#hub-two_sleepers-2@27']").click()
    wait_for(player, 27)


# -- Predict


def test_what_is_printed_is_there_before_anybody_plays(play):
    player = play("greenlet-first_arguments", reveal=False)
    assert step_of(player) == 0
    assert player.locator(".snippet-session").is_visible()


def lines_of(player):
    return player.locator(".predict li code").all_inner_texts()


def test_before_a_prediction_nothing_gives_it_away(play):
    player = play("greenlet-twelve_fifty_six", reveal=False)
    for part in (".run", ".said", ".bar", ".snippet-session"):
        assert not player.locator(part).first.is_visible(), part
    assert player.locator(".snippet-code").is_visible()
    truth = printed(RUNS[TALK, "gevent"])
    assert sorted(lines_of(player)) == sorted(truth)
    assert lines_of(player) != truth


def test_a_wrong_prediction_is_judged_line_by_line(play):
    player = play("greenlet-twelve_fifty_six", reveal=False)
    truth = printed(RUNS[TALK, "gevent"])
    lines = lines_of(player)
    right = [one == other for one, other in zip(lines, truth, strict=True)]
    player.get_by_text("check it, and play").click()
    verdict = player.locator(".predict li i").all_inner_texts()
    assert verdict == ["right" if is_ else "not here" for is_ in right]
    score = player.locator("[role=status]").inner_text()
    assert score == f"{sum(right)} of 4 lines are right."
    assert player.get_attribute("playing") is not None


def test_the_keyboard_puts_the_lines_into_their_order(play):
    player = play("greenlet-twelve_fifty_six", reveal=False)
    truth = printed(RUNS[TALK, "gevent"])
    for place, line in enumerate(truth):
        item = player.locator(".predict li").filter(
            has=player.page.get_by_text(line, exact=True)
        )
        item.get_by_label("up").focus()
        while lines_of(player).index(line) > place:
            player.page.keyboard.press("Enter")
    player.get_by_text("check it, and play").focus()
    player.page.keyboard.press("Enter")
    score = player.locator("[role=status]").inner_text()
    assert score == "4 of 4 lines are right."


def test_a_line_can_be_dragged(play):
    player = play("greenlet-twelve_fifty_six", reveal=False)
    first, *others = lines_of(player)
    items = player.locator(".predict li")
    items.first.drag_to(items.last)
    assert lines_of(player) == [*others, first]


def test_who_does_not_want_to_predict_is_shown(play):
    player = play("greenlet-twelve_fifty_six", reveal=False)
    player.get_by_text("show me").click()
    assert player.locator(".predict").count() == 0
    assert player.locator(".said").is_visible()
    assert step_of(player) == 0


def test_who_wants_no_motion_gets_none(play):
    player = play(
        "greenlet-twelve_fifty_six", reveal=False, reduced_motion="reduce"
    )
    player.get_by_text("check it, and play").click()
    assert player.get_attribute("playing") is None


# -- Without JavaScript, on paper, for everybody


def test_without_javascript_the_whole_run_is_there(open_page):
    page = open_page("en/greenlet.html", java_script_enabled=False)
    player = page.locator("evening-player").first
    assert player.locator(".lanes").first.is_visible()
    assert player.locator(".snippet-session").is_visible()
    for part in (".bar", ".said", ".panels", ".predict"):
        assert not player.locator(part).first.is_visible(), part


def test_on_paper_the_whole_run_is_there(play):
    player = play("hub-two_sleepers")
    player.page.emulate_media(media="print")
    lanes = player.locator(".run:not([hidden]) .lanes")
    assert player.locator(".snippet-session").is_visible()
    assert not player.locator(".bar").is_visible()
    assert lanes.evaluate("one => one.scrollHeight <= one.clientHeight")
    faded = player.locator(".future")
    assert faded.first.evaluate("one => getComputedStyle(one).opacity") == "1"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 768, 390])
def test_in_the_middle_of_a_run_it_is_accessible(open_page, width, scheme):
    page = open_page(
        "en/hub.html",
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
    )
    page.wait_for_selector(PLAYER, state="attached")
    page.evaluate(
        "document.querySelectorAll('evening-player')"
        ".forEach(player => player.seek(20))"
    )
    assert violations(page, "#hub-two_sleepers") == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_step_of_2000_events_takes_less_than_a_frame(browser, tmp_path):
    page = browser.new_page()
    (tmp_path / "page.html").write_text(generated(2000), "utf-8")
    page.goto((tmp_path / "page.html").as_uri())
    times = page.evaluate(MEASURE)
    page.close()
    assert len(times) == 200
    assert statistics.median(times) < 16


def generated(count):
    """Return a page that plays *count* events of eight greenlets."""
    names = [f"g{n}" for n in range(8)]
    greenlets = {"main": {"kind": "main", "parent": None}}
    greenlets |= {
        name: {"kind": "greenlet", "parent": "main"} for name in names
    }
    events, ring = [], ["main", *names]
    for n in range(count):
        here, there = ring[n // 2 % 9], ring[(n // 2 + 1) % 9]
        event = {"greenlet": here, "line": 1 + n % 3}
        if n % 2:
            event |= {"event": "switch", "target": there, "value": f"{n}"}
        else:
            event |= {"event": "print", "text": f"line {n}"}
        events.append(event)
    run = {"greenlets": greenlets, "events": events}
    player = Markup("a/b", "a-b", {"gevent": run}, ALL_WORDS)
    script, style = (path.as_uri() for path in FILES)
    code = "".join(f'<span id="a-b-line-{n}">{n}\n</span>' for n in (1, 2, 3))
    return (
        f'<!doctype html><link rel="stylesheet" href="{style}">'
        f'{player.open()}<div class="snippet-code"><pre>{code}</pre></div>'
        f'{player.rest()}<script src="{script}"></script>'
    )


MEASURE = """() => {
  const player = document.querySelector("evening-player"), times = [];
  player.seek(1700);
  for (let n = 0; n < 200; n++) {
    const begin = performance.now();
    player.seek(player.step + 1);
    player.getBoundingClientRect();  // with its layout
    times.push(performance.now() - begin);
  }
  return times;
}"""


# -- On the slide


@pytest.fixture
def deck(open_page):
    page = open_page(DECK, viewport={"width": 1280, "height": 720})
    page.wait_for_function("Reveal.isReady()")
    return page


def go_to(deck, name):
    deck.evaluate(
        """id => {
          const slide = document.getElementById(id).closest("section");
          const { h, v } = Reveal.getIndices(slide);
          Reveal.slide(h, v, -1);
        }""",
        name,
    )
    return deck.locator(f"evening-player#{name}")


def test_at_least_five_slides_are_played(deck):
    assert deck.locator("evening-player").count() >= 5


def test_the_arrow_key_plays_and_then_leaves(deck):
    player = go_to(deck, "greenlet-twelve_fifty_six")
    stops = player.get_attribute("data-stops").split(",")
    here = deck.evaluate("Reveal.getIndices().v")
    for stop in stops:
        deck.keyboard.press("ArrowRight")
        assert step_of(player) == int(stop)
        assert deck.evaluate("Reveal.getIndices().v") == here
    deck.keyboard.press("ArrowRight")
    assert deck.evaluate("Reveal.getIndices().v") == here + 1
    deck.keyboard.press("ArrowLeft")
    assert deck.evaluate("Reveal.getIndices().v") == here
    assert step_of(player) == int(stops[-1])
    deck.keyboard.press("ArrowLeft")
    assert step_of(player) == int(stops[-2])
    assert deck.faults == []


def test_the_slide_shows_the_step_within_its_window(deck):
    player = go_to(deck, "hub-two_sleepers")
    window = player.locator(".run:not([hidden]) .lanes").bounding_box()
    low, high = window["y"], window["y"] + window["height"]
    for _ in player.get_attribute("data-stops").split(","):
        deck.keyboard.press("ArrowRight")
        box = player.locator(
            ".lanes:visible .now :is(rect, circle)"
        ).bounding_box()
        assert low - 1 <= box["y"]
        assert box["y"] + box["height"] <= high + 1


def test_a_run_leaves_the_foot_of_its_slide_free(deck):
    for player in deck.locator("evening-player").all():
        box = go_to(deck, player.get_attribute("id")).bounding_box()
        assert box["y"] + box["height"] <= 680


def test_the_speaker_is_told_what_comes_next(deck):
    player = go_to(deck, "greenlet-twelve_fifty_six")
    notes = deck.locator("section.present:not(.stack) .notes .next")
    events = RUNS[TALK, "evening"]["events"]
    for stop in player.get_attribute("data-stops").split(","):
        said = plain(sentence(events[int(stop) - 1], {}))
        assert notes.text_content() == f"Next: {said}"
        deck.keyboard.press("ArrowRight")
    assert notes.text_content() == WORDS["end"]


def test_the_speaker_view_shows_the_next_event(deck):
    go_to(deck, "greenlet-twelve_fifty_six")
    with deck.expect_popup() as popup:
        deck.keyboard.press("s")
    popup.value.wait_for_selector("text=/Next: main makes/", state="attached")
    deck.keyboard.press("ArrowRight")
    popup.value.wait_for_selector(
        "text=/Next: main makes gr2/", state="attached"
    )


def test_paper_has_a_page_for_each_step_that_a_slide_names(open_page):
    page = open_page(f"{DECK}?print-pdf")
    page.wait_for_selector(".pdf-page")
    page.wait_for_function("Reveal.isReady()")
    shown = {}
    for id_, pages, step in page.evaluate(
        """() => [...document.querySelectorAll("evening-player")].map(
          player => [player.id, player.dataset.pages, player.step])"""
    ):
        shown.setdefault((id_, pages), []).append(f"{step}")
    assert shown
    for (_, pages), steps in shown.items():
        assert ",".join(steps) == pages
    page.emulate_media(media="print")
    for player in page.locator("evening-player").all():
        assert player.locator(".said").is_visible()
        assert not player.locator(".snippet-session").is_visible()
