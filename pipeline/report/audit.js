"use strict";
const main = document.querySelector("main"), name = document.querySelector("#reader");
const left = document.querySelector("#left"), save = document.querySelector("#save");
const cards = [...document.querySelectorAll("article")];
const place = "leafinstruct-audit-" + main.dataset.dataset;

function chosen(card, what) {
  const input = card.querySelector(`input[name="${card.id}-${what}"]:checked`);
  return input ? input.value : null;
}

function answers() {
  const found = {};
  for (const card of cards) {
    const acceptable = chosen(card, "acceptable"), right = chosen(card, "right");
    if (acceptable === null) continue;
    found[card.id] = {acceptable: acceptable === "yes", reason: acceptable === "no" ? card.querySelector("select").value : ""};
    if (right !== null) found[card.id].instruction = right === "yes";
  }
  return found;
}

function update() {
  const found = answers();
  const open = cards.filter(card => !(card.id in found)).length;
  for (const card of cards) card.querySelector("select").hidden = chosen(card, "acceptable") !== "no";
  if (open === 0) document.body.classList.add("second");  // instructions show what was kept: only now
  const asked = document.body.classList.contains("second");
  const more = asked ? cards.filter(card => card.querySelector(".asked") && !("instruction" in found[card.id])).length : 0;
  left.textContent = open ? `${open} documents to judge` : more ? `${more} instructions to judge, below the documents` : "All judged: save your answers";
  for (const input of document.querySelectorAll("[name$='-acceptable'], select")) input.disabled = asked;
  const kept = {reader: name.value, answers: found};
  try { localStorage.setItem(place, JSON.stringify(kept)); } catch (error) { /* a browser without storage */ }
  save.disabled = !name.value.trim() || Object.keys(found).length === 0;
}

function restore() {
  let kept = null;
  try { kept = JSON.parse(localStorage.getItem(place)); } catch (error) { /* nothing to restore */ }
  if (!kept) return;
  name.value = kept.reader;
  for (const card of cards) {
    const answer = kept.answers[card.id];
    if (!answer) continue;
    card.querySelector(`input[name="${card.id}-acceptable"][value="${answer.acceptable ? "yes" : "no"}"]`).checked = true;
    if (answer.reason) card.querySelector("select").value = answer.reason;
    if ("instruction" in answer) {
      card.querySelector(`input[name="${card.id}-right"][value="${answer.instruction ? "yes" : "no"}"]`).checked = true;
    }
  }
}

save.addEventListener("click", () => {
  const file = {dataset: main.dataset.dataset, reader: name.value.trim(), answers: answers()};
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(file, null, 1)], {type: "application/json"}));
  link.download = `audit-${file.reader.replace(/[^\w-]+/g, "_")}.json`;
  link.click();
  URL.revokeObjectURL(link.href);
});
document.addEventListener("input", update);
restore();
update();
