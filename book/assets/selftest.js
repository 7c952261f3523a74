/* A self-test: each option is a fold that says why it is right or wrong. Here it gets colours and a score. */
for (const test of document.querySelectorAll(".self-test")) {
  const questions = [...test.querySelectorAll(".asked")];
  const score = test.querySelector(".score");
  const told = score.querySelector("output");

  const tell = () => {
    const done = questions.filter((question) => question.dataset.first);
    const right = done.filter((question) => question.dataset.first === "right");
    const words = { right: right.length, done: done.length, all: questions.length };
    told.textContent = score.dataset.words.replace(/\{(\w+)\}/g, (_, name) => words[name]);
    score.hidden = !done.length;
  };

  for (const question of questions) {
    for (const option of question.querySelectorAll("details.option")) {
      option.addEventListener("toggle", () => {
        if (!option.open) return;
        option.classList.add("chosen");
        question.dataset.first ||= option.classList.contains("right") ? "right" : "wrong";
        tell();
      });
    }
  }

  score.querySelector("button").addEventListener("click", () => {
    for (const question of questions) delete question.dataset.first;
    for (const option of test.querySelectorAll("details.option")) {
      option.open = false;
      option.classList.remove("chosen");
    }
    tell();
    questions[0].querySelector("summary").focus();
  });
  test.classList.add("alive");
}
