// What "harness view" adds to its pages: each looks every second whether it has become another one.
// A page of the site is loaded again; on the page of attempts under way only what changed is put in its place.
"use strict";
(() => {
  const script = document.currentScript;
  let version = script.dataset.version;
  const live = "part" in script.dataset;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const parts = "main [data-live], main [data-figure]";
  const name = (one) => one.dataset.live || one.dataset.figure;
  const names = (page) => all(parts, page).map(name).join("\n") + all("main .note, main .banner", page).map((one) => one.textContent).join("\n");
  const shown = new Map(all(parts).map((one) => [name(one), one.outerHTML]));
  const began = names(document);

  // What the reader chose stays: arms that are hidden, and the kind of an axis.
  function keep(old, now) {
    for (const item of all(".legend li", old.closest("section"))) {
      const box = item.querySelector("input");
      if (box && !box.checked) for (const one of all(`[data-arm="${item.dataset.arm}"]`, now)) one.classList.add("gone");
    }
    const [before, after] = [old, now].map((one) => one.querySelector(".logarithmic"));
    if (before && after) after.toggleAttribute("checked", before.checked);
  }

  function swap(page) {
    if (names(page) !== began) {
      location.reload();
      return;
    }
    const fresh = new Map(all(parts, page).map((one) => [name(one), one]));
    for (const old of all(parts)) {
      const now = fresh.get(name(old));
      const html = now.outerHTML;
      if (html === shown.get(name(old))) continue;
      shown.set(name(old), html);
      keep(old, now);
      const made = document.importNode(now, true);
      const focused = old.contains(document.activeElement);
      old.replaceWith(made);
      if (focused) made.querySelector("input, [tabindex]")?.focus({ preventScroll: true });
    }
  }

  async function look() {
    const options = { headers: { "If-None-Match": `"${version}"` }, cache: "no-store" };
    const answer = await fetch(location.pathname, options);
    if (!answer.ok) return;
    const now = answer.headers.get("ETag").replaceAll('"', "");
    if (now === version) return;
    if (live) swap(new DOMParser().parseFromString(await answer.text(), "text/html"));
    else location.reload();
    version = now;
  }

  let ended = 0;
  async function go() {
    try {
      if (!document.hidden) await look();
      ended = 0;
    } catch {
      ended += 1; // nobody answers: the command may have ended
    }
    if (ended < 5) setTimeout(go, 1000);
  }
  setTimeout(go, 1000);
})();
