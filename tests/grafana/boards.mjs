// What Grafana makes of the field configuration of every panel, asked of its own package @grafana/data: which text and
// which colour it gives no data, an empty cell, a word that nobody listed, every state, and the values at each bound.
// Green must be earned. Reads boards and the table of states as JSON, prints one line for each thing that is wrong.
//
//   node tests/grafana/boards.mjs FOLDER_WITH_NODE_MODULES < request.json

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const require = createRequire(path.resolve(process.argv[2], 'index.js'));
const { JSDOM } = require('jsdom');
const { window } = new JSDOM('<!doctype html>', { url: 'http://localhost/' });
for (const name of ['window', 'document', 'navigator', 'localStorage', 'Element', 'HTMLElement', 'Node', 'DOMParser']) {
  Object.defineProperty(globalThis, name, { value: name === 'window' ? window : window[name], configurable: true });
}
window.matchMedia ??= () => ({ matches: false, addListener() {}, removeListener() {} });
// What is said while the package is loaded is about others, on the way to where problems are printed.
console.warn = console.info = () => {};
const { log } = console;
console.log = () => {};
const grafana = require('@grafana/data');

const { boards, meanings, states, texts, bounds } = JSON.parse(readFileSync(0, 'utf8'));
const themes = ['dark', 'light'].map((mode) => grafana.createTheme({ colors: { mode } }));

// Colours that mean something to whoever has seen a traffic light, by whatever name.
const GREEN = { names: /green/, is: ([r, g, b]) => g > 1.25 * r && g > 1.1 * b };

/** What may be set for a field, as the panels of Grafana register it; all of it is taken as it stands. */
const registry = new grafana.FieldConfigOptionsRegistry(() =>
  ['unit', 'min', 'max', 'decimals', 'displayName', 'color', 'noValue', 'links', 'mappings', 'thresholds', 'filterable', 'fieldMinMax',
    ...['custom.cellOptions', 'custom.width', 'custom.align', 'custom.hideFrom', 'custom.fillOpacity', 'custom.lineStyle', 'custom.hidden']].map((id) => ({
    id, name: id, path: id.replace('custom.', ''), isCustom: id.startsWith('custom.'), process: (value) => value, shouldApply: () => true,
  })));

/** Defaults of Grafana, which it merges into a panel that leaves them out. */
function merged(panel) {
  const { defaults = {}, overrides = [] } = panel.fieldConfig ?? {};
  const mode = { timeseries: 'palette-classic', barchart: 'palette-classic', 'state-timeline': 'continuous-GrYlRd' }[panel.type] ?? 'thresholds';
  const thresholds = { mode: 'absolute', steps: [{ value: null, color: 'green' }, { value: 80, color: 'red' }] };
  const told = Object.entries(structuredClone(defaults)).filter(([, value]) => value !== null);
  const whole = { color: { mode }, thresholds, mappings: [], ...Object.fromEntries(told) };
  const repaired = (own) => own.steps.forEach((step, index) => { if (index === 0) step.value = -Infinity; });
  repaired(whole.thresholds);
  const rules = structuredClone(overrides);
  rules.flatMap((rule) => rule.properties).filter(({ id }) => id === 'thresholds').forEach(({ value }) => repaired(value));
  return { defaults: whole, overrides: rules };
}

/** One field with its value as Grafana shows it. */
function shown(panel, name, value, theme, labels) {
  const numeric = typeof value === 'number';
  const field = { name, type: numeric ? 'number' : 'string', values: [value], config: {}, ...(labels ? { labels } : {}) };
  const data = [{ length: 1, refId: 'A', fields: [field] }];
  const [frame] = grafana.applyFieldOverrides({ data, fieldConfig: merged(panel), theme, replaceVariables: (text) => text, fieldConfigRegistry: registry, timeZone: 'utc' });
  const [own] = frame.fields;
  return { field: own, ...own.display(value) };
}

/** What is shown where no series came. */
function nothing(panel, theme) {
  const [only] = grafana.getFieldDisplayValues({
    data: [], fieldConfig: merged(panel), reduceOptions: { calcs: ['lastNotNull'] }, replaceVariables: (text) => text, theme, timeZone: 'utc',
  });
  return only.display;
}

const hex = (theme, colour) => grafana.colorManipulator.asHexString(theme.visualization.getColorByName(colour));

function isGreen(theme, colour) {
  if (!colour || colour === 'transparent') return false;
  const own = hex(theme, colour);
  return GREEN.names.test(colour) || GREEN.is([1, 3, 5].map((at) => parseInt(own.slice(at, at + 2), 16)));
}

/** What a text means: that of the state which it is, or which stands behind a digest or behind names. */
function meaning(text) {
  return texts[String(text ?? '').toLowerCase().replace(/^(([0-9a-f]{7,12}|x) )+/, '')];
}

/** Words that no table has, some of which end in one that is good. */
const UNLISTED = ['a_new_state', 'never seen', 'not valid', 'no longer valid'];

const panels = (board) => board.panels.flatMap((panel) => (panel.type === 'row' ? panel.panels ?? [] : [panel]));
const problems = new Set();

const VERDICTS = ['pass', 'warn', 'fail', 'unknown', 'waived', 'not_applicable'];

/** Notes a colour that does not say what the text says. A column of verdicts need not know the states of anything else. */
function colours(where, theme, text, colour, other = false) {
  const means = meaning(text);
  if (isGreen(theme, colour) && means !== 'good') problems.add(`${where} is green`);
  if (other && hex(theme, colour) === hex(theme, meanings.unknown)) return;
  if (means && hex(theme, colour) !== hex(theme, meanings[means])) problems.add(`${where} means ${means} and is not drawn as that`);
}

/** No series: always a word, never a promise, never green. */
function withoutData(where, panel, theme) {
  const word = panel.fieldConfig?.defaults?.noValue ?? '';
  if (!/^no data/i.test(word)) problems.add(`${where}: no series says "${word}", and must begin with "no data"`);
  if (!['stat', 'bargauge'].includes(panel.type)) return;
  const { text, color } = nothing(panel, theme);
  if (['name', 'none'].includes(panel.options?.textMode)) problems.add(`${where}: no series shows no word`);
  if (isGreen(theme, color)) problems.add(`${where}: no series is green ("${text}")`);
}

/** Whether a field is drawn in colour in a table. */
const isColoured = (field) => /^color/.test(field.config.custom?.cellOptions?.type ?? '');

/** Tables of which the states are verdicts alone. */
const onlyVerdicts = (panel) => !JSON.stringify(panel.fieldConfig).includes('suspended_for_event');

/** Cells of a table: empty ones, words that nobody listed, every state, and numbers at each bound. */
function cells(where, panel, theme) {
  const names = panel.fieldConfig.overrides.filter(({ matcher }) => matcher.id === 'byName').map(({ matcher }) => matcher.options);
  for (const name of new Set(['any column', ...names])) {
    const at = `${where}, column ${name}`;
    const { field } = shown(panel, name, 'a_new_state', theme);
    if (!isColoured(field)) continue;
    const numbers = field.config.unit && !['short', 'none', 'string'].includes(field.config.unit);
    for (const value of ['', null, ...UNLISTED, ...(numbers ? [] : states), ...(numbers ? [] : ['054a3e12ab9f differs', '054a3e12ab9f same index'])]) {
      const { text, color } = shown(panel, name, value, theme);
      const said = `${at}: ${value === '' ? 'an empty cell' : value === null ? 'null' : `"${value}"`}`;
      if (!String(text ?? '').trim()) problems.add(`${said} shows no word`);
      colours(said, theme, text || value, color, onlyVerdicts(panel) && !VERDICTS.includes(value));
    }
    if (numbers) steps(at, panel, name, theme);
  }
}

/** Values at each bound: what is below the first one, or is no number, is not green. */
function steps(at, panel, name, theme) {
  const { field } = shown(panel, name, 0, theme);
  for (const value of [-1e15, NaN]) {
    const { text, color } = shown(panel, name, value, theme);
    if (isGreen(theme, color)) problems.add(`${at}: ${value} is green`);
    if (!String(text ?? '').trim()) problems.add(`${at}: ${value} shows no word`);
  }
  for (const { value, color } of field.config.thresholds.steps.slice(1)) {
    const drawn = [value - 1e-9 * Math.max(1, Math.abs(value)) - 1e-9, value].map((one) => hex(theme, shown(panel, name, one, theme).color));
    if (drawn[0] === drawn[1]) problems.add(`${at}: the bound ${value} (${color}) changes nothing`);
  }
}

/** Numbers of a stat: what is mapped says what it means, the rest is as its bounds have it. */
function numbers(where, panel, theme) {
  const name = panel.targets?.length === 1 ? 'value' : undefined;
  const mapped = (panel.fieldConfig.defaults.mappings ?? []).filter(({ type }) => type === 'value').flatMap(({ options }) => Object.keys(options).map(Number));
  for (const value of mapped) {
    const { text, color } = shown(panel, name ?? 'value', value, theme);
    if (!meaning(text)) problems.add(`${where}: ${value} is shown as "${text}", which the table of states does not have`);
    colours(`${where}: ${value} ("${text}")`, theme, text, color);
  }
  const { field } = shown(panel, 'value', 0, theme);
  if (field.config.color.mode === 'thresholds' && panel.options?.colorMode !== 'none') steps(where, panel, 'value', theme);
}

/** Series that are called as a state has the colour of what it means; a legend that is the state has every verdict. */
function series(where, panel, theme) {
  const legends = (panel.targets ?? []).map(({ legendFormat }) => legendFormat ?? '');
  const own = legends.flatMap((legend) => (/\{\{(state|verdict)\}\}$/.test(legend) ? [...VERDICTS, 'go', 'no_go', 'undecided', 'a_new_state'].map((state) => legend.replace(/\{\{(state|verdict)\}\}$/, state)) : /\{\{/.test(legend) ? [] : [legend]));
  for (const name of new Set(own)) {
    const word = name.replace(/\{\{.*?\}\}/g, 'x');
    const means = meaning(word) ?? (word.endsWith('a_new_state') ? 'unlisted' : undefined);
    if (!means) continue;
    const { field, color } = shown(panel, word, 3, theme);
    const { mode } = field.config.color;
    const drawn = mode === 'thresholds' ? color : grafana.getFieldSeriesColor(field, theme).color;
    const said = `${where}: a series called ${word}`;
    if (means === 'unlisted') { if (isGreen(theme, drawn)) problems.add(`${said} is green`); } else colours(said, theme, word, drawn);
  }
}

/** Bounds that checks have, in the graphs of their facts. */
function drawnBounds(where, panel, theme) {
  for (const { value, means } of bounds[panel.title] ?? []) {
    const { field } = shown(panel, 'value', value, theme);
    const drawn = grafana.getActiveThreshold(value, field.config.thresholds.steps).color;
    const wanted = means === 'good' ? drawn === 'transparent' || hex(theme, drawn) === hex(theme, meanings.good) : hex(theme, drawn) === hex(theme, meanings[means]);
    if (!wanted) problems.add(`${where}: ${value} is ${means} by its check and is drawn ${drawn}`);
  }
}

/** Nothing is left to what Grafana takes where a panel says nothing. */
function withoutDefaults(where, panel) {
  const { color, thresholds } = panel.fieldConfig?.defaults ?? {};
  if (!color?.mode) problems.add(`${where}: leaves the way of its colours to Grafana`);
  if (!thresholds) problems.add(`${where}: leaves its bounds to Grafana, green and from 80 on red`);
  if (thresholds?.steps?.some(({ value }) => value !== null) && panel.type === 'timeseries' && !/dashed/.test(panel.fieldConfig.defaults.custom?.thresholdsStyle?.mode ?? '')) {
    problems.add(`${where}: draws its bounds like series`);
  }
}

for (const [name, board] of Object.entries(boards)) {
  for (const panel of panels(board)) {
    const where = `${name}: ${panel.title}`;
    withoutDefaults(where, panel);
    for (const theme of themes) {
      withoutData(where, panel, theme);
      if (panel.type === 'table') cells(where, panel, theme);
      else if (panel.type === 'stat') numbers(where, panel, theme);
      if (panel.type !== 'table') series(where, panel, theme);
      drawnBounds(where, panel, theme);
    }
  }
}
for (const problem of problems) log(problem);
process.exit(0);
