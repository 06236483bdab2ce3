// Searches over parameters: what to try, how it goes, and the objective as a heat map.

import { mutate, query, subscribe } from './client.js';
import { CANCEL_SEARCH, HEAT_MAP, PROMOTE_TRIAL, RUN_SEARCH, SEARCH_PROGRESS, SEARCH_RESULT, SEARCHES } from './documents.js';
import { button, choice, complain, day, field, form, h, input, interval, link, number, percent, progressBar, signed, table, words } from './dom.js';
import { fetchCatalogue, specFields } from './specform.js';

const OBJECTIVES = [
  ['SHARPE_RATIO', 'Sharpe ratio'], ['SORTINO_RATIO', 'Sortino ratio'], ['CALMAR_RATIO', 'Calmar ratio'], ['TOTAL_RETURN', 'return'],
  ['CAGR', 'return a year'], ['PROFIT_FACTOR', 'profit factor'], ['EXPECTANCY', 'expectancy'], ['SQN', 'SQN'],
];
const objectiveOf = (search) => new Map(OBJECTIVES).get(search.objective);
const METHODS = [['GRID', 'grid: all of them'], ['RANDOM', 'random'], ['TPE', 'TPE: learns as it goes']];
const isGoing = ({ status }) => status === 'QUEUED' || status === 'RUNNING';

// ---- the list, and the form for another one ----

export async function showSearches(main, { viewer, signal, go }) {
  const catalogue = await fetchCatalogue(signal);
  const list = h('div');
  const columns = [
    ['Search', (search) => [link(`#/searches/${encodeURIComponent(search.id)}`, search.strategy.name), h('small', {}, `${words(search.method)}, ${objectiveOf(search)}`)]],
    ['Market', (search) => `${search.market.symbol} · ${interval(search.interval)}`],
    ['Trials', (search) => `${search.trialsDone.toLocaleString('en')} of ${search.trialsTotal.toLocaleString('en')}`, { number: true }],
    ['State', (search) => words(search.status)],
    ['Made', (search) => day(search.createdAt)],
  ];
  async function load(shown = [], after = undefined) {
    const { nodes, pageInfo } = (await query(SEARCHES, { after }, signal)).optimizations;
    const rows = [...shown, ...nodes];
    list.replaceChildren(
      table('Searches', columns, rows, 'No search yet: start one.'),
      pageInfo.hasNextPage ? button('More', () => load(rows, pageInfo.endCursor)) : '',
    );
  }
  await load();
  main.replaceChildren(
    h('div', { class: 'columns' },
      viewer.role !== 'VIEWER' && searchForm(catalogue, go),
      h('section', {}, h('div', { class: 'bar' }, h('h1', { tabindex: -1 }, 'Searches')), list)),
  );
}

function searchForm(catalogue, go) {
  const ranges = h('div');
  let readers = [];

  /** A row for each number of the strategy: whether to search it, and where; eight steps around its default. */
  function offer({ parameters }) {
    const numeric = parameters.filter(({ type }) => type === 'INT' || type === 'FLOAT');
    readers = [];
    const rows = numeric.map((parameter, index) => {
      const { name, type } = parameter;
      const low = Math.max(parameter.min ?? -Infinity, parameter.default / 2);
      const high = Math.min(parameter.max ?? Infinity, parameter.default * 2);
      const round = (value) => (type === 'INT' ? Math.max(1, Math.round(value)) : Number(value.toPrecision(2)));
      const control = (label, value) => input({ type: 'number', step: 'any', value, 'aria-label': `${words(name)} ${label}`, name: `${name}-${label}` });
      const [least, greatest, step] = [control('from', round(low)), control('to', round(high)), control('step', round((high - low) / 8))];
      const wanted = input({ type: 'checkbox', 'aria-label': `Search ${words(name)}` });
      wanted.checked = index < 2;
      const value = ({ value: text }) => (text === '' ? undefined : Number(text));
      readers.push(() => wanted.checked && { name, min: value(least), max: value(greatest), step: value(step) });
      return { name: [wanted, ` ${words(name)}`], least, greatest, step };
    });
    const columns = [['Parameter', (row) => row.name], ['From', (row) => row.least], ['To', (row) => row.greatest], ['Step', (row) => row.step]];
    ranges.replaceChildren(table('Ranges', columns, rows, 'This strategy has no numbers to search.'));
  }

  const method = choice(METHODS, 'GRID', { name: 'method' });
  const trials = input({ type: 'number', min: 1, value: 200, name: 'trials' });
  const trialsField = field('Trials', trials, { path: 'trials' });
  trialsField.hidden = true;
  method.addEventListener('change', () => (trialsField.hidden = method.value === 'GRID'));
  const objective = choice(OBJECTIVES, 'SHARPE_RATIO', { name: 'objective' });
  const minTrades = input({ type: 'number', min: 0, value: 10, name: 'minTrades' });
  const spec = specFields(catalogue, {}, { onStrategy: offer });

  async function submit() {
    const chosen = readers.map((read) => read()).filter(Boolean);
    const { parameters, ...rest } = spec.read();
    const fixed = Object.fromEntries(Object.entries(parameters).filter(([name]) => !chosen.some((range) => range.name === name)));
    const given = { method: method.value, objective: objective.value, minTrades: Number(minTrades.value), ranges: chosen, parameters: fixed };
    const { optimization } = await mutate(RUN_SEARCH, { input: { ...rest, ...given, trials: method.value === 'GRID' ? undefined : Number(trials.value) } });
    go('searches', optimization.id);
  }
  return form({ class: 'card', id: 'search' }, submit, h('h2', {}, 'Search parameters'), spec.element, h('h2', {}, 'Ranges'), ranges,
    h('div', { class: 'fields' }, field('Method', method, { path: 'method' }), trialsField, field('Objective', objective, { path: 'objective' }),
      field('Least trades', minTrades, { path: 'minTrades' })),
    h('button', { type: 'submit', class: 'primary' }, 'Search'));
}

// ---- one ----

export async function showSearch(main, { id, signal, go, reload }) {
  const search = (await query(SEARCH_RESULT, { id }, signal)).optimization;
  if (!search) return main.replaceChildren(h('p', {}, 'There is no such search.'));
  const progress = progressBar('Progress of the search');
  const tell = ({ status, progress: share, trialsDone }) =>
    progress.show(share, `${words(status)} · ${trialsDone.toLocaleString('en')} of ${search.trialsTotal.toLocaleString('en')} trials`);
  tell(search);
  main.replaceChildren(
    h('div', { class: 'bar' },
      h('h1', { tabindex: -1 }, `Search: ${search.strategy.name}`, h('small', {}, `${search.market.symbol} · ${interval(search.interval)} · ${day(search.start)} – ${day(search.end)} · ${words(search.method)}, ${objectiveOf(search)}`)),
      isGoing(search) && button('Cancel', () => mutate(CANCEL_SEARCH, { id }))),
    isGoing(search) ? progress.element : '',
    h('p', { class: 'problem', role: 'alert' }, search.error ?? ''),
  );
  if (isGoing(search)) {
    for await (const event of subscribe(SEARCH_PROGRESS, { id }, signal)) {
      tell(event);
      if (event.optimization) return reload();
    }
    return;
  }
  if (search.status !== 'COMPLETED') return;
  const parameters = search.ranges.map(({ name }) => name);
  main.append(
    overfitting(search),
    parameters.length > 1 ? heatMap(search, parameters, signal) : '',
    h('section', { class: 'card' }, h('h2', {}, 'Best trials'), trialTable(search, parameters, go)),
  );
}

function overfitting({ significance }) {
  if (!significance) return '';
  const { probabilisticSharpeRatio: single, deflatedSharpeRatio: deflated } = significance;
  return h('p', { class: 'quiet' }, `That the best one's Sharpe ratio is above zero has a probability of ${percent(single, 1)}; of ${percent(deflated, 1)} after taking into account how many were tried.`);
}

function trialTable(search, parameters, go) {
  const promote = (trial) => async () => {
    const { backtest } = await mutate(PROMOTE_TRIAL, { input: { optimizationId: search.id, number: trial.number } });
    go('backtests', backtest.id);
  };
  const columns = [
    ...parameters.map((name) => [words(name), (trial) => String(trial.parameters[name]), { number: true }]),
    [objectiveOf(search), (trial) => number(trial.objective, 3), { number: true }],
    ['Return', ({ metrics }) => (metrics ? signed(metrics.totalReturn, percent(metrics.totalReturn)) : '–'), { number: true }],
    ['Drawdown', ({ metrics }) => (metrics ? percent(metrics.maxDrawdown) : '–'), { number: true }],
    ['Trades', ({ metrics }) => metrics?.trades ?? '–', { number: true }],
    ['', (trial) => button('Backtest', promote(trial))],
  ];
  return table('Best trials', columns, search.trials.nodes);
}

function heatMap(search, parameters, signal) {
  const across = choice(parameters.map((name) => [name, words(name)]), parameters[0], { 'aria-label': 'Across' });
  const down = choice(parameters.map((name) => [name, words(name)]), parameters[1], { 'aria-label': 'Down' });
  const measure = choice([['best', 'best of each cell'], ['mean', 'mean of each cell']], 'best', { 'aria-label': 'Measure' });
  const frame = h('div', { id: 'heatmap' });

  async function load() {
    if (across.value === down.value) return frame.replaceChildren(h('p', { class: 'quiet' }, 'Choose two parameters.'));
    const { heatmap } = (await query(HEAT_MAP, { id: search.id, x: across.value, y: down.value }, signal)).optimization;
    const values = heatmap[measure.value];
    const paint = scale(values.flat().filter((value) => value !== null));
    const short = (value) => (typeof value === 'number' ? Number(value.toPrecision(4)) : String(value));
    const columns = [
      [`${words(down.value)} ↓ ${words(across.value)} →`, (row) => h('strong', {}, short(heatmap.yValues[row]))],
      ...heatmap.xValues.map((x, column) => [
        short(x),
        (row) => {
          const value = values[row][column];
          if (value === null) return '';
          const title = `best ${number(heatmap.best[row][column], 3)}, mean ${number(heatmap.mean[row][column], 3)}, ${heatmap.trials[row][column]} trials`;
          return h('span', { ...paint(value), title }, number(value));
        },
        { number: true },
      ]),
    ];
    frame.replaceChildren(table(`Heat map of ${objectiveOf(search)}`, columns, heatmap.yValues.map((_, row) => row)));
  }
  for (const control of [across, down, measure]) control.addEventListener('change', () => load().catch(complain));
  load().catch(complain);
  return h('section', { class: 'card' }, h('div', { class: 'bar' }, h('h2', {}, `Heat map of ${objectiveOf(search)}`), across, down, measure), frame);
}

/** Colours for values: green above and red below zero where there are both, else the deeper the higher. */
function scale(values) {
  const low = values.reduce((a, b) => Math.min(a, b), Infinity);
  const high = values.reduce((a, b) => Math.max(a, b), -Infinity);
  const spread = Math.max(-low, high) || 1;
  if (low < 0 && high > 0) return (value) => ({ class: `heat ${value < 0 ? 'loss' : 'gain'}`, style: { '--depth': Math.abs(value) / spread } });
  return (value) => ({ class: `heat ${high <= 0 ? 'loss' : 'gain'}`, style: { '--depth': high === low ? 0.5 : Math.abs(value - (high <= 0 ? high : low)) / (high - low) } });
}
