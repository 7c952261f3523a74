/* A demo is a still and a sentence until its button is pressed. Only then are its scripts loaded. */
window.genimgDemos = { start: {}, parts: {}, data: {} };
(() => {
  const base = new URL(".", document.currentScript.src);
  const loading = new Map();

  const load = (name) => {
    if (!loading.has(name)) {
      loading.set(name, new Promise((done, fail) => {
        const script = document.createElement("script");
        script.src = new URL(name, base).href;
        script.onload = done;
        script.onerror = () => { loading.delete(name); script.remove(); fail(new Error(name)); };
        document.head.append(script);
      }));
    }
    return loading.get(name);
  };

  for (const box of document.querySelectorAll("figure.demo[data-scripts]")) {
    const [button, note, room] = ["start", "note", "room"].map((part) => box.querySelector(`.demo-${part}`));
    const words = JSON.parse(box.dataset.words);
    button.hidden = false;
    button.addEventListener("click", async () => {
      button.disabled = true;
      note.textContent = words.loading;
      try {
        for (const name of JSON.parse(box.dataset.scripts)) await load(name);
        const kit = genimgDemos.parts.kit(box, room, words, base);
        await genimgDemos.start[box.dataset.demo](kit);
        box.querySelector(".demo-still").hidden = true;
        button.hidden = true;
        note.textContent = "";
        room.hidden = false;
        kit.refresh();
        room.querySelector("button, select, input")?.focus();
      } catch (error) {
        room.replaceChildren();
        button.disabled = false;
        note.textContent = words.failed.replace("{why}", error.message);
      }
    });
  }
})();
