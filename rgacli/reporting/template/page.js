"use strict";
// Draws the images behind the numbers: the objects, and beside them what each head found.
const data = JSON.parse(document.getElementById("data").textContent);

function element(name, attributes, ...children) {
  const svg = ["svg", "rect", "image", "title"].includes(name);
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function box([x, y, width, height, category], look, told) {
  return element("rect", { x, y, width, height, class: look }, element("title", {}, data.classes[category] + told));
}

function panel(image, heading, boxes) {
  const picture = element("image", { href: image.source, width: image.width, height: image.height, preserveAspectRatio: "none" });
  const view = { viewBox: `0 0 ${image.width} ${image.height}`, role: "img", "aria-label": `${image.name}, ${heading}` };
  return element("div", {}, heading, element("svg", view, picture, ...boxes));
}

// asked: {head, error} of the cell that led here, whose errors stand out.
function shown(key, asked, note, marked) {
  const image = data.images[key];
  const panels = data.heads.map((head, index) => {
    const here = asked !== null && asked.head === head;
    const missed = image.objects.filter((object) => object[5].includes(index));
    const rects = image.found[index].map((found) => {
      const [score, error] = found.slice(5);
      const look = (error ? "error" : "right") + (here ? (asked.error === error ? " asked" : " faint") : "");
      return box(found, look, ` ${score.toFixed(2)}` + (error ? `: ${data.errors[error]}` : ""));
    });
    const look = here && asked.error === "Miss" ? "missed asked" : "missed";
    return panel(image, head, [...rects.reverse(), ...missed.map((object) => box(object, look, ", missed"))]);
  });
  const objects = image.objects.map((object) => box(object, "object", ""));
  const number = objects.length;
  for (const [x, y, width, height] of marked) objects.push(element("rect", { x, y, width, height, class: "marked" }));
  const line = [image.name, note].filter(Boolean).join(" · ");
  return [element("header", {}, line), element("div", { class: "panels" }, panel(image, `ground truth: ${number}`, objects), ...panels)];
}

function key() {
  const parts = { object: "object", right: "right", error: "error", missed: "object that the head misses", marked: "to check" };
  return element("p", { class: "key" }, ...Object.entries(parts).flatMap(([look, text]) => [element("i", { class: look }), text]));
}

for (const place of document.querySelectorAll("[data-image]")) {
  const { image, note, marked } = place.dataset;
  place.append(...shown(image, null, note, JSON.parse(marked)));
}
document.querySelector("#images h2").after(key());

const behind = document.getElementById("behind");
function open_cell() {
  if (!location.hash.startsWith("#cell=")) return behind.close();
  const name = decodeURIComponent(location.hash.slice(6));
  const images = data.cells[name];
  if (!images) return;
  const [bin, head, error] = name.split("|");
  document.getElementById("behind-title").textContent = `${head}, ${bin} objects: ${data.errors[error]}`;
  document.getElementById("behind-text").textContent = images.length === 1 ? "One image is shown." : `The ${images.length} images with the most, worst first.`;
  const list = images.map(([image, number]) => element("div", { class: "image" }, ...shown(image, { head, error }, `${number} such`, [])));
  document.getElementById("behind-images").replaceChildren(key(), ...list);
  if (!behind.open) behind.showModal();
  behind.scrollTop = 0;
}
window.addEventListener("hashchange", open_cell);
behind.addEventListener("close", () => { if (location.hash.startsWith("#cell=")) history.replaceState(null, "", "#images"); });
open_cell();
window.addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((details) => { details.open = true; }));
