/* The page of all questions: choose by words, chapter, difficulty, kind and how often asked. The choice stands in the
   address, and whoever comes from the search finds the words of the search already chosen. */
(() => {
  const form = document.querySelector(".bank-filter");
  const questions = [...document.querySelectorAll("details.question")];
  const sections = [...document.querySelectorAll("section.chapter")];
  const names = ["words", "chapter", "difficulty", "kind", "asked", "article"];
  const texts = new Map();

  const textOf = (question) => {
    if (!texts.has(question)) texts.set(question, question.textContent.toLowerCase());
    return texts.get(question);
  };

  const fits = (question, wish) => names.every((name) => {
    if (!wish[name]) return true;
    if (name === "words") return wish.words.toLowerCase().split(/\s+/).every((word) => textOf(question).includes(word));
    if (name === "asked") return Number(question.dataset.asked) >= Number(wish.asked);
    return question.dataset[name] === wish[name];
  });

  const apply = () => {
    const wish = Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, value.trim()]).filter(([, value]) => value));
    let count = 0;
    for (const question of questions) {
      question.hidden = !fits(question, wish);
      count += !question.hidden;
    }
    for (const section of sections) section.hidden = !section.querySelector("details.question:not([hidden])");
    form.querySelector("output").textContent = form.dataset.shown.replace("{shown}", count).replace("{all}", questions.length);
    const query = new URLSearchParams(wish).toString();
    try {
      history.replaceState(null, "", (query ? `?${query}` : location.pathname) + location.hash);
    } catch (error) {
      if (error.name !== "SecurityError") throw error; // a page opened as a file keeps its address
    }
  };

  const read = (query) => {
    for (const name of names) {
      const field = form.elements[name];
      const value = query.get(name) || "";
      if (field.type === "checkbox") field.checked = value === field.value;
      else if (field.type === "search") field.value = value;
      else field.value = [...field.options].some((option) => option.value === value) ? value : "";
    }
  };

  const showAddressed = () => {
    // A link to one question wins over a filter that would hide it.
    const target = document.getElementById(location.hash.slice(1));
    if (target && target.hidden) {
      form.reset();
      apply();
      target.scrollIntoView();
    }
  };

  form.hidden = false;
  const query = new URLSearchParams(location.search);
  if (document.referrer.includes("/search.html?") && !location.hash && ![...query].length) {
    query.set("words", new URL(document.referrer).searchParams.get("q") || "");
  }
  read(query);
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(apply));
  window.addEventListener("hashchange", showAddressed);
  apply();
  showAddressed();
})();
