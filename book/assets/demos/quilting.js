/* Image quilting (Efros & Freeman 2001), one block at a time, as in genimg_lib/texture.py. Pictures: {width, height,
   data: Float32Array of width × height × channels, channels} with channels side by side. */
(() => {
  /* The cheapest top-to-bottom path through errors (height rows of width): a column for each row. */
  const seam = (errors, width, height) => {
    const cost = Float64Array.from(errors);
    for (let i = 1; i < height; i += 1) {
      for (let j = 0; j < width; j += 1) {
        let best = cost[(i - 1) * width + j];
        if (j > 0) best = Math.min(best, cost[(i - 1) * width + j - 1]);
        if (j + 1 < width) best = Math.min(best, cost[(i - 1) * width + j + 1]);
        cost[i * width + j] += best;
      }
    }
    const path = new Array(height);
    for (let i = height - 1; i >= 0; i -= 1) {
      const [from, to] = i === height - 1 ? [0, width - 1] : [Math.max(0, path[i + 1] - 1), Math.min(width - 1, path[i + 1] + 1)];
      path[i] = from;
      for (let j = from; j <= to; j += 1) if (cost[i * width + j] < cost[i * width + path[i]]) path[i] = j;
    }
    return path;
  };

  /* Squared distance of what lies on the canvas at (top, left) to every patch of the source, where mask(i, j). */
  const distances = (source, canvas, top, left, block, mask) => {
    const [rows, columns, c] = [source.height - block + 1, source.width - block + 1, source.channels];
    const sums = new Float64Array(rows * columns);
    for (let i = 0; i < block; i += 1) {
      for (let j = 0; j < block; j += 1) {
        if (!mask(i, j)) continue;
        for (let k = 0; k < c; k += 1) {
          const there = canvas.data[((top + i) * canvas.width + left + j) * c + k];
          for (let y = 0; y < rows; y += 1) {
            const row = ((y + i) * source.width + j) * c + k;
            const out = y * columns;
            for (let x = 0; x < columns; x += 1) {
              const gap = source.data[row + x * c] - there;
              sums[out + x] += gap * gap;
            }
          }
        }
      }
    }
    return { sums, rows, columns };
  };

  class Quilt {
    /* join: "seam", "overlap" or "random". tolerance: how much worse than the best a patch may be. */
    constructor(source, { size, block, overlap, join, tolerance, random }) {
      const step = block - overlap;
      const across = Math.max(1, Math.ceil((size - overlap) / step));
      Object.assign(this, { source, block, overlap, join, tolerance, random, step, across, at: 0, placed: [] });
      const side = across * step + overlap;
      this.canvas = { width: side, height: side, channels: source.channels, data: new Float32Array(side * side * source.channels).fill(NaN) };
    }

    get done() {
      return this.at === this.across ** 2;
    }

    /* Lays the next block; returns what was decided, for the picture. */
    lay() {
      const { source, canvas, block, overlap, across, step } = this;
      const [row, col] = [Math.floor(this.at / across), this.at % across];
      const [top, left, c] = [row * step, col * step, source.channels];
      const mask = (i, j) => (col > 0 && j < overlap) || (row > 0 && i < overlap);
      const { sums, columns } = this.join === "random" || this.at === 0
        ? { sums: new Float64Array((source.height - block + 1) * (source.width - block + 1)), columns: source.width - block + 1 }
        : distances(source, canvas, top, left, block, mask);
      if (this.tolerance > 0) this.forbid(sums, columns, row, col);
      const [i0, j0] = this.choose(sums, columns);
      const error = new Float64Array(block * block);
      const pixel = (i, j, k) => source.data[((i0 + i) * source.width + j0 + j) * c + k];
      for (let i = 0; i < block; i += 1) {
        for (let j = 0; j < block; j += 1) {
          if (mask(i, j)) for (let k = 0; k < c; k += 1) error[i * block + j] += (pixel(i, j, k) - canvas.data[((top + i) * canvas.width + left + j) * c + k]) ** 2;
        }
      }
      const cuts = { left: null, top: null };
      if (this.join === "seam" && col > 0) {
        cuts.left = seam(Float64Array.from({ length: block * overlap }, (_, n) => error[Math.floor(n / overlap) * block + (n % overlap)]), overlap, block);
      }
      if (this.join === "seam" && row > 0) {
        cuts.top = seam(Float64Array.from({ length: block * overlap }, (_, n) => error[(n % overlap) * block + Math.floor(n / overlap)]), overlap, block);
      }
      for (let i = 0; i < block; i += 1) {
        for (let j = 0; j < block; j += 1) {
          if ((cuts.left && j < cuts.left[i]) || (cuts.top && i < cuts.top[j])) continue;
          for (let k = 0; k < c; k += 1) canvas.data[((top + i) * canvas.width + left + j) * c + k] = pixel(i, j, k);
        }
      }
      this.placed.push([i0, j0]);
      this.at += 1;
      this.last = { top, left, from: [i0, j0], cuts };
      return this.last;
    }

    /* Nothing fits a piece better than what followed it in the source: without this the quilt would be a copy. */
    forbid(sums, columns, row, col) {
      const rows = sums.length / columns;
      const follows = [];
      if (col > 0) follows.push([this.placed[this.at - 1][0], this.placed[this.at - 1][1] + this.step]);
      if (row > 0) follows.push([this.placed[this.at - this.across][0] + this.step, this.placed[this.at - this.across][1]]);
      const free = sums.slice();
      for (const [y, x] of follows) {
        for (let i = Math.max(y - 2, 0); i <= Math.min(y + 2, rows - 1); i += 1) {
          for (let j = Math.max(x - 2, 0); j <= Math.min(x + 2, columns - 1); j += 1) free[i * columns + j] = Infinity;
        }
      }
      if (free.some(Number.isFinite)) sums.set(free);
    }

    choose(sums, columns) {
      const best = sums.reduce((a, b) => Math.min(a, b), Infinity);
      const good = [];
      sums.forEach((value, n) => { if (value <= (1 + this.tolerance) * best + 1e-9) good.push(n); });
      const n = good[Math.floor(this.random.uniform() * good.length)];
      return [Math.floor(n / columns), n % columns];
    }
  }

  genimgDemos.parts.quilting = { seam, distances, Quilt };
})();
