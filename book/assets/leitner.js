/* Spaced repetition by boxes. Pure: progress in, progress out; the clock is an argument.

   progress = { version: 1, cards: { Q026: { box, due, last, seen, missed } } }, times in milliseconds.
   A card that you knew moves up one box, one that you did not returns to box 0. Box n waits WAIT[n] days. */
((root) => {
  const DAY = 24 * 60 * 60 * 1000;
  const WAIT = [0, 1, 3, 7, 21, 60];
  const GAP = 3; // so many other cards come before a missed one returns

  const empty = () => ({ version: 1, cards: {} });

  const midnight = (now) => new Date(now).setHours(0, 0, 0, 0);

  const grade = (progress, id, knew, now) => {
    const before = progress.cards[id] || { box: 0, seen: 0, missed: 0 };
    const box = knew ? Math.min(before.box + 1, WAIT.length - 1) : 0;
    // A card for tomorrow is due from tomorrow's first minute, however late it was asked today.
    const due = box ? midnight(now) + WAIT[box] * DAY : now;
    const card = { box, due, last: now, seen: before.seen + 1, missed: before.missed + (knew ? 0 : 1) };
    return { ...progress, cards: { ...progress.cards, [id]: card } };
  };

  const isDue = (card, now) => card !== undefined && card.due <= now;

  /* The next of `ids` to ask: what is due, the longest overdue first; then new cards in their order; then what was
     just missed. null: nothing is left for today. recent: the last ids asked, the newest last. */
  const next = (progress, ids, now, recent = []) => {
    const just = recent.slice(-GAP);
    const due = ids.filter((id) => isDue(progress.cards[id], now));
    due.sort((a, b) => progress.cards[a].due - progress.cards[b].due);
    return due.find((id) => !just.includes(id)) ?? ids.find((id) => !progress.cards[id]) ?? due[0] ?? null;
  };

  const count = (progress, ids, now) => {
    const cards = ids.map((id) => progress.cards[id]);
    const known = cards.filter((card) => card && !isDue(card, now));
    return {
      all: ids.length,
      due: cards.filter((card) => isDue(card, now)).length,
      fresh: cards.filter((card) => !card).length,
      known: known.length,
      nextDue: known.length ? Math.min(...known.map((card) => card.due)) : null,
    };
  };

  const isCount = (value) => Number.isInteger(value) && value >= 0;

  /* The progress in a text; throws an Error for any other text. */
  const parse = (text) => {
    const read = JSON.parse(text);
    if (read?.version !== 1 || typeof read.cards !== "object" || read.cards === null || Array.isArray(read.cards)) {
      throw new Error("no progress of version 1");
    }
    const cards = {};
    for (const [id, { box, due, last, seen, missed }] of Object.entries(read.cards)) {
      if (![box, seen, missed].every(isCount) || box >= WAIT.length || ![due, last].every(Number.isFinite)) {
        throw new Error(`card ${id} is damaged`);
      }
      cards[id] = { box, due, last, seen, missed };
    }
    return { version: 1, cards };
  };

  /* Both together: of a card that is in both, what was asked last counts. */
  const merge = (mine, other) => {
    const cards = { ...mine.cards };
    for (const [id, card] of Object.entries(other.cards)) {
      if (!cards[id] || cards[id].last < card.last) cards[id] = card;
    }
    return { version: 1, cards };
  };

  root.leitner = { DAY, WAIT, GAP, empty, grade, next, count, parse, merge };
})(globalThis);
