// Steps through the images of a series: slider, arrow keys, mouse wheel. Without this script the first image is shown and
// the table links to all others.
"use strict";

// A picture that cannot be had leaves a dark place rather than a browser's broken one.
document.addEventListener("error", (event) => {
  if (event.target instanceof HTMLImageElement) event.target.classList.add("missing");
}, true);
document.addEventListener("load", (event) => {
  if (event.target instanceof HTMLImageElement) event.target.classList.remove("missing");
}, true);
for (const image of document.images) {
  if (image.complete && image.naturalWidth === 0) image.classList.add("missing");
}

(() => {
  const viewer = document.getElementById("viewer");
  if (!viewer) return;
  const image = viewer.querySelector("img");
  const caption = viewer.querySelector("figcaption");

  const steps = [];
  for (const row of document.querySelectorAll("tr[data-rendered]")) {
    const base = row.dataset.rendered;
    const frames = Math.min(Math.max(parseInt(row.dataset.frames, 10) || 1, 1), 100000);
    for (let frame = 1; frame <= frames; frame++) {
      const path = frames === 1 ? base : `${base}/frames/${frame}`;
      steps.push({ url: `${path}/rendered?viewport=1024,1024`, row, frame, frames });
    }
  }
  if (steps.length < 2) return;

  const slider = document.createElement("input");
  slider.type = "range";
  slider.min = "0";
  slider.max = String(steps.length - 1);
  slider.setAttribute("aria-label", "Image");
  image.after(slider);

  let at = Math.floor(steps.length / 2);
  let wanted = at;
  let loading = false;
  let marked = null;

  // Only one picture is under way at a time: dragging asks for the latest, not for all that were passed.
  function load() {
    if (loading || wanted === at) return;
    loading = true;
    const target = wanted;
    const next = new Image();
    next.decoding = "async";
    const finish = (shown) => {
      loading = false;
      at = target;
      if (shown) image.src = next.src;
      describe(shown);
      load();
      const ahead = steps[target + 1];
      if (shown && ahead && wanted === at) new Image().src = ahead.url;
    };
    next.onload = () => finish(true);
    next.onerror = () => finish(false);
    next.src = steps[target].url;
  }

  function describe(shown) {
    const step = steps[at];
    const frame = step.frames > 1 ? `, frame ${step.frame} of ${step.frames}` : "";
    const trouble = shown ? "" : " cannot be rendered";
    caption.textContent = `${at + 1} of ${steps.length}${frame}${trouble}`;
    slider.setAttribute("aria-valuetext", caption.textContent);
    if (marked) marked.classList.remove("shown");
    marked = step.row;
    marked.classList.add("shown");
  }

  function go(index) {
    wanted = Math.min(Math.max(index, 0), steps.length - 1);
    slider.value = String(wanted);
    load();
  }

  slider.addEventListener("input", () => go(Number(slider.value)));
  let turned = 0;
  viewer.addEventListener("wheel", (event) => {
    event.preventDefault();
    turned += event.deltaY;
    if (Math.abs(turned) < 20) return;
    go(wanted + Math.sign(turned));
    turned = 0;
  }, { passive: false });
  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest("input, a, button")) return;
    const move = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1 }[event.key];
    if (move === undefined) return;
    event.preventDefault();
    go(wanted + move);
  });

  at = -1;
  go(Math.floor(steps.length / 2));
})();
