/* The drill: flashcards from the question bank. What to ask next is decided in leitner.js; here are the page, the
   keys, the swipes, and the place where progress is kept. Nothing is sent anywhere. */
(() => {
  const box = document.querySelector(".drill");
  const part = (name) => box.querySelector(`.drill-${name}`);
  const words = JSON.parse(box.dataset.words);
  const cards = new Map(JSON.parse(part("cards").textContent).map((card) => [card.id, card]));
  const [form, card, front, back, state, note] = ["form", "card", "front", "back", "state", "note"].map(part);
  const [flipButton, missedButton, knewButton] = ["flip", "missed", "knew"].map(part);
  const KEY = "genimg.drill.1";
  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  const say = (text) => { note.textContent = text; };
  const day = (time) => new Date(time).toLocaleDateString(document.documentElement.lang, { day: "numeric", month: "long" });

  let progress = leitner.empty();
  let current = null;
  let flipped = false;
  let recent = [];

  const load = () => {
    let text = null;
    try {
      text = localStorage.getItem(KEY);
    } catch (error) {
      return say(words.unkept); // this browser keeps nothing: the drill works, until the page is left
    }
    try {
      if (text) progress = leitner.parse(text);
    } catch (error) {
      localStorage.setItem(`${KEY}.damaged`, text);
      say(words.damaged);
    }
  };

  const save = () => {
    try {
      localStorage.setItem(KEY, JSON.stringify(progress));
    } catch (error) {
      say(words.unkept);
    }
  };

  const chosen = () => [...cards.values()]
    .filter((one) => ["chapter", "difficulty"].every((name) => !form.elements[name].value || String(one[name]) === form.elements[name].value))
    .map((one) => one.id);

  // MathJax's calls must not overlap: each waits for the one before.
  let typesetting = Promise.resolve();
  const typeset = (node) => {
    if (!window.MathJax?.startup) return;
    typesetting = typesetting.then(() => window.MathJax.startup.promise).then(() => window.MathJax.typesetPromise([node]));
  };

  const tell = () => {
    const numbers = leitner.count(progress, chosen(), Date.now());
    state.textContent = fill(words.state, numbers);
    return numbers;
  };

  const show = (id, focus = true) => {
    // Forget the last card's formulas.
    typesetting = typesetting.then(() => window.MathJax?.typesetClear?.());
    current = id;
    flipped = false;
    back.hidden = true;
    back.replaceChildren();
    const numbers = tell();
    const one = cards.get(id);
    part("head").textContent = one ? one.head : "";
    if (one) front.innerHTML = one.front;
    else front.textContent = numbers.all ? fill(words.done, { day: day(numbers.nextDue) }) : words.none;
    flipButton.hidden = !one;
    missedButton.hidden = knewButton.hidden = true;
    typeset(front);
    if (focus) front.focus({ preventScroll: card.getBoundingClientRect().top >= 0 });
  };

  const flip = () => {
    if (!current || flipped) return;
    flipped = true;
    back.innerHTML = cards.get(current).back;
    back.hidden = false;
    flipButton.hidden = true;
    missedButton.hidden = knewButton.hidden = false;
    typeset(back);
    back.focus({ preventScroll: true });
  };

  const answer = (knew) => {
    if (!flipped) return;
    progress = leitner.grade(progress, current, knew, Date.now());
    save();
    say(knew ? fill(words.next, { id: current, day: day(progress.cards[current].due) }) : fill(words.again, { id: current }));
    recent = [...recent, current].slice(-leitner.GAP);
    show(leitner.next(progress, chosen(), Date.now(), recent));
  };

  const choose = () => {
    recent = [];
    show(leitner.next(progress, chosen(), Date.now()), false);
  };

  const exportAll = () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([JSON.stringify(progress, null, 1)], { type: "application/json" }));
    link.download = "genimg-drill.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    say(fill(words.exported, { n: Object.keys(progress.cards).length }));
  };

  const importAll = async (field) => {
    const text = await field.files[0].text();
    field.value = "";
    try {
      const other = leitner.parse(text);
      progress = leitner.merge(progress, other);
      save();
      choose();
      say(fill(words.imported, { n: Object.keys(other.cards).length }));
    } catch (error) {
      say(fill(words.unreadable, { why: error.message }));
    }
  };

  const reset = () => {
    if (!window.confirm(fill(words.sure, { n: Object.keys(progress.cards).length }))) return;
    progress = leitner.empty();
    save();
    choose();
    say(words.forgotten);
  };

  const KEYS = { " ": flip, Enter: flip, 1: () => answer(false), ArrowLeft: () => answer(false), 2: () => answer(true), ArrowRight: () => answer(true) };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.shiftKey || event.repeat) return;
    if (event.target.closest("select, input, textarea, summary, a, dialog")) return;
    if (event.target.closest("button") && [" ", "Enter"].includes(event.key)) return; // the button does it
    const act = KEYS[event.key];
    if (!act || (act === flip ? flipped || !current : !flipped)) return;
    event.preventDefault();
    act();
  });

  let from = null;
  card.addEventListener("touchstart", (event) => { from = event.touches.length === 1 ? event.touches[0] : null; }, { passive: true });
  card.addEventListener("touchend", (event) => {
    const to = event.changedTouches[0];
    const [x, y] = from ? [to.clientX - from.clientX, to.clientY - from.clientY] : [0, 0];
    if (flipped && Math.abs(x) > 80 && Math.abs(y) < 50) answer(x > 0);
  });
  card.addEventListener("click", (event) => { if (!flipped && !event.target.closest("a, button")) flip(); });

  flipButton.addEventListener("click", flip);
  missedButton.addEventListener("click", () => answer(false));
  knewButton.addEventListener("click", () => answer(true));
  form.addEventListener("change", choose);
  form.addEventListener("submit", (event) => event.preventDefault());
  part("export").addEventListener("click", exportAll);
  part("import").addEventListener("click", () => part("file").click());
  part("file").addEventListener("change", (event) => importAll(event.target));
  part("reset").addEventListener("click", reset);

  load();
  const wished = new URLSearchParams(location.search).get("chapter");
  if ([...form.elements.chapter.options].some((option) => option.value === wished)) form.elements.chapter.value = wished;
  part("room").hidden = false;
  choose();
})();
