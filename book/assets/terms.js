/* Terms: the meaning of a word beside it, while the pointer is on it or the keyboard's focus. Escape puts it away. */
(() => {
  const notes = document.querySelector(".term-notes");
  const links = document.querySelectorAll("a.term");
  if (!notes || !links.length) return;
  const tip = document.createElement("div");
  Object.assign(tip, { id: "term-tip", className: "term-tip", hidden: true });
  tip.setAttribute("role", "tooltip");
  document.body.append(tip);
  let [shown, timer] = [null, 0];

  const meaning = (link) => notes.querySelector(`[data-term="${CSS.escape(decodeURIComponent(link.hash.slice(1)))}"]`);

  const hide = () => {
    clearTimeout(timer);
    shown?.removeAttribute("aria-describedby");
    shown = null;
    tip.hidden = true;
  };

  const show = (link) => {
    clearTimeout(timer);
    if (shown === link) return;
    hide();
    tip.replaceChildren(...[...meaning(link).childNodes].map((node) => node.cloneNode(true)));
    tip.hidden = false;
    shown = link;
    link.setAttribute("aria-describedby", tip.id);
    // Below the word, or above where there is no room; never beyond the edge of the screen.
    const [word, wide, tall] = [link.getClientRects()[0], tip.offsetWidth, tip.offsetHeight];
    const below = word.bottom + 6 + tall < window.innerHeight || word.top < tall + 6;
    const left = Math.max(8, Math.min(word.left, document.documentElement.clientWidth - wide - 8));
    tip.style.left = `${left + window.scrollX}px`;
    tip.style.top = `${(below ? word.bottom + 6 : word.top - tall - 6) + window.scrollY}px`;
  };

  const later = (act, wait) => { clearTimeout(timer); timer = setTimeout(act, wait); };

  for (const link of links) {
    if (!meaning(link)) continue;
    // A symbol has no letters for who cannot see it: its TeX is its name.
    const symbol = link.querySelector(".math, .math-later");
    if (symbol) link.setAttribute("aria-label", symbol.textContent.replace(/^\\\(|\\\)$/g, ""));
    link.addEventListener("pointerenter", (event) => { if (event.pointerType === "mouse") later(() => show(link), 120); });
    link.addEventListener("pointerleave", () => later(hide, 250));
    link.addEventListener("focus", () => { if (link.matches(":focus-visible")) show(link); });
    link.addEventListener("blur", hide);
    // A finger cannot hover: the first tap shows the meaning, the second follows the link.
    let touched = false;
    link.addEventListener("pointerdown", (event) => { touched = event.pointerType !== "mouse" && shown !== link; });
    link.addEventListener("click", (event) => {
      if (!touched) return;
      event.preventDefault();
      show(link);
    });
  }
  // The meaning stays while the pointer is on it, so that it can be read and selected.
  tip.addEventListener("pointerenter", () => clearTimeout(timer));
  tip.addEventListener("pointerleave", () => later(hide, 250));
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  document.addEventListener("pointerdown", (event) => { if (shown && !shown.contains(event.target) && !tip.contains(event.target)) hide(); });
  window.addEventListener("resize", hide);
})();
