"use strict";

const SAMPLES = {
  "praise": "A film I will not forget. The story is simple, the actors are superb, "
    + "and the last half hour is the best thing I have seen this year.",
  "scorn": "What a waste of two hours. The plot makes no sense, the acting is awful, "
    + "and even the music gets on your nerves. Avoid.",
  "both": "I wanted to like it. The first half is wonderful and beautifully shot, but "
    + "then it falls apart: a boring chase, a ridiculous ending. Not bad, not good.",
};
const NAMES = { i: "input gate", f: "forget gate", o: "output gate", r: "reset gate",
  z: "update gate", n: "candidate", c: "cell state", h: "hidden state" };
const LEVELS = [0.2, 0.45, 0.75];  // shares of the strongest word, as in the reports
// Cividis for gates, purple to orange for what lies around 0: both for all eyes.
const RISING = ["#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678",
  "#a59c74", "#c3b369", "#e1cc55", "#fee838"];
const AROUND = ["#2d004b", "#542788", "#8073ac", "#b2abd2", "#d8daeb", "#f7f7f7",
  "#fee0b6", "#fdb863", "#e08214", "#b35806", "#7f3b08"];
const WAIT = 250;  // milliseconds without a key, before it is asked

const at = (id) => document.getElementById(id);
const percent = (p) => `${(100 * p).toFixed(1)} %`;
const signed = (x) => (x < 0 ? "\u2212" : "+") + Math.abs(x).toFixed(3);
let found = null;  // the last answer
let asking = null;  // what can still be aborted
let waiting = 0;
let place = -1;  // of the word that is pointed at

function make(tag, attributes = {}, ...inside) {
  const element = document.createElement(tag);
  Object.assign(element, attributes);
  element.append(...inside);
  return element;
}

function draw(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) {
    element.setAttribute(name, value);
  }
  return element;
}

async function ask(text) {
  if (asking) asking.abort();
  asking = new AbortController();
  try {
    const answer = await fetch("explain", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ text }),
      signal: asking.signal,
    });
    const values = await answer.json();
    if (!answer.ok) throw new Error(values.error);
    show(values);
  } catch (error) {
    if (error.name !== "AbortError") complain(error.message);
  }
}

function complain(message) {
  at("problem").textContent = `No answer: ${message}.`;
  at("problem").hidden = false;
  at("result").hidden = true;  // it is of another text
}

function typed() {
  clearTimeout(waiting);
  const text = at("text").value;
  if (!text.trim()) {
    if (asking) asking.abort();
    at("result").hidden = true;
    at("problem").hidden = true;
    return;
  }
  waiting = setTimeout(() => ask(text), WAIT);
}

function show(values) {
  // Places in the text are counted in characters, of which some are two for a script.
  const characters = Array.from(values.text);
  const slice = (start, end) => characters.slice(start, end).join("");
  found = { ...values, slice, read: values.words.filter((word) => word.so_far) };
  place = -1;
  at("problem").hidden = true;
  at("result").hidden = false;
  at("verdict").textContent = `${found.label}, ${percent(found.probability)}`;
  showBars();
  showWords();
  showChart();
  showGates();
  at("readout").textContent = "Point at a word, or move by the arrow keys.";
}

function showBars() {
  const rows = Object.entries(found.probabilities).flatMap(([name, chance]) => {
    const fill = make("span");
    fill.style.width = `${100 * chance}%`;
    return [make("span", {}, name), make("div", { className: "bar" }, fill),
      make("span", {}, percent(chance))];
  });
  at("bars").replaceChildren(...rows);
}

function showWords() {
  const kind = document.querySelector("input[name=effect]:checked").value;
  const isOut = kind === "without";
  const strongest = Math.max(...found.read.map((word) => Math.abs(word[kind])), 1e-9);
  const parts = [];
  let end = 0;
  for (const word of found.words) {
    parts.push(between(found.slice(end, word.start)));
    end = word.end;
    if (word.start === word.end) continue;  // a line break stands between words
    const span = make("span", {}, found.slice(word.start, word.end));
    span.className = word.so_far ? mark(word[kind], strongest) : "unread";
    if (word.so_far) {
      const number = found.read.indexOf(word);
      span.dataset.number = number;
      span.addEventListener("pointerenter", () => point(number));
      span.addEventListener("click", () => point(number));
    }
    parts.push(span);
  }
  at("words").replaceChildren(...parts, between(found.slice(end)));
  showLegend(isOut);
}

function showLegend(isOut) {
  const what = isOut ? "Marked is what the verdict loses when a word is made unknown: "
    : "Marked is what a word adds on the way from a text of unknown words: ";
  at("legend").replaceChildren(
    what, make("span", { className: "p3" }, `for ${found.for}`), ", ",
    make("span", { className: "n3" }, `for ${found.against}`), ".",
  );
  const { sum, total, gap } = found.gradients;
  at("sum").textContent = isOut ? "" : `Together they add ${signed(sum)}; the log-odds `
    + `change by ${signed(total)} (gap ${signed(gap)}).`;
}

function between(text) {
  return text.replace(/((?<!\s)\s+)?(<br\s*\/?>\s*)+/gi, "\n\n");
}

function mark(effect, strongest) {
  const level = LEVELS.filter((share) => Math.abs(effect) >= share * strongest).length;
  return level ? (effect > 0 ? "p" : "n") + level : "";
}

function showChart() {
  const count = found.read.length;
  at("chart-name").textContent = `Probability of ${found.for} up to each word, `
    + "0 to 100 %";
  const chart = at("chart");
  const steps = found.read.map((word, n) => {
    const y = 155 - 150 * word.so_far[found.for];
    return `${n ? "L" : "M"}${(1000 * (n + 0.5)) / count} ${y}`;
  });
  const width = 1000 / Math.max(count, 1);
  chart.replaceChildren(
    draw("rect", { class: "cursor", x: -width, y: 0, width, height: 160 }),
    draw("line", { class: "half", x1: 0, x2: 1000, y1: 80, y2: 80 }),
    draw("path", { class: "line", d: steps.join(" ") }),
  );
}

function showGates() {
  const letters = Object.keys(NAMES).filter((letter) => letter in found.gates);
  const order = unitOrder();
  const strips = letters.map((letter) => strip(letter, orderOf(letter, order)));
  at("gates").replaceChildren(...strips);
}

// The same in every picture: units alike at the last word lie together.
function unitOrder() {
  const bytes = bytesOf(found.gates.h.values);
  const units = found.gates.h.units;
  const last = bytes.subarray(bytes.length - units);
  return [...last.keys()].sort((a, b) => last[a] - last[b]);
}

// Gates of a cell that puts out fewer units than it has are in an order of their own.
function orderOf(letter, order) {
  const { units } = found.gates[letter];
  return units === order.length ? order : Array.from({ length: units }, (_, n) => n);
}

function strip(letter, order) {
  const gate = found.gates[letter];
  const colours = palette("iforz".includes(letter) ? RISING : AROUND);
  const canvas = make("canvas");
  paint(canvas, bytesOf(gate.values), gate.units, order, colours);
  follow(canvas);
  const frame = make("div", { className: "frame" }, canvas,
    make("div", { className: "cursor", hidden: true }));
  const scale = make("canvas", { width: 256, height: 1 });
  scale.setAttribute("aria-hidden", "true");
  paint(scale, Uint8Array.from({ length: 256 }, (_, n) => n), 1, [0], colours);
  const short = (x) => Number(x.toPrecision(2)).toString().replace("-", "\u2212");
  const legend = make("span", { className: "scale" },
    short(gate.low), scale, short(gate.high));
  const name = `${NAMES[letter]} ${letter}`;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `${name}, ${gate.units} units by word`);
  return make("figure", { className: "strip" },
    make("figcaption", {}, make("span", {}, name), legend), frame);
}

function bytesOf(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

function palette(stops) {
  const channel = (colour, n) => parseInt(colour.slice(1 + 2 * n, 3 + 2 * n), 16);
  return Array.from({ length: 256 }, (_, step) => {
    const place = (step / 255) * (stops.length - 1);
    const below = Math.min(Math.floor(place), stops.length - 2);
    return [0, 1, 2].map((n) => channel(stops[below], n) * (below + 1 - place)
      + channel(stops[below + 1], n) * (place - below));
  });
}

// Values come word by word, a byte for each unit; rows of the picture are units.
function paint(canvas, bytes, units, order, colours) {
  const words = bytes.length / units;
  canvas.width = Math.max(words, 1);
  canvas.height = units;
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, units);
  for (let row = 0; row < units; row += 1) {
    for (let word = 0; word < words; word += 1) {
      const colour = colours[bytes[word * units + order[row]]];
      image.data.set([...colour, 255], 4 * (row * canvas.width + word));
    }
  }
  context.putImageData(image, 0, 0);
}

function follow(element) {
  element.addEventListener("pointermove", (event) => {
    if (!found || !found.read.length) return;
    const box = element.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    const last = found.read.length - 1;
    point(Math.min(Math.max(Math.floor(share * (last + 1)), 0), last));
  });
}

function point(number) {
  place = number;
  const word = found.read[number];
  const count = found.read.length;
  document.querySelectorAll(".here").forEach((e) => e.classList.remove("here"));
  const span = document.querySelector(`[data-number="${number}"]`);
  if (span) span.classList.add("here");
  at("readout").replaceChildren(
    make("strong", {}, word.text), word.known ? "" : " (unknown)",
    `: ${found.for} so far ${percent(word.so_far[found.for])}; `
    + `taken out ${signed(word.without)}, adds ${signed(word.gradient)}`,
  );
  at("chart").querySelector(".cursor").setAttribute("x", (1000 * number) / count);
  for (const cursor of document.querySelectorAll(".frame .cursor")) {
    cursor.hidden = false;
    cursor.style.left = `${(100 * number) / count}%`;
    cursor.style.width = `${100 / count}%`;
  }
}

// From word to word with the keys, for those who do not point.
function step(event) {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!by || event.altKey || event.ctrlKey || event.metaKey) return;
  if (!found || !found.read.length) return;
  event.preventDefault();
  const next = place < 0 ? 0 : place + by;
  point(Math.min(Math.max(next, 0), found.read.length - 1));
}

async function start() {
  for (const [name, text] of Object.entries(SAMPLES)) {
    const button = make("button", { type: "button" }, name);
    button.addEventListener("click", () => { at("text").value = text; typed(); });
    at("samples").append(button);
  }
  at("text").addEventListener("input", typed);
  at("form").addEventListener("submit", (event) => event.preventDefault());
  for (const input of document.querySelectorAll("input[name=effect]")) {
    input.addEventListener("change", () => { if (found) showWords(); });
  }
  at("words").addEventListener("keydown", step);
  follow(at("chart"));
  const about = await (await fetch("health")).json();
  const notice = about.notice ? ` (${about.notice})` : "";
  at("model").textContent = `${about.name}, trained on ${about.dataset}${notice}: `
    + about.label_names.join(" or ");
  if (at("text").value) typed();
}

start().catch((error) => complain(error.message));
