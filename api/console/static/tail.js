// The live tail: decisions as they are committed. Whatever they say is put in as text, never as markup.
"use strict";
(() => {
  const MOST = 200;
  const table = document.querySelector("#tail");
  const body = table.querySelector("tbody");
  const state = document.querySelector("#tail-state");
  const button = document.querySelector("#tail-pause");
  const waiting = [];
  let paused = false, seen = 0;

  const cell = (row, text, kind, link) => {
    const made = row.insertCell();
    if (kind) made.className = kind;
    const inner = document.createElement(link ? "a" : "bdi");
    if (link) inner.href = link;
    inner.textContent = text;
    made.append(inner);
  };
  const tame = (text) => String(text).replace(/[\p{Cc}\p{Cs}\p{Co}\p{Cn}\u2028\u2029]|(?![\u200c\u200d])\p{Cf}/gu, "\ufffd");
  const add = (item) => {
    const row = body.insertRow(0);
    row.className = "fresh";
    cell(row, `${item.at.slice(0, 10)}\u00a0${item.at.slice(11, 23)}`, "w", `/console/decisions/${encodeURIComponent(item.decision)}`);
    cell(row, item.kind);
    cell(row, item.verdict, `v ${item.verdict === "accepted" ? "accepted" : "refused"}`);
    cell(row, tame(item.reason));
    cell(row, tame(item.client_key || item.claimed_client_key));
    cell(row, tame(`${item.method} ${item.path}`));
    cell(row, item.status, "n");
    while (body.rows.length > MOST) body.deleteRow(-1);
  };
  const say = (text) => { state.textContent = text; };
  const told = () => say(paused ? `Paused; ${waiting.length} are waiting.` : `Following; ${seen} since this page was opened.`);
  const take = (message) => {
    const item = JSON.parse(message.data);
    seen += 1;
    if (paused) {
      waiting.push(item);
      if (waiting.length > MOST) waiting.shift();
    } else {
      add(item);
    }
    told();
  };
  const source = new EventSource(table.dataset.feed);
  source.addEventListener("accepted", take);
  source.addEventListener("refused", take);
  source.onopen = told;
  source.onerror = () => say(source.readyState === EventSource.CLOSED
    ? "The feed has ended: load the page anew (and log in, if it asks)." : "The feed was cut; trying again.");
  button.hidden = false;
  button.addEventListener("click", () => {
    paused = !paused;
    button.textContent = paused ? "Go on" : "Pause";
    button.setAttribute("aria-pressed", String(paused));
    while (!paused && waiting.length) add(waiting.shift());
    told();
  });
})();
