// What Grafana itself says that a dashboard may hold: the types that it publishes for its boards and
// panels, as JSON has them. The test `grafana_schema` writes each board below this text and compiles it.

import type { AnnotationQuery, Dashboard } from './node_modules/@grafana/schema/dist/types/raw/dashboard/x/dashboard_types.gen';
import type * as barchart from './node_modules/@grafana/schema/dist/types/raw/composable/barchart/panelcfg/x/BarChartPanelCfg_types.gen';
import type * as bargauge from './node_modules/@grafana/schema/dist/types/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen';
import type * as stat from './node_modules/@grafana/schema/dist/types/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as statetimeline from './node_modules/@grafana/schema/dist/types/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen';
import type * as table from './node_modules/@grafana/schema/dist/types/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type * as timeseries from './node_modules/@grafana/schema/dist/types/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

/** A type as JSON has it: the words and numbers of an enumeration instead of its names. */
type Json<T> = unknown extends T ? unknown
  : T extends string ? `${T}`
  : T extends number ? (`${T}` extends `${infer N extends number}` ? N : number)
  : T extends object ? { [K in keyof T]: Json<T[K]> }
  : T;

/** Options that are left out have their panel's defaults. */
type Some<T> = T extends object ? { [K in keyof T]?: Some<T[K]> } : T;
type Part<T> = Some<Json<T>>;

/** What an annotation of the data source prometheus has beside the keys of all. */
type Annotation = AnnotationQuery & { expr: string; step: string; titleFormat: string; useValueForTime: boolean };

type Board = Omit<Json<Dashboard>, 'annotations'> & { annotations: { list: Json<Annotation>[] } };

