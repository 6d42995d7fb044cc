// The player of a recorded run.  docs/_ext/player.py writes all that is seen,
// its words too; this tells what of it is past, what is now, what is to come.
(() => {
  const pass = (now, { greenlet, target }) => {
    now.is[greenlet] = "waits";
    now.is[target] = "runs";
  };
  const drop = (list, one) => list.includes(one) && list.splice(list.indexOf(one), 1);

  // What each kind of event changes.
  const CHANGES = {
    spawn: (now, { target }) => (now.is[target] = "new"),
    start: pass,
    switch: pass,
    throw: pass,
    die(now, event) {
      pass(now, event);
      now.is[event.greenlet] = "dead";
    },
    print: (now, { text }) => now.printed.push(text),
    timer_set: (now, { timer, seconds }) => (now.timers[timer] = `: ${seconds} s`),
    timer_due: (now, { timer }) => delete now.timers[timer],
    callback_queued: (now, { callback }) => now.ready.push(callback),
    callback_run: (now, { callback }) => drop(now.ready, callback),
    watcher_start(now, { watcher, fd }) {
      now.watchers[watcher] = fd ? `: ${fd}` : "";
    },
    watcher_stop(now, { watcher }) {
      delete now.watchers[watcher];
      delete now.timers[watcher];
    },
  };

  // How things are after the first `step` events.
  const fold = ({ greenlets, events }, step) => {
    const now = {
      is: {}, lines: {}, printed: [], turn: 0, ready: [], timers: {}, watchers: {},
    };
    for (const name in greenlets) {
      if (greenlets[name].kind === "main") now.is[name] = "runs";
    }
    for (const event of events.slice(0, step)) {
      now.lines[event.greenlet] = event.line;
      now.turn = event.turn ?? now.turn;
      CHANGES[event.event]?.(now, event);
    }
    return now;
  };

  const listed = (value) =>
    typeof value === "number" ? value
    : Array.isArray(value) ? value.join("\n")
    : Object.keys(value).map((name) => name + value[name]).join("\n");

  const KEYS = {
    ArrowLeft: "back", ArrowRight: "on", Home: "first", End: "last", " ": "play",
  };

  class Player extends HTMLElement {
    static fold = fold;

    connectedCallback() {
      this.data = JSON.parse(this.$("script").textContent);
      this.words = Player.words ??= this.data.words;
      this.range = this.$("input");
      this.said = this.$(".said");
      this.lines = new Map();
      for (const line of this.all('[id*="-line-"]')) {
        this.lines.set(Number(line.id.split("-").at(-1)), line);
      }
      this.onclick = (event) => this.clicked(event.target);
      this.onkeydown = (event) => this.pressed(event);
      this.range.oninput = () => this.moved(this.range.value);
      this.swipe();
      this.drag();
      this.toggleAttribute("predicting", Boolean(this.$(".predict")));
      this.choose(Object.keys(this.data.runs)[0]);
      this.said.ariaLive = "polite"; // not before: its first words are no news
    }

    $(selector) {
      return this.querySelector(selector);
    }

    all(selector, below = this) {
      return [...below.querySelectorAll(selector)];
    }

    say(key, fields) {
      return this.words[key].replace(/{(\w+)}/g, (_, name) => fields[name]);
    }

    // Show one library's run, from its start.
    choose(name) {
      this.run = this.data.runs[name];
      const template = this.$(`template[data-run="${name}"]`);
      template?.replaceWith(template.content);
      for (const part of this.all("[data-run]")) {
        const chosen = part.dataset.run === name;
        if (part.matches("button")) part.ariaPressed = chosen;
        else part.hidden = !chosen;
        if (chosen) this.shown = part;
      }
      this.steps = this.run.events.length;
      this.marks = Array(this.steps);
      for (const mark of this.all("[data-step]", this.shown)) {
        this.marks[mark.dataset.step - 1] = mark;
        mark.classList.add("future");
      }
      this.range.max = this.steps;
      this.step = 0;
      this.seek(this.getAttribute("at"));
    }

    // Go to a step, and show how things are there.
    seek(step) {
      const { steps } = this;
      step = Math.max(0, Math.min(steps, Number(step)));
      const [low, high] = [this.step, step].sort((a, b) => a - b);
      for (let n = low; n < high; n++) {
        this.marks[n]?.classList.toggle("future", n >= step);
      }
      this.marks[this.step - 1]?.classList.remove("now");
      this.marks[step - 1]?.classList.add("now");
      this.step = step;
      const event = this.run.events[step - 1];
      this.said.innerHTML = this.data.said[event?.said] ?? this.words.begin;
      this.range.value = step;
      this.range.ariaValueText = this.$(".at").textContent =
        this.say("at", { step, steps });
      const now = fold(this.run, step);
      this.showLines(event, now);
      this.showPanels(now);
      this.follow();
    }

    showLines(event, now) {
      for (const line of this.lines.values()) {
        line.classList.remove("running");
        delete line.dataset.waits;
      }
      for (const name in now.lines) {
        const line = this.lines.get(now.lines[name]);
        if (!line || now.is[name] !== "waits" || name === event.greenlet) continue;
        line.dataset.waits = (line.dataset.waits ?? "") + name + "…";
      }
      const line = this.lines.get(event?.line);
      if (!line) return;
      line.classList.add("running");
      const code = line.parentNode;
      code.scrollTop = line.offsetTop - code.clientHeight / 2;
    }

    showPanels(now) {
      for (const one of this.all("li[data-name]", this.shown)) {
        one.dataset.is = now.is[one.dataset.name] ?? "";
        one.querySelector("i").textContent = this.words[one.dataset.is] ?? "";
      }
      for (const part of this.all("[data-show]", this.shown)) {
        part.textContent = listed(now[part.dataset.show]);
      }
      const moments = this.all("[data-at]", this.shown);
      const moment = moments.findLast(({ dataset }) => dataset.at <= this.step);
      for (const one of moments) one.classList.toggle("now", one === moment);
    }

    // Keep the step in view in lanes that are higher than their window.
    follow() {
      const [lanes] = this.all(".lanes", this.shown);
      const y = this.marks[this.step - 1]?.dataset.y ?? 0;
      lanes.scrollTop = y - lanes.clientHeight / 2;
    }

    // The reader went to a step: playing ends, the address follows.
    moved(step) {
      this.play(false);
      this.seek(step);
      history.replaceState(null, "", `#${this.id}@${this.step}`);
    }

    play(on) {
      const last = () => this.step === this.steps;
      clearInterval(this.timer);
      if (on && last()) this.seek(0);
      if (on) {
        this.timer = setInterval(() => {
          this.seek(this.step + 1);
          if (last()) this.play(false);
        }, 900);
      }
      this.toggleAttribute("playing", on);
      const button = this.$('[data-do="play"]');
      button.ariaLabel = button.title = this.words[on ? "pause" : "play"];
    }

    DOES = {
      first: () => this.moved(0),
      back: () => this.moved(this.step - 1),
      play: () => this.play(!this.hasAttribute("playing")),
      on: () => this.moved(this.step + 1),
      last: () => this.moved(this.steps),
      up: (line) => line.previousElementSibling?.before(line),
      down: (line) => line.nextElementSibling?.after(line),
      check: () => this.judge(),
      skip: () => this.skip(),
    };

    clicked(target) {
      const button = target.closest("button");
      const mark = target.closest("[data-step]");
      if (mark) this.moved(mark.dataset.step);
      if (mark) this.range.focus({ preventScroll: true });
      if (button?.dataset.run) this.choose(button.dataset.run);
      this.DOES[button?.dataset.do]?.(button.closest("li"));
      button?.focus();
    }

    pressed(event) {
      const does = KEYS[event.key];
      const pushes = event.key === " " && event.target.matches("button");
      if (!does || pushes || this.hasAttribute("predicting")) return;
      event.preventDefault();
      this.DOES[does]();
    }

    swipe() {
      let from;
      this.said.ontouchstart = ({ touches }) => (from = touches[0].clientX);
      this.said.ontouchend = ({ changedTouches }) => {
        const by = from - changedTouches[0].clientX;
        if (Math.abs(by) > 30) this.moved(this.step + Math.sign(by));
      };
    }

    drag() {
      let line;
      this.ondragstart = ({ target }) => (line = target.closest("li"));
      this.ondragover = (event) => {
        const over = event.target.closest("[draggable]");
        if (!over || !line) return;
        event.preventDefault();
        over[line.compareDocumentPosition(over) & 4 ? "after" : "before"](line);
      };
    }

    // The trace judges the reader's order.
    judge() {
      const { printed } = fold(this.run, this.steps);
      let right = 0;
      this.all(".predict li").forEach((line, n) => {
        const said = line.firstElementChild.textContent;
        const is = said === printed[n] ? "right" : "wrong";
        line.dataset.is = is;
        line.querySelector("i").textContent = this.words[is];
        right += is === "right";
      });
      const lines = printed.length;
      this.$(".score").textContent = this.say("score", { right, lines });
      this.reveal();
      if (!matchMedia("(prefers-reduced-motion: reduce)").matches) this.play(true);
    }

    skip() {
      this.$(".predict")?.remove();
      this.reveal();
    }

    reveal() {
      this.removeAttribute("predicting");
      this.range.focus({ preventScroll: true });
      this.follow();
    }
  }

  customElements.define("evening-player", Player);

  // An address may name a step: #greenlet-twelve_fifty_six@7
  const visit = () => {
    const [, id, step] = location.hash.match(/^#([\w-]+)@(\d+)$/) ?? [];
    const player = id && document.getElementById(id);
    if (!player?.seek) return;
    player.skip();
    player.seek(step);
    player.scrollIntoView({ behavior: "instant" });
  };
  addEventListener("hashchange", visit);
  addEventListener("load", visit);
})();
