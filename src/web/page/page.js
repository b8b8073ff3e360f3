// Asks for the page again without closing what a reader has opened, and lets its clocks run.
// Without this script the browser asks by itself, and the page turns grey when no answer comes.
'use strict';

const began = performance.now();
let main = document.querySelector('main');
// What a reader opened or closed, by its key. The rest is as the exporter sends it.
const chosen = new Map();

document.addEventListener('click', (event) => {
  const summary = event.target.closest('summary');
  const details = summary && summary.parentElement;
  if (details && details.dataset.key) {
    chosen.set(details.dataset.key, !details.open);
  }
});

// Where a link from elsewhere leads may be folded away.
function unfold() {
  const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let outer = target && target.closest('details'); outer; outer = outer.parentElement.closest('details')) {
    outer.open = true;
    chosen.set(outer.dataset.key, true);
  }
  return target;
}

// A selector that finds in the next page what has the focus in this one.
function focused() {
  const element = document.activeElement;
  if (!main.contains(element)) {
    return null;
  }
  if (element.matches('summary')) {
    return `details[data-key="${CSS.escape(element.parentElement.dataset.key)}"] > summary`;
  }
  return element.matches('a') ? `a[href="${CSS.escape(element.getAttribute('href'))}"]` : null;
}

async function refresh() {
  const answer = await fetch(location.pathname, { cache: 'no-store', signal: AbortSignal.timeout(8000) });
  if (!answer.ok) {
    return;
  }
  const next = new DOMParser().parseFromString(await answer.text(), 'text/html');
  const fresh = next.querySelector('main.live');
  if (!fresh) {
    return;
  }
  for (const details of fresh.querySelectorAll('details[data-key]')) {
    if (chosen.has(details.dataset.key)) {
      details.open = chosen.get(details.dataset.key);
    }
  }
  const [focus, top] = [focused(), scrollY];
  // New elements, so that what turns grey begins anew.
  for (const name of ['.old', 'main']) {
    document.querySelector(name).replaceWith(document.adoptNode(next.querySelector(name)));
  }
  main = document.querySelector('main');
  main.loaded = performance.now();
  document.title = next.title;
  document.querySelector('link[rel=icon]').href = next.querySelector('link[rel=icon]').href;
  if (focus) {
    document.querySelector(focus)?.focus({ preventScroll: true });
  }
  scrollTo(scrollX, top);
  tick();
}

// The distance between two moments in its two largest units, as the exporter writes it.
function distance(seconds) {
  const whole = Math.max(0, Math.round(Math.abs(seconds)));
  const units = [[86400, 'd', 3600, 'h', 24], [3600, 'h', 60, 'm', 60], [60, 'm', 1, 's', 60]];
  const unit = units.find(([size]) => whole >= size);
  if (!unit) {
    return `${whole}s`;
  }
  const [size, name, small, smallName, turn] = unit;
  return `${Math.floor(whole / size)}${name} ${Math.floor(whole / small) % turn}${smallName}`;
}

// Clocks run by what the exporter said and by how long ago that was, since the clock of this machine may be wrong.
function tick() {
  const now = Number(main.dataset.at) + (performance.now() - (main.loaded ?? began)) / 1000;
  for (const time of main.querySelectorAll('time[data-until]')) {
    time.textContent = distance(Number(time.dataset.until) - now);
  }
  for (const time of main.querySelectorAll('time[data-for]')) {
    time.textContent = distance(now - Number(time.dataset.for));
  }
  for (const time of main.querySelectorAll('time[data-since]')) {
    time.textContent = `${distance(now - Number(time.dataset.since))} ago`;
  }
}

unfold();
addEventListener('hashchange', () => unfold()?.scrollIntoView());
setInterval(tick, 1000);
setInterval(() => refresh().catch(() => {}), Number(main.dataset.every) * 1000);
