// Steps through code and runs.  Each fragment `.step` of a block of code lights
// the next lines; each one of a player plays the next event.
window.Steps = {
  id: "steps",
  init(deck) {
    const show = () => {
      for (const block of document.querySelectorAll(".highlight:has(> .step)")) {
        const now = String(visible(block));
        const lines = [...block.querySelectorAll(".line")];
        const lit = lines.filter((line) =>
          line.dataset.lit?.split(" ").includes(now),
        );
        const stepping = lit.length < lines.length;
        block.classList.toggle("stepping", stepping);
        for (const line of lines) {
          line.classList.toggle("lit", stepping && lit.includes(line));
        }
      }
      for (const player of document.querySelectorAll("evening-player")) {
        const stops = [0, ...player.dataset.stops.split(",")];
        const now = visible(player);
        player.seek(player.getAttribute("at") ?? stops[now]);
        if (player.offsetParent) frame(player);
        announce(player, player.run.events[stops[now + 1] - 1]);
      }
    };
    const events = ["ready", "slidechanged", "fragmentshown", "fragmenthidden"];
    for (const event of [...events, "pdf-ready"]) deck.on(event, show);
    if (/print-pdf/.test(location.search)) separate();
  },
};

const visible = (block) => block.querySelectorAll(".step.visible").length;

// The speaker's notes tell what the next key will show, below the minutes.
function announce(player, event) {
  const minutes = player.closest("section").querySelector(".notes > p");
  if (!minutes) return;
  let next = minutes.parentNode.querySelector(".next");
  if (!next) {
    next = Object.assign(document.createElement("p"), { className: "next" });
    minutes.after(next);
  }
  const said = player.data.said[event?.said];
  next.innerHTML = said ? player.say("next", { said }) : player.words.end;
}

// On a stage nothing scrolls: lanes that are out of their window are taken away.
function frame(player) {
  const [head, svg] = player.querySelectorAll(".run:not([hidden]) .lanes svg");
  const { width, height } = svg.viewBox.baseVal;
  const high = (svg.dataset.high ??= height);
  const space = svg.parentNode.clientHeight - head.clientHeight;
  const room = Math.min(high, (space * width) / svg.clientWidth);
  const now = svg.querySelector(".now")?.dataset.y ?? 0;
  const top = Math.max(0, Math.min(now - room * 0.85, high - room));
  svg.setAttribute("viewBox", `0 ${top} ${width} ${room}`);
  for (const { dataset, classList } of svg.querySelectorAll("[data-y]")) {
    const away = Math.abs(dataset.y - top - room / 2);
    classList.toggle("far", away > room / 2 - 13);
  }
}

// On paper, a player has a page for each step that its slide names.
function separate() {
  for (const player of document.querySelectorAll("evening-player[data-pages]")) {
    const slide = player.closest("section");
    const steps = player.dataset.pages.split(",");
    for (const step of steps.slice(0, -1)) {
      const page = slide.cloneNode(true);
      page.querySelector("evening-player").setAttribute("at", step);
      slide.before(page);
    }
    player.setAttribute("at", steps.at(-1));
  }
}
