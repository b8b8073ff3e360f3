// One board as Grafana draws it: its own components and its own data package, laid out on its grid. What the package does
// not publish, the state timeline and the bar chart, is left as a frame with its title.

import { createRoot } from 'react-dom/client';
import { ThemeContext, applyFieldOverrides, createTheme, getFieldDisplayValues, standardTransformersRegistry, standardTransformers, transformDataFrame, FieldConfigOptionsRegistry, toDataFrame, VizOrientation } from '@grafana/data';
import { BarGauge, BigValue, BigValueColorMode, BigValueGraphMode, BigValueTextMode, PanelChrome, PanelContextProvider, Table, TimeSeries, VizRepeater, VizLegend, LegendDisplayMode, GlobalStyles } from '@grafana/ui';

const { board, data, mode, range } = window.picture;
const theme = createTheme({ colors: { mode } });
// Some stand there under two names.
const transformers = new Map(Object.values(standardTransformers).map((own) => [own.id, own]));
standardTransformersRegistry.setInit(() => [...transformers.values()].map((own) => ({ id: own.id, name: own.name, transformation: own, editor: null })));

const customs = ['cellOptions', 'width', 'align', 'hideFrom', 'fillOpacity', 'lineWidth', 'showPoints', 'thresholdsStyle', 'axisSoftMin', 'axisSoftMax', 'drawStyle', 'spanNulls', 'inspect', 'filterable', 'hidden'];
const registry = new FieldConfigOptionsRegistry(() => [
  ...['unit', 'min', 'max', 'decimals', 'displayName', 'color', 'noValue', 'links', 'mappings', 'thresholds'].map((id) => ({ id, path: id })),
  ...customs.map((path) => ({ id: `custom.${path}`, path, isCustom: true })),
].map((item) => ({ ...item, name: item.id, process: (value) => value, shouldApply: () => true })));

const replace = (text) => String(text).replace(/\$\{[^}]*\}/g, 'x');
const [COLUMN, ROW] = [1920 / 24, 38];

/** Defaults that Grafana merges into a panel. */
function config(panel) {
  const { defaults = {}, overrides = [] } = structuredClone(panel.fieldConfig ?? {});
  const whole = { color: { mode: panel.type === 'timeseries' ? 'palette-classic' : 'thresholds' }, thresholds: { mode: 'absolute', steps: [{ value: null, color: 'green' }, { value: 80, color: 'red' }] }, ...defaults };
  const steps = [whole.thresholds, ...overrides.flatMap((rule) => rule.properties).filter(({ id }) => id === 'thresholds').map(({ value }) => value)];
  steps.forEach((own) => { own.steps[0].value = -Infinity; });
  if (panel.type === 'timeseries') whole.custom = { drawStyle: 'line', lineInterpolation: 'linear', lineWidth: 1, fillOpacity: 0, pointSize: 5, showPoints: 'auto', spanNulls: false, ...whole.custom };
  return { defaults: whole, overrides };
}

function transformed(panel, frames) {
  return new Promise((done) => transformDataFrame(panel.transformations ?? [], frames, { interpolate: replace }).subscribe((result) => done(result)));
}

function Values({ panel, frames, width, height, bars }) {
  const values = getFieldDisplayValues({ data: frames, fieldConfig: config(panel), reduceOptions: { calcs: ['lastNotNull'], values: false }, replaceVariables: replace, theme, timeZone: 'utc' });
  const render = ({ value, width, height, count }) => bars
    ? <BarGauge value={value.display} field={value.field} theme={theme} width={width} height={height} orientation={VizOrientation.Horizontal} displayMode="basic" valueDisplayMode="color" showUnfilled itemSpacing={4} />
    : <BigValue value={{ ...value.display, title: panel.options.textMode === 'value' ? undefined : value.display.title ?? value.name }} count={count} theme={theme} width={width} height={height}
        colorMode={panel.options.colorMode ?? BigValueColorMode.Value} graphMode={BigValueGraphMode.None} textMode={panel.options.textMode ?? BigValueTextMode.Auto} justifyMode="auto" />;
  return <VizRepeater getValues={() => values} renderValue={render} width={width} height={height} source={values} renderCounter={1} orientation={bars ? VizOrientation.Horizontal : VizOrientation.Auto} itemSpacing={4} />;
}

function Content({ panel, frames, width, height }) {
  const isEmpty = frames.every((frame) => frame.fields.every((field) => field.values.length === 0));
  if (panel.type === 'stat' || panel.type === 'bargauge') return <Values {...{ panel, frames, width, height, bars: panel.type === 'bargauge' }} />;
  if (isEmpty) return <div style={{ display: 'grid', placeItems: 'center', height, color: theme.colors.text.secondary }}>{panel.fieldConfig.defaults.noValue ?? 'No data'}</div>;
  if (panel.type === 'table') return <Table data={frames[0]} width={width} height={height} cellHeight="sm" enablePagination={false} />;
  if (panel.type === 'timeseries') return (
    <TimeSeries frames={frames} timeRange={range} timeZone="utc" width={width} height={height} options={{}} legend={{ showLegend: true, displayMode: panel.options?.legend?.displayMode ?? LegendDisplayMode.List, placement: panel.options?.legend?.placement ?? 'bottom', calcs: panel.options?.legend?.calcs ?? [] }} />);
  return <div style={{ display: 'grid', placeItems: 'center', height, color: theme.colors.text.secondary }}>({panel.type}: only Grafana itself draws it)</div>;
}

function Panel({ panel }) {
  const { x, y, w, h } = panel.gridPos;
  const place = { position: 'absolute', left: x * COLUMN + 4, top: y * ROW + 4 };
  const [width, height] = [w * COLUMN - 8, h * ROW - 8];
  if (panel.type === 'row') return <div style={{ ...place, padding: 8, color: theme.colors.text.primary, fontWeight: 500 }}>› {panel.title} ({panel.panels.length} panels)</div>;
  return (
    <div style={place}>
      <PanelChrome title={panel.title} width={width} height={height}>
        {(innerWidth, innerHeight) => <Content panel={panel} frames={data[panel.id]} width={innerWidth} height={innerHeight} />}
      </PanelChrome>
    </div>
  );
}

async function start() {
  for (const panel of board.panels.filter(({ type }) => type !== 'row')) {
    const frames = await transformed(panel, data[panel.id].map(toDataFrame));
    data[panel.id] = applyFieldOverrides({ data: frames, fieldConfig: config(panel), theme, replaceVariables: replace, fieldConfigRegistry: registry, timeZone: 'utc' });
  }
  const { from, to } = range;
  const moments = Object.fromEntries(Object.entries({ from, to }).map(([key, value]) => [key, { valueOf: () => value, toDate: () => new Date(value) }]));
  Object.assign(range, moments, { raw: moments });
  document.body.style.background = theme.colors.background.canvas;
  createRoot(document.getElementById('board')).render(
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      {board.panels.map((panel) => <Panel key={panel.id} panel={panel} />)}
    </ThemeContext.Provider>,
  );
}

start();
