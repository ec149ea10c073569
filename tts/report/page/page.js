"use strict";
(() => {
  const root = document.documentElement, $ = (id) => document.getElementById(id);
  const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const turn = () => { root.dataset.theme = dark() ? "light" : "dark"; };
  $("theme").addEventListener("click", turn);

  const number = (cell) => cell.dataset.v === undefined || cell.dataset.v === "" ? NaN : Number(cell.dataset.v);
  const less = (a, b) => {
    const x = number(a), y = number(b);
    if (Number.isNaN(x) || Number.isNaN(y)) {
      return Number.isNaN(x) && Number.isNaN(y) ? a.textContent.localeCompare(b.textContent) : Number.isNaN(x) - Number.isNaN(y);
    }
    return x - y;
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, i) => head.firstElementChild.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") === "descending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...table.tBodies[0].rows].sort((a, b) => less(a.cells[i], b.cells[i]) * (up ? 1 : -1));
      table.tBodies[0].append(...rows);
    }));
  }

  const tasks = [...document.querySelectorAll("details.task, p.task")];
  const shown = () => tasks.filter((task) => !task.hidden);
  const filter = () => {
    const words = $("text").value.toLowerCase(), name = $("strategy").value, wanted = $("outcome").value;
    for (const task of tasks) {
      const told = task.dataset.outcomes.split(";").filter(Boolean).map((one) => {
        const at = one.lastIndexOf("=");
        return [one.slice(0, at), one.slice(at + 1)];
      });
      const fits = told.some(([who, how]) => (!name || who === name) && (!wanted || how === wanted));
      task.hidden = !(task.dataset.text.toLowerCase().includes(words) && (fits || (!name && !wanted)));
    }
    $("count").textContent = `${shown().length} of ${tasks.length} tasks`;
  };
  if ($("filter")) {
    $("filter").addEventListener("input", filter);
    $("filter").addEventListener("submit", (event) => event.preventDefault());
    filter();
  }

  const focused = () => shown().indexOf(document.activeElement.closest("details.task, p.task"));
  const move = (by) => {
    const all = shown(), next = all[Math.min(all.length - 1, Math.max(0, focused() + by))];
    if (next) { next.querySelector("summary, a").focus(); next.scrollIntoView({ block: "nearest" }); }
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) { return; }
    const keys = { "/": () => $("text") && $("text").focus(), j: () => move(1), k: () => move(-1), t: turn };
    if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
  });
  const open = () => { const target = $(location.hash.slice(1)); if (target && target.tagName === "DETAILS") { target.open = true; target.scrollIntoView(); } };
  addEventListener("hashchange", open);
  open();
})();
