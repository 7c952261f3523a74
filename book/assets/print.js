/* Before a page is printed its folds are opened, their formulas typeset and the dark put aside; afterwards all is as it was. */
(() => {
  let undo = [];

  window.addEventListener("beforeprint", () => {
    for (const fold of document.querySelectorAll("article details:not([open])")) {
      fold.open = true;
      undo.push(() => { fold.open = false; });
    }
    for (const picture of document.querySelectorAll("article img[loading='lazy']")) picture.loading = "eager";
    const waiting = [...document.querySelectorAll("article .math-later")];
    waiting.forEach((node) => node.classList.replace("math-later", "math"));
    if (waiting.length) window.MathJax?.typeset?.(waiting);
    const { dataset } = document.documentElement;
    const theme = dataset.theme;
    dataset.theme = "light";
    undo.push(() => { dataset.theme = theme; });
  });

  window.addEventListener("afterprint", () => {
    undo.forEach((back) => back());
    undo = [];
  });
})();
