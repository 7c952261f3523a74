/* Paths from data to noise and back, as in genimg_lib/diffusion.py, for points whose best guess is known exactly. */
(() => {
  const logSignal = (t) => -0.05 * t - 4.975 * t * t;
  const PATHS = {
    linear: { alpha: (t) => 1 - t, sigma: (t) => t, dAlpha: () => -1, dSigma: () => 1 },
    cosine: {
      alpha: (t) => Math.cos((Math.PI / 2) * t), sigma: (t) => Math.sin((Math.PI / 2) * t),
      dAlpha: (t) => (-Math.PI / 2) * Math.sin((Math.PI / 2) * t), dSigma: (t) => (Math.PI / 2) * Math.cos((Math.PI / 2) * t),
    },
    ddpm: {
      alpha: (t) => Math.exp(logSignal(t)),
      sigma: (t) => Math.sqrt(-Math.expm1(2 * logSignal(t))),
      dAlpha: (t) => -(0.05 + 9.95 * t) * Math.exp(logSignal(t)),
      dSigma: (t) => ((0.05 + 9.95 * t) * Math.exp(2 * logSignal(t))) / Math.sqrt(-Math.expm1(2 * logSignal(t))),
    },
  };

  /* The mean of the data behind x_t, for data made of clouds N(centre_k, s² I) that are equally likely:
     a soft choice among the clouds, and in each the regression of x0 on x_t. Exact: no network is needed.
     centres: [[x, y], ...]; x: [x, y]; returns [x, y]. */
  const posteriorMean = (path, centres, s, x, t) => {
    const [a, spread] = [path.alpha(t), (path.alpha(t) * s) ** 2 + path.sigma(t) ** 2];
    const logs = centres.map(([cx, cy]) => -((x[0] - a * cx) ** 2 + (x[1] - a * cy) ** 2) / (2 * spread));
    const top = Math.max(...logs);
    let [total, mx, my] = [0, 0, 0];
    centres.forEach(([cx, cy], k) => {
      const weight = Math.exp(logs[k] - top);
      const gain = (a * s * s) / spread;
      total += weight;
      mx += weight * (cx + gain * (x[0] - a * cx));
      my += weight * (cy + gain * (x[1] - a * cy));
    });
    return [mx / total, my / total];
  };

  const velocity = (path, x, x0, t) => x.map((value, i) => {
    const eps = (value - path.alpha(t) * x0[i]) / path.sigma(t);
    return path.dAlpha(t) * x0[i] + path.dSigma(t) * eps;
  });

  const ddim = (path, predict, x, t, s) => {
    const x0 = predict(x, t);
    return x.map((value, i) => path.alpha(s) * x0[i] + (path.sigma(s) * (value - path.alpha(t) * x0[i])) / path.sigma(t));
  };

  /* One call is ddim's, two calls are the mean of the velocities at both ends; the last step has no noise to divide by. */
  const heun = (path, predict, x, t, s) => {
    if (s === 0) return ddim(path, predict, x, t, s);
    const [v, h] = [velocity(path, x, predict(x, t), t), s - t];
    const there = x.map((value, i) => value + h * v[i]);
    const w = velocity(path, there, predict(there, s), s);
    return x.map((value, i) => value + (h * (v[i] + w[i])) / 2);
  };

  /* A part of the noise is swapped for fresh noise (Ho et al. 2020, alg. 2). */
  const ancestral = (path, predict, x, t, s, random) => {
    const x0 = predict(x, t);
    const ratio = path.alpha(t) / path.alpha(s);
    const fresh = s === 0 ? 0 : (path.sigma(s) / path.sigma(t)) * Math.sqrt(Math.max(0, path.sigma(t) ** 2 - (ratio * path.sigma(s)) ** 2));
    const kept = Math.sqrt(Math.max(0, path.sigma(s) ** 2 - fresh ** 2));
    return x.map((value, i) => path.alpha(s) * x0[i] + (kept * (value - path.alpha(t) * x0[i])) / path.sigma(t) + fresh * random.normal());
  };

  /* Away from the guess without the wish, through the one with it, and w times as far. */
  const guided = (free, wish, w) => (x, t) => {
    const [a, b] = [free(x, t), wish(x, t)];
    return a.map((value, i) => value + w * (b[i] - value));
  };

  /* Every station from noise at t = 1 to a sample at t = 0: steps + 1 points. */
  const journey = (path, predict, x1, steps, step, random) => {
    const stations = [x1];
    for (let k = 0; k < steps; k += 1) stations.push(step(path, predict, stations[k], 1 - k / steps, (steps - k - 1) / steps, random));
    return stations;
  };

  genimgDemos.parts.paths = { PATHS, posteriorMean, velocity, journey, guided, steps: { ddim, heun, ancestral } };
})();
