/* Formulas: read aloud as their TeX, and reached by the keyboard where they are wider than the screen and scroll. */
(() => {
  const label = ({ math, display, typesetRoot: box }) => {
    if (!box || box.hasAttribute("aria-label")) return;
    box.setAttribute("role", "math");
    box.setAttribute("aria-label", math.trim());
    if (display && box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  };
  const options = ((window.MathJax ??= {}).options ??= {});
  // 210: after the formulas are in the page (MathJax's STATE.INSERTED is 200).
  options.renderActions = { ...options.renderActions, spoken: [210, (page) => { for (const item of page.math) label(item); }, label] };
})();
