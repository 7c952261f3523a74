/* Folds: their formulas are typeset when they open, and an address such as #q026 opens the fold that it names. */
(() => {
  const shown = (node, fold) => {
    // Is it to be seen once `fold` is open? A closed fold inside shows its title only.
    for (let inner = node.parentElement.closest("details"); inner && inner !== fold; inner = inner.parentElement.closest("details")) {
      const title = inner.querySelector(":scope > summary");
      if (!inner.open && !title.contains(node)) return false;
    }
    return true;
  };

  const typeset = async (fold) => {
    const waiting = [...fold.querySelectorAll(".math-later")].filter((node) => shown(node, fold));
    if (!waiting.length || !window.MathJax) return;
    for (const node of waiting) node.classList.replace("math-later", "math");
    await window.MathJax.startup.promise;
    await window.MathJax.typesetPromise(waiting);
  };

  const openAddressed = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target || !target.closest("details")) return;
    for (let fold = target.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
    target.scrollIntoView();
  };

  document.addEventListener("toggle", (event) => { if (event.target.open) typeset(event.target); }, true);
  window.addEventListener("load", () => document.querySelectorAll("details[open]").forEach(typeset));
  window.addEventListener("hashchange", openAddressed);
  openAddressed();
})();
