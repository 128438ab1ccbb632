// The page of `rlm-jupyter serve`. All that comes from models and data is set as text, never as HTML.
"use strict";

const byId = (id) => document.getElementById(id);
const MOST_BYTES = 16_000_000;
let run = null;
let events = null;

async function request(path, options = {}) {
  const response = await fetch(path, { credentials: "same-origin", ...options });
  const told = await response.json();
  if (!response.ok) throw new Error(told.error?.message ?? response.statusText);
  return told;
}

function status(words, failed = false) {
  byId("status").textContent = words;
  byId("status").classList.toggle("failed", failed);
}

async function showSources() {
  const { sources } = await request("sources");
  const box = byId("sources");
  for (const source of sources) {
    const label = document.createElement("label");
    const tick = document.createElement("input");
    tick.type = "checkbox";
    tick.name = "source";
    tick.value = source.name;
    tick.checked = sources.length === 1;
    label.append(tick, ` ${source.name} (${source.kind}${source.bytes === null ? "" : `, ${source.bytes.toLocaleString("en")} bytes`})`);
    box.append(label);
  }
  if (!sources.length) box.append("The server shares none: choose files of your own.");
}

function base64(buffer) {
  const bytes = new Uint8Array(buffer);
  let text = "";
  for (let at = 0; at < bytes.length; at += 32768) text += String.fromCharCode(...bytes.subarray(at, at + 32768));
  return btoa(text);
}

async function chosenFiles() {
  const files = [...byId("files").files];
  if (files.reduce((sum, file) => sum + file.size, 0) > MOST_BYTES)
    throw new Error("The files are larger than 16 MB: name them on the server's command line.");
  const read = files.map(async (file) => [file.name, base64(await file.arrayBuffer())]);
  return Object.fromEntries(await Promise.all(read));
}

function words(value) {
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

function amount(number, what) {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}

function spent(told) {
  const cost = told.cost_usd === null ? "" : `, $${told.cost_usd.toFixed(4)}`;
  return `${told.status}: ${amount(told.agents, "agent")}, ${amount(told.completions, "completion")}${cost}`;
}

function follow(id) {
  events?.close();
  events = new EventSource(`runs/${id}/events`);
  events.addEventListener("progress", (event) => {
    const told = JSON.parse(event.data);
    byId("tree").textContent = told.tree;
    status(spent(told));
  });
  const end = (event) => {
    if (!event.data) return; // the connection broke; the browser goes on after the last event
    events.close();
    const told = JSON.parse(event.data);
    byId("stop").disabled = true;
    status(told.error === null ? spent(told) : told.error, told.error !== null);
    byId("answer").hidden = told.answer === null;
    byId("answer").textContent = words(told.answer) + (told.whole === false ? "\n… (the beginning)" : "");
    byId("page").href = `runs/${id}/page`;
    byId("whole").hidden = false;
  };
  events.addEventListener("answer", end);
  events.addEventListener("error", end);
}

byId("ask").addEventListener("submit", async (event) => {
  event.preventDefault();
  byId("answer").hidden = true;
  byId("whole").hidden = true;
  byId("tree").textContent = "";
  status("Asking …");
  try {
    const sources = [...document.querySelectorAll("[name=source]:checked")].map((tick) => tick.value);
    const asked = { question: byId("question").value, sources, files: await chosenFiles() };
    run = (await request("runs", { method: "POST", body: JSON.stringify(asked) })).run;
    byId("stop").disabled = false;
    follow(run);
  } catch (error) {
    status(error.message, true);
  }
});

byId("stop").addEventListener("click", () => {
  if (run !== null) request(`runs/${run}/stop`, { method: "POST" }).catch((error) => status(error.message, true));
});

showSources().catch((error) => status(error.message, true));
