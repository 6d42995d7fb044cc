// Code and tables that are wider than the page can be scrolled by keyboard.
const wide = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
    else target.removeAttribute("tabindex");
  }
});
for (const box of document.querySelectorAll("article pre, .table-wrapper, .swimlane")) {
  wide.observe(box);
}
