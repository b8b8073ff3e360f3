// Draws every board of dashboards/ from a Prometheus that scrapes the exporter, one PNG each.
//
//   node tests/grafana/pictures.mjs FOLDER_WITH_NODE_MODULES PROMETHEUS OUT NAME [light|dark] [BOARD...]

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';

const [peers, prometheus, out, name, mode = 'dark', ...only] = process.argv.slice(2);
const esbuild = createRequire(path.resolve(peers, 'index.js'))('esbuild');
const here = path.dirname(new URL(import.meta.url).pathname);
const folder = mkdtempSync(path.join(tmpdir(), 'boards-'));
mkdirSync(out, { recursive: true });

async function ask(api, parameters) {
  const answer = await fetch(`${prometheus}/api/v1/${api}`, { method: 'POST', body: new URLSearchParams(parameters) });
  const said = await answer.json();
  if (said.status !== 'success') throw new Error(`${parameters.query}: ${said.error}`);
  return said.data.result;
}

const now = Date.now();
const range = { from: now - Number(process.env.SECONDS_BACK ?? 300) * 1000, to: now };

/** What the data source makes of one query: a table, or a frame for each series. */
async function frames(target, isOnly) {
  const query = target.expr.replaceAll('$cluster', '.*').replaceAll('$event', '.*');
  const value = isOnly ? 'Value' : `Value #${target.refId}`;
  if (!target.instant) {
    const series = await ask('query_range', { query, start: range.from / 1000, end: range.to / 1000, step: 5 });
    return series.map(({ metric, values }) => frame(target, metric, values));
  }
  const series = await ask('query', { query, time: now / 1000 });
  if (target.format !== 'table') return series.map(({ metric, value: own }) => frame(target, metric, [own]));
  const labels = [...new Set(series.flatMap(({ metric }) => Object.keys(metric)))].filter((label) => label !== '__name__').sort();
  return [{ refId: target.refId, fields: [
    { name: 'Time', type: 'time', values: series.map(() => now), config: {} },
    ...labels.map((label) => ({ name: label, type: 'string', values: series.map(({ metric }) => metric[label] ?? ''), config: {} })),
    { name: value, type: 'number', values: series.map(({ value: [, own] }) => Number(own)), config: {} },
  ] }];
}

function frame(target, labels, values) {
  const legend = target.legendFormat?.replace(/\{\{\s*(.+?)\s*\}\}/g, (_, label) => labels[label] ?? '');
  return { refId: target.refId, name: legend, fields: [
    { name: 'Time', type: 'time', values: values.map(([at]) => at * 1000), config: {} },
    { name: 'Value', type: 'number', labels, values: values.map(([, own]) => Number(own)), config: legend ? { displayNameFromDS: legend } : {} },
  ] };
}

// A picture has nothing to scroll, and bundlers take this package for another kind of module.
const scrollbars = { name: 'scrollbars', setup: (build) => {
  build.onResolve({ filter: /^react-custom-scrollbars-2$/ }, () => ({ path: 'scrollbars', namespace: 'own' }));
  build.onLoad({ filter: /./, namespace: 'own' }, () => ({ loader: 'jsx', resolveDir: here, contents: 'export default ({ children }) => <div style={{ overflow: "hidden", height: "100%" }}>{children}</div>; export const Scrollbars = 0;' }));
} };

await esbuild.build({ plugins: [scrollbars], entryPoints: [path.join(here, 'page.jsx')], bundle: true, outfile: path.join(folder, 'page.js'), logLevel: 'error', jsx: 'automatic', nodePaths: [path.join(peers, 'node_modules')],
  define: { 'process.env.NODE_ENV': '"production"', global: 'window' }, loader: { '.svg': 'text', '.woff2': 'empty', '.ttf': 'empty', '.png': 'empty' } });

for (const file of readdirSync('dashboards').filter((own) => !only.length || only.includes(path.basename(own, '.json')))) {
  const board = JSON.parse(readFileSync(path.join('dashboards', file)));
  const open = board.panels.filter(({ type }) => type !== 'row');
  const data = {};
  for (const panel of open) data[panel.id] = (await Promise.all(panel.targets.map((target) => frames(target, panel.targets.length === 1)))).flat();
  const rows = Math.max(...board.panels.map(({ gridPos }) => gridPos.y + gridPos.h));
  const height = Number(process.env.HEIGHT ?? rows * 38 + 8);
  const page = path.join(folder, 'board.html');
  writeFileSync(page, `<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="page.css"><style>body{margin:0;font-family:Inter,sans-serif}</style><div id="board"></div><script>window.picture=${JSON.stringify({ board, data, mode, range }).replaceAll('<', '\\u003c')}</script><script src="page.js"></script>`);
  const picture = path.join(path.resolve(out), `${path.basename(file, '.json')}-${name}.png`);
  execFileSync('chromium', ['--headless=new', '--no-sandbox', '--disable-gpu', ...(process.env.LOUD ? ['--enable-logging=stderr'] : []), '--hide-scrollbars', `--user-data-dir=${folder}/profile`, '--allow-file-access-from-files', `--window-size=1920,${height}`, '--virtual-time-budget=8000', `--screenshot=${picture}`, `file://${page}`], { stdio: process.env.LOUD ? 'inherit' : 'ignore' });
  console.log(picture);
}
rmSync(folder, { recursive: true });
