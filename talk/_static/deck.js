// Steps through code: each fragment `.step` of a block lights the next lines.
window.Steps = {
  id: "steps",
  init(deck) {
    const show = () => {
      for (const block of document.querySelectorAll(".highlight:has(> .step)")) {
        const now = String(block.querySelectorAll(".step.visible").length);
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
    };
    const events = ["ready", "slidechanged", "fragmentshown", "fragmenthidden"];
    for (const event of [...events, "pdf-ready"]) deck.on(event, show);
  },
};
