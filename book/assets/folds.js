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

  // One call of MathJax at a time, for all that waits: calls must not overlap, and each looks at the whole page.
  let waiting = [];
  let running = false;
  const run = async () => {
    if (running || !window.MathJax) return;
    running = true;
    await window.MathJax.startup.promise;
    while (waiting.length) {
      const batch = waiting;
      waiting = [];
      await window.MathJax.typesetPromise(batch);
    }
    running = false;
  };

  const typeset = (fold) => {
    const nodes = [...fold.querySelectorAll(".math-later")].filter((node) => shown(node, fold));
    for (const node of nodes) node.classList.replace("math-later", "math");
    waiting.push(...nodes);
    setTimeout(run);
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
