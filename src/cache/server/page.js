
"use strict";
// Every text that comes from the cache is set as text, never as markup.

const main = document.getElementById("main");
const query = document.getElementById("query");
let turn = 0;

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  for (const child of children.flat()) if (child !== null && child !== undefined) element.append(child);
  return element;
}

const count = (number) => number.toLocaleString("en");
const plural = (number, one, many) => `${count(number)} ${number === 1 ? one : many}`;

function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (bytes >= 1024 && unit + 1 < units.length) { bytes /= 1024; unit += 1; }
  return unit === 0 ? `${bytes} B` : `${bytes.toFixed(1)} ${units[unit]}`;
}

function duration(ms) {
  if (ms < 1000) return `${ms} ms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  return `${Math.floor(seconds / 60)} min ${String(Math.floor(seconds % 60)).padStart(2, "0")} s`;
}

const date = (ms) => new Date(ms).toISOString().replace("T", " ").slice(0, 16) + " UTC";
const object = (digest, text) => make("a", { href: `#/object/${encodeURIComponent(digest)}` }, text);
const digestOf = (path) => path.split("/").pop().slice(0, 32);
const nameOf = (path) => path.split("/").pop().slice(33);
const signers = (names) => names.length ? names.map((name) => make("span", { class: "tag" }, name)) : [make("span", { class: "quiet" }, "nobody")];

async function ask(what, parameters) {
  const target = `/kiln/view/${what}${parameters ? "?" + new URLSearchParams(parameters) : ""}`;
  const response = await fetch(target, { credentials: "same-origin" });
  if (response.status === 404) throw new Error("That is not in this cache.");
  if (!response.ok) throw new Error(`The server answered ${response.status}.`);
  return response.json();
}

function table(columns, rows, row) {
  const head = columns.map(([name, kind]) => make("th", { class: kind || "", scope: "col" }, name));
  return make("div", { class: "panel" }, make("table", {}, make("thead", {}, make("tr", {}, head)), make("tbody", {}, rows.map(row))));
}

function nameCell(row) {
  if (row.missing) return make("td", { class: "name" }, make("span", { class: "tag bad" }, "not here"), make("span", { class: "mono" }, row.digest));
  return make("td", { class: "name" }, object(row.digest, row.name), make("span", { class: "mono" }, row.digest));
}

function objectTable(rows, total) {
  const largest = Math.max(1, ...rows.map((row) => row.nar_size || 0));
  const known = (row, cell) => row.missing ? "" : cell(row);
  const view = table([["Name"], ["Size", "number"], ["Packed", "number wide"], ["References", "number wide"], ["Referrers", "number"]], rows, (row) => make("tr", {},
    nameCell(row),
    make("td", { class: "number" }, known(row, (row) => size(row.nar_size)), row.missing ? null : make("progress", { class: "bar", max: largest, value: row.nar_size, "aria-hidden": "true" })),
    make("td", { class: "number wide" }, known(row, (row) => size(row.packed_size))),
    make("td", { class: "number wide" }, known(row, (row) => count(row.references))),
    make("td", { class: "number" }, known(row, (row) => count(row.referrers)))));
  const more = total > rows.length ? make("p", { class: "quiet" }, `The first ${count(rows.length)} of ${count(total)}.`) : null;
  return [view, more];
}

function pager(found, address) {
  if (found.pages < 2) return null;
  const link = (page, text, rel) => page < 1 || page > found.pages ? make("span", { class: "quiet" }, text) : make("a", { href: address(page), rel }, text);
  return make("div", { class: "pager", role: "navigation", "aria-label": "Pages" }, link(found.page - 1, "← Previous", "prev"),
    make("span", { class: "quiet" }, `Page ${count(found.page)} of ${count(found.pages)}`), link(found.page + 1, "Next →", "next"));
}

const card = (value, label) => make("div", { class: "card" }, make("b", {}, value), make("span", {}, label));
const facts = (rows) => make("div", { class: "panel" }, make("dl", {}, rows.filter(([, value]) => value !== null && value !== undefined)
  .flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)])));
const heading = (text, note) => make("h2", {}, text, note ? make("small", {}, ` ${note}`) : null);
const none = (text) => make("p", { class: "quiet" }, text);

async function home() {
  const [summary, newest, largest] = await Promise.all([ask("summary"), ask("objects", { sort: "new" }), ask("objects", { sort: "size" })]);
  state(summary);
  const people = summary.signers.length
    ? table([["Key"], ["Objects", "number"], ["Builds", "number"]], summary.signers, (signer) => make("tr", {},
      make("td", { class: "name" }, make("a", { href: address("", { signer: signer.name }) }, signer.name)),
      make("td", { class: "number" }, count(signer.objects)), make("td", { class: "number" }, count(signer.builds))))
    : none("Nobody has signed anything here.");
  return ["Overview", [
    make("h1", {}, "What is in this cache"),
    make("p", { class: "quiet" }, "Objects of ", make("code", {}, summary.store_dir), ", in the format of Nix's binary cache."),
    make("div", { class: "cards" }, card(count(summary.objects), "objects"), card(size(summary.nar_size), "unpacked"), card(size(summary.packed_size), "packed"),
      card(count(summary.builds), "builds"), card(count(summary.records), "records"), card(count(summary.logs), "logs")),
    heading("Signers"), people,
    heading("Newest"), newest.rows.length ? objectTable(newest.rows.slice(0, 8)) : none("Nothing yet."),
    heading("Largest"), largest.rows.length ? objectTable(largest.rows.slice(0, 8)) : none("Nothing yet."),
  ]];
}

function address(search, options) {
  const given = Object.entries(options || {}).filter(([, value]) => value && value !== "1" && value !== "name");
  return `#/search/${encodeURIComponent(search)}${given.length ? "?" + new URLSearchParams(given) : ""}`;
}

async function search(text, options) {
  if (document.activeElement !== query) query.value = text;
  const { sort, page, signer } = options;
  const asked = { search: text, sort: sort || "name", page: page || "1" };
  if (signer) asked.signer = signer;
  const found = await ask("objects", asked);
  const orders = [["name", "Name"], ["size", "Size"], ["packed", "Packed size"], ["new", "Newest"], ["referrers", "Referrers"]];
  const select = make("select", { id: "sort", onchange: (event) => { location.hash = address(text, { sort: event.target.value, signer }); } },
    orders.map(([value, label]) => make("option", value === (sort || "name") ? { value, selected: "" } : { value }, label)));
  return [text ? `“${text}”` : "Objects", [
    make("h1", {}, text ? `Objects like “${text}”` : "Objects"),
    make("div", { class: "tools" }, make("span", { class: "quiet grow" }, plural(found.total, "object", "objects"), signer ? ` signed by ${signer}` : "",
      signer ? make("a", { href: address(text, { sort }) }, " (all)") : null), make("label", { for: "sort", class: "quiet" }, "Sort by"), select),
    found.rows.length ? objectTable(found.rows) : none("Nothing of that name is here."),
    pager(found, (page) => address(text, { sort, signer, page: String(page) })),
  ]];
}

async function showObject(digest) {
  const it = await ask(`object/${encodeURIComponent(digest)}`);
  const { closure } = it;
  return [it.name, [
    make("h1", {}, it.name),
    make("code", { class: "quiet" }, it.path),
    make("div", { class: "cards" }, card(size(it.nar_size), "unpacked"), card(size(it.packed_size), "packed"), card(size(closure.nar_size), "closure"),
      card(count(closure.objects), "objects in closure"), card(count(it.referrers.total), "referrers")),
    closure.missing ? make("p", { class: "error" }, `${plural(closure.missing, "object of the closure is", "objects of the closure are")} not here.`) : null,
    facts([
      ["Signed by", signers(it.signers)],
      ["NAR hash", make("code", {}, it.nar_hash)],
      ["Content address", it.ca ? make("code", {}, it.ca) : "none"],
      ["Packed as", make("a", { href: `/${it.url}`, class: "mono" }, `${it.url} (${it.compression})`)],
      ["Described in", make("a", { href: `/${it.digest}.narinfo`, class: "mono" }, `${it.digest}.narinfo`)],
      ["Refers to itself", it.refers_to_itself ? "yes" : null],
      ["Deriver", it.deriver],
      ["Written", date(it.modified * 1000)],
    ]),
    heading("Made by", it.builds.length ? "" : null), it.builds.length ? buildTable(it.builds) : none("No trace here says which build made it."),
    heading("References", count(it.references.total)), it.references.total ? objectTable(it.references.rows, it.references.total) : none("It refers to nothing else."),
    heading("Referrers", count(it.referrers.total)), it.referrers.total ? objectTable(it.referrers.rows, it.referrers.total) : none("Nothing here refers to it."),
    heading("Closure, largest first", `${plural(closure.objects, "object", "objects")}, ${size(closure.nar_size)} unpacked, ${size(closure.packed_size)} packed`),
    objectTable(closure.largest.rows, closure.largest.total),
  ]];
}

function buildTable(rows) {
  return table([["Build"], ["Signed by"], ["Began", "wide"], ["Took", "number"]], rows, (row) => make("tr", {},
    make("td", { class: "name" }, make("a", { href: `#/build/${row.resolved}` }, row.name || "(unnamed)"), make("span", { class: "mono" }, row.resolved.slice(0, 32) + "…")),
    make("td", {}, signers(row.signers), row.agreed ? null : make("span", { class: "tag bad" }, "results differ")),
    make("td", { class: "wide quiet" }, row.started_ms ? date(row.started_ms) : ""),
    make("td", { class: "number" }, row.duration_ms === null ? "" : duration(row.duration_ms))));
}

async function builds(text, options) {
  const page = options.page || "1";
  const found = await ask("builds", { search: text, page });
  const field = make("input", { type: "search", value: text, placeholder: "Name or hash of a build", "aria-label": "Search builds", maxlength: "300",
    onchange: (event) => { location.hash = `#/builds/${encodeURIComponent(event.target.value.trim())}`; } });
  return ["Builds", [
    make("h1", {}, "Builds"),
    make("div", { class: "tools" }, make("span", { class: "quiet grow" }, plural(found.total, "build", "builds")), make("div", {}, field)),
    found.rows.length ? buildTable(found.rows) : none("No build of that name is known here."),
    pager(found, (page) => `#/builds/${encodeURIComponent(text)}?page=${page}`),
  ]];
}

function outputs(named) {
  return Object.entries(named).map(([output, path]) => make("div", {}, make("span", { class: "tag" }, output), object(digestOf(path), nameOf(path))));
}

async function showBuild(resolved) {
  const { build, traces, records, logs } = await ask(`build/${encodeURIComponent(resolved)}`);
  const status = (status) => status === "built" ? make("span", { class: "tag good" }, "built") : make("span", { class: "tag bad" }, `failed: ${status.failed}`);
  const layer = ({ layer, state }) => make("span", { class: state === "active" ? "tag good" : "tag", title: state === "active" ? "" : state.absent }, state === "active" ? layer : `${layer}: absent`);
  return [build.name || "Build", [
    make("h1", {}, build.name || "(unnamed build)"),
    make("code", { class: "quiet" }, build.resolved),
    heading("Traces", "what came of it, by whose word"),
    build.agreed ? null : make("p", { class: "error" }, "The results differ: this build is not reproducible, or somebody is wrong."),
    traces.length ? table([["Signed by"], ["Outputs"], ["Sealed", "wide"], ["System", "wide"]], traces, (trace) => make("tr", {},
      make("td", {}, make("span", { class: "tag" }, trace.signer), trace.trusted ? make("span", { class: "tag good" }, "verified") : null),
      make("td", {}, outputs(trace.outputs)), make("td", { class: "wide" }, trace.level), make("td", { class: "wide" }, trace.system))) : none("There are none."),
    heading("Records", "how it went"),
    records.length ? records.map(({ signer, record }) => facts([
      ["Written by", make("span", { class: "tag" }, signer)],
      ["Ended", status(record.status)],
      ["Began", date(record.started_ms)],
      ["Took", duration(record.duration_ms) + (record.cpu_ms === null ? "" : `, ${duration(record.cpu_ms)} of processor time`)],
      ["Peak memory", record.peak_kib === null ? null : size(record.peak_kib * 1024)],
      ["Machine", Object.entries(record.machine).map(([name, value]) => make("span", { class: "tag" }, `${name} ${value}`))],
      ["Sandbox", make("span", {}, `${record.level} `, record.layers.map(layer))],
      ["Declared at", record.span ? make("code", {}, `${record.span.file}:${record.span.line}`) : null],
      ["Inputs", Object.entries(record.inputs).map(([label, path]) => make("div", {}, make("span", { class: "tag" }, label), object(digestOf(path), nameOf(path))))],
    ])) : none("There are none."),
    heading("Logs"),
    logs.length ? make("p", {}, logs.map((key) => make("a", { class: "button", href: `#/log/${build.resolved}/${encodeURIComponent(key)}` }, `Log of ${key}`))) : none("There are none."),
  ]];
}

async function showLog(resolved, key) {
  const target = `/kiln/view/log/${encodeURIComponent(resolved)}/${encodeURIComponent(key)}`;
  const response = await fetch(target, { credentials: "same-origin" });
  if (!response.ok) throw new Error("That log is not in this cache.");
  // What a page can show; the whole is behind the link.
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let text = "", cut = false;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    text += decoder.decode(value, { stream: true });
    if (text.length > 2000000) { cut = true; reader.cancel(); break; }
  }
  return ["Log", [
    make("h1", {}, `Log of ${key}`),
    make("div", { class: "tools" }, make("a", { href: `#/build/${encodeURIComponent(resolved)}` }, "← the build"), make("span", { class: "grow" }), make("a", { href: target }, "as plain text")),
    make("pre", { tabindex: "0" }, text || "(empty)"),
    cut ? none("This is its beginning.") : null,
  ]];
}

function state(summary) {
  document.getElementById("state").textContent = summary.ready ? `${plural(summary.objects, "object", "objects")} known` : "Still reading the cache: not everything is shown yet.";
}

function section(words) {
  const open = { "": "home", search: "objects", object: "objects", builds: "builds", build: "builds", log: "builds" }[words[0] || ""];
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.section === open) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
  }
}

function choose() {
  const [path, options] = location.hash.replace(/^#\/?/, "").split("?");
  let words;
  try { words = path.split("/").map(decodeURIComponent); } catch { words = [""]; }
  const given = Object.fromEntries(new URLSearchParams(options || ""));
  section(words);
  if (words[0] === "search") return search(words.slice(1).join("/"), given);
  query.value = "";
  if (words[0] === "object") return showObject(words[1] || "");
  if (words[0] === "builds") return builds(words.slice(1).join("/"), given);
  if (words[0] === "build") return showBuild(words[1] || "");
  if (words[0] === "log") return showLog(words[1] || "", words[2] || "");
  return home();
}

async function show() {
  const mine = ++turn;
  main.setAttribute("aria-busy", "true");
  let title, content;
  try { [title, content] = await choose(); } catch (error) { [title, content] = ["Not found", [make("p", { class: "error", role: "alert" }, error.message)]]; }
  // An answer that comes after a later question is nobody's.
  if (mine !== turn) return;
  document.title = `${title} · kiln cache`;
  main.replaceChildren(...content.flat(3).filter((part) => part));
  main.removeAttribute("aria-busy");
  if (document.activeElement !== query) main.focus({ preventScroll: true });
  window.scrollTo(0, 0);
}

let typing;
document.getElementById("find").addEventListener("submit", (event) => {
  event.preventDefault();
  location.hash = address(query.value.trim());
});
query.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => { location.hash = address(query.value.trim()); }, 200);
});
document.addEventListener("keydown", (event) => {
  const writes = ["INPUT", "SELECT", "TEXTAREA"].includes(document.activeElement.tagName);
  if (event.key === "/" && !writes && !event.ctrlKey && !event.metaKey) { event.preventDefault(); query.focus(); query.select(); }
});
window.addEventListener("hashchange", show);
ask("summary").then(state).catch(() => {});
show();
