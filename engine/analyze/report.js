"use strict";
(() => {
  const all = (what, within = document) => Array.from(within.querySelectorAll(what));
  const shown = (v) => (v === null || v === undefined ? "–" : Number(v.toPrecision(4)).toLocaleString("en"));

  // The value under the pointer, on every chart.
  const left = 58, right = 12, width = 420;
  for (const svg of all("svg[data-chart]")) {
    const data = JSON.parse(svg.dataset.chart), names = svg.dataset.names.split("|");
    const tip = document.createElement("div");
    tip.className = "tip";
    tip.hidden = true;
    svg.parentNode.append(tip);
    const cross = document.createElementNS(svg.namespaceURI, "path");
    cross.setAttribute("class", "cross");
    svg.append(cross);
    const hide = () => { tip.hidden = true; cross.setAttribute("d", ""); };
    svg.addEventListener("pointerleave", hide);
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect(), unit = box.width / width;
      const [low, high] = data.x, span = width - left - right;
      const wanted = low + ((event.clientX - box.left) / unit - left) / span * (high - low);
      let at = null;
      for (const curve of data.curves)
        curve.x.forEach((x, i) => {
          if (curve.y[i] !== null && (at === null || Math.abs(x - wanted) < Math.abs(at - wanted))) at = x;
        });
      if (at === null) return hide();
      const lines = [svg.dataset.x + ": " + shown(at)];
      data.curves.forEach((curve, c) => {
        const i = curve.x.indexOf(at);
        if (i >= 0 && curve.y[i] !== null) lines.push(names[c] + ": " + shown(curve.y[i]));
      });
      tip.replaceChildren(...lines.flatMap((line, i) => (i ? [document.createElement("br"), line] : [line])));
      tip.hidden = false;
      const x = left + (at - low) / (high - low) * span, half = tip.offsetWidth / 2;
      tip.style.left = Math.min(Math.max(x * unit, half), box.width - half) + "px";
      cross.setAttribute("d", "M" + x + " 12V206");
    });
  }

  // One picture that moves along a series.
  for (const player of all(".player")) {
    const pictures = all("[id^='" + player.dataset.series + "-'] .surface").map((img) => img.src);
    const img = player.querySelector("img"), slider = player.querySelector("input"), button = player.querySelector("button");
    let timer = 0, step = 1;
    const show = () => { img.src = pictures[slider.value - 1]; };
    slider.addEventListener("input", show);
    button.addEventListener("click", () => {
      if (timer) { clearInterval(timer); timer = 0; button.textContent = "Play"; return; }
      button.textContent = "Pause";
      timer = setInterval(() => {
        if (Number(slider.value) + step < 1 || Number(slider.value) + step > pictures.length) step = -step;
        slider.value = Number(slider.value) + step;
        show();
      }, 180);
    });
    show();
    player.hidden = false;
  }

  // A volume's picture beside the plane while its mark is pointed at.
  const preview = document.querySelector(".preview");
  for (const mark of all("[data-volume]")) {
    const card = document.getElementById(mark.dataset.volume);
    if (!card) continue;
    const on = () => {
      card.classList.add("lit");
      if (!preview) return;
      preview.querySelector("img").src = card.querySelector("img").src;
      const caption = card.querySelector("figcaption");
      preview.querySelector("figcaption").textContent = caption ? caption.textContent : "";
      preview.hidden = false;
    };
    const off = () => card.classList.remove("lit");
    for (const kind of ["pointerenter", "focus"]) mark.addEventListener(kind, on);
    for (const kind of ["pointerleave", "blur"]) mark.addEventListener(kind, off);
  }

  // Images to choose: clusters, and what a line is drawn around.
  const places = document.getElementById("places");
  if (!places || !document.getElementById("labels")) for (const button of all(".chips button")) button.disabled = true;
  if (!places) return;
  const images = Number(places.dataset.images), cells = Number(places.dataset.cells);
  const labels = document.getElementById("labels"), output = document.getElementById("chosen");
  const save = document.getElementById("save"), clear = document.getElementById("clear");
  const clusters = new Set();
  let chosen = [], lasso = null;
  const unpacked = async (element) => {
    const bytes = Uint8Array.from(atob(element.textContent), (c) => c.charCodeAt(0));
    return new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).arrayBuffer());
  };
  let cellsRead = null, labelsRead = null;
  const inside = (polygon, x, y) => {
    let odd = false;
    for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i++) {
      const [xi, yi] = polygon[i], [xj, yj] = polygon[j];
      if (yi > y !== yj > y && x < (xj - xi) * (y - yi) / (yj - yi) + xi) odd = !odd;
    }
    return odd;
  };
  const choose = async () => {
    chosen = [];
    if (lasso) {
      cellsRead = cellsRead || await unpacked(places);
      const taken = new Uint8Array(cells * cells);
      for (let row = 0; row < cells; ++row)
        for (let column = 0; column < cells; ++column)
          taken[row * cells + column] = inside(lasso, (column + .5) / cells, (row + .5) / cells) ? 1 : 0;
      for (let i = 0; i < images; ++i) if (taken[cellsRead[images + i] * cells + cellsRead[i]]) chosen.push(i);
    } else if (clusters.size && labels) {
      labelsRead = labelsRead || await unpacked(labels);
      for (let i = 0; i < images; ++i) if (clusters.has(labelsRead[i])) chosen.push(i);
    }
    const part = (100 * chosen.length / images).toPrecision(3);
    output.textContent = chosen.length ? chosen.length.toLocaleString("en") + " images are chosen (" + Number(part) + " %)." : "No images are chosen.";
    save.disabled = clear.disabled = !chosen.length;
    document.documentElement.dataset.chosen = chosen.length;
  };
  const marks = () => {
    for (const one of all("[data-cluster]")) {
      const on = clusters.has(Number(one.dataset.cluster));
      if (one.tagName === "BUTTON") one.setAttribute("aria-pressed", on);
      else one.classList.toggle("on", on);
    }
  };
  const svg = document.querySelector("svg[data-plane]");
  const shape = document.createElementNS(svg.namespaceURI, "path");
  shape.setAttribute("class", "lasso");
  svg.append(shape);
  const forget = () => { lasso = null; shape.setAttribute("d", ""); };
  for (const one of all("[data-cluster]")) {
    const toggle = () => {
      if (!labels) return;
      const k = Number(one.dataset.cluster);
      if (!clusters.delete(k)) clusters.add(k);
      forget();
      marks();
      choose();
    };
    one.addEventListener("click", toggle);
    if (one.tagName !== "BUTTON") one.addEventListener("keydown", (e) => { if (e.key === "Enter" || e.key === " ") { e.preventDefault(); toggle(); } });
  }
  clear.addEventListener("click", () => { clusters.clear(); forget(); marks(); choose(); });
  const frame = svg.querySelector(".frame");
  const at = (event) => {
    const box = frame.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  };
  const draw = () => {
    const x0 = frame.x.baseVal.value, y0 = frame.y.baseVal.value, side = frame.width.baseVal.value;
    shape.setAttribute("d", lasso.map(([x, y], i) => (i ? "L" : "M") + (x0 + x * side).toFixed(1) + " " + (y0 + y * side).toFixed(1)).join("") + "Z");
  };
  let drawing = false;
  svg.addEventListener("pointerdown", (event) => {
    if (event.button || event.target.closest(".centre, .sample")) return;
    drawing = true;
    lasso = [at(event)];
    svg.setPointerCapture(event.pointerId);
  });
  svg.addEventListener("pointermove", (event) => { if (drawing) { lasso.push(at(event)); draw(); } });
  const end = () => {
    if (!drawing) return;
    drawing = false;
    if (lasso.length < 4) forget();
    else { clusters.clear(); marks(); }
    choose();
  };
  svg.addEventListener("pointerup", end);
  svg.addEventListener("pointercancel", end);
  save.addEventListener("click", () => {
    const name = document.querySelector("h1").textContent;
    const text = "# " + chosen.length + " images of " + name.replace(/[\r\n]/g, " ") + ": rows of the particle file, from 1\n" +
      chosen.map((i) => i + 1).join("\n") + "\n";
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], {type: "text/plain"}));
    link.download = "selection.txt";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });
})();
