/* Formulas that are wider than the screen scroll in their own line: the keyboard reaches them there. */
(() => {
  const reach = ({ display, typesetRoot: box }) => {
    if (display && box && box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  };
  const options = ((window.MathJax ??= {}).options ??= {});
  // 210: after the formulas are in the page (MathJax's STATE.INSERTED is 200).
  options.renderActions = { ...options.renderActions, reach: [210, (page) => { for (const item of page.math) reach(item); }, reach] };
})();
