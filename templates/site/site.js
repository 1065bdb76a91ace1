// What a page can do beyond showing itself. Everything is there without it; nothing is fetched, no markup is written.
"use strict";
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const make = (name, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  };
  for (const form of all("form")) {
    form.hidden = false;
    form.addEventListener("submit", (event) => event.preventDefault());
  }
  ages();
  all("table.sortable").forEach(sortable);
  filters();
  seeds();
  arms();
  suppose();
  addEventListener("beforeprint", () => all("details").forEach((one) => { one.open = true; }));

  // Ages are counted by the reader's clock: a page that is built again from the same trail is the same.
  function ages() {
    for (const time of all("#hypotheses time, .facts time")) {
      const days = Math.floor((Date.now() - Date.parse(time.dateTime)) / 864e5);
      const told = days === 0 ? "today" : days === 1 ? "1 day ago" : `${days.toLocaleString("en")} days ago`;
      if (days >= 0) time.after(make("span", { className: "line note" }, told));
    }
  }

  function sortable(table) {
    const body = table.tBodies[0];
    const value = (row, column) => {
      const cell = row.cells[column];
      return cell.dataset.sort !== undefined ? cell.dataset.sort : cell.textContent.trim().replace("−", "-");
    };
    all("thead th", table).forEach((head, column) => {
      const button = make("button", { type: "button" }, head.textContent);
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        all("thead th", table).forEach((one) => one.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = [...body.rows].map((row) => [value(row, column), row]);
        const order = new Intl.Collator("en", { numeric: true });
        const compare = (a, b) => {
          const [x, y] = [Number(a), Number(b)];
          return a !== "" && b !== "" && !Number.isNaN(x) && !Number.isNaN(y) ? x - y : order.compare(a, b);
        };
        rows.sort((a, b) => (down ? -1 : 1) * compare(a[0], b[0]));
        body.append(...rows.map((one) => one[1]));
      });
    });
  }

  function filters() {
    const table = document.getElementById("hypotheses");
    if (!table) return;
    const [find, state, family, deviating] = ["find", "state", "family", "deviating"].map((id) => document.getElementById(id));
    const rows = [...table.tBodies[0].rows].map((row) => [row, row.textContent.toLowerCase()]);
    const apply = () => {
      const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const [row, text] of rows) {
        const fits = words.every((word) => text.includes(word))
          && (!state.value || row.dataset.state === state.value)
          && (!family || !family.value || row.dataset.family.split(" ").includes(family.value))
          && (!deviating.checked || "deviates" in row.dataset);
        row.hidden = !fits;
        shown += fits;
      }
      document.getElementById("count").textContent = `${shown} of ${rows.length} shown`;
    };
    for (const input of [find, state, family, deviating]) if (input) input.addEventListener("input", apply);
    apply();
  }

  // One seed, in every figure and in the table: by pointer, by the table's rows, or by the list.
  function seeds() {
    const page = document.querySelector(".hypothesis");
    const rows = all("section.seeds tbody tr[data-seed]");
    if (!page || !rows.length) return;
    const list = make("select", { id: "seed" }, make("option", { value: "" }, "none"));
    for (const row of rows) list.append(make("option", { value: row.dataset.seed }, `${row.dataset.seed} (${row.cells[1].textContent})`));
    const told = make("span", { className: "note" });
    told.setAttribute("role", "status");
    const show = (seed) => {
      page.classList.toggle("one", seed !== "");
      for (const one of all("[data-seed]", page)) one.classList.toggle("on", seed !== "" && one.dataset.seed === seed);
    };
    const pick = (seed) => {
      list.value = seed;
      show(seed);
      const row = rows.find((one) => one.dataset.seed === seed);
      for (const one of rows) one.cells[0].firstElementChild.ariaPressed = String(one === row);
      const heads = all("section.seeds thead th").map((head) => head.textContent);
      told.textContent = row ? [...row.cells].slice(2).map((cell, at) => `${heads[at + 2]}: ${cell.textContent}`).join("; ") : "";
    };
    const picker = make("p", { className: "picker" }, make("label", {}, "Show one seed ", list), told);
    (document.querySelector("#figures h2") || document.querySelector("#seeds h2")).after(picker);
    list.addEventListener("input", () => pick(list.value));
    const at = (event) => event.target.closest && event.target.closest("[data-seed]");
    page.addEventListener("pointerover", (event) => { const one = at(event); if (one) show(one.dataset.seed); });
    page.addEventListener("pointerout", (event) => { if (at(event)) show(list.value); });
    page.addEventListener("click", (event) => { const one = at(event); if (one) pick(one.dataset.seed === list.value ? "" : one.dataset.seed); });
    for (const row of rows) {
      const button = make("button", { type: "button", ariaPressed: "false" }, row.cells[0].textContent);
      button.setAttribute("aria-label", `seed ${row.dataset.seed}, show it in the figures`);
      row.cells[0].replaceChildren(button);
      button.addEventListener("focus", () => show(row.dataset.seed));
      button.addEventListener("blur", () => show(list.value));
    }
  }

  function arms() {
    for (const item of all(".legend li")) {
      const box = make("input", { type: "checkbox", checked: true });
      const label = make("label");
      label.append(box, ...item.childNodes);
      item.append(label);
      box.addEventListener("input", () => {
        for (const one of all(`svg:not(.key) [data-arm="${item.dataset.arm}"]`, item.closest("section"))) one.classList.toggle("gone", !box.checked);
      });
    }
  }

  function suppose() {
    const list = document.getElementById("suppose");
    if (!list) return;
    const prospects = all("[data-if]");
    prospects.forEach((one, at) => list.append(make("option", { value: at }, one.dataset.if)));
    const signs = { "untested": "○", "supported": "✓", "in question": "?", "walked back": "✗" };
    const told = document.getElementById("supposed");
    list.addEventListener("input", () => {
      const changes = list.value === "" ? [] : all("[data-claim]", prospects[Number(list.value)]);
      const then = Object.fromEntries(changes.map((one) => [one.dataset.claim, one.dataset.after]));
      for (const box of all("svg.claims [data-claim]")) {
        const status = then[box.dataset.claim] || box.dataset.status;
        box.setAttribute("class", `claim ${status.replace(" ", "-")}${then[box.dataset.claim] ? " then" : ""}`);
        box.querySelector(".sign").textContent = signs[status];
        box.querySelector(".status").textContent = status;
      }
      told.textContent = changes.map((one) => one.textContent.trim().replace(/\s+/g, " ")).join("; ");
    });
  }
})();
