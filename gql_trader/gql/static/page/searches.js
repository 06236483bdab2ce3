// Searches over parameters: what to try, how it goes, and the objective as a heat map.

import { mutate, query, subscribe } from './client.js';
import { CANCEL_SEARCH, HEAT_MAP, PROMOTE_TRIAL, RUN_SEARCH, SEARCH_PROGRESS, SEARCH_RESULT, SEARCHES } from './documents.js';
import {
  address, bar, button, card, choice, complain, day, field, form, h, heading, heat, input, interval, link, noted, number, percent,
  progressBar, quiet, row, signed, submitButton, table, words,
} from './dom.js';
import { fetchCatalogue, specFields } from './specform.js';

const OBJECTIVES = [
  ['SHARPE_RATIO', 'Sharpe ratio'], ['SORTINO_RATIO', 'Sortino ratio'], ['CALMAR_RATIO', 'Calmar ratio'], ['TOTAL_RETURN', 'return'],
  ['CAGR', 'return a year'], ['PROFIT_FACTOR', 'profit factor'], ['EXPECTANCY', 'expectancy'], ['SQN', 'SQN'],
];
const objectiveOf = (search) => new Map(OBJECTIVES).get(search.objective);
const METHODS = [['GRID', 'grid: all of them'], ['RANDOM', 'random'], ['TPE', 'TPE: learns as it goes']];
const methodOf = (search) => `${words(search.method)}, ${objectiveOf(search)}`;
const isGoing = ({ status }) => status === 'QUEUED' || status === 'RUNNING';

// ---- the list, and the form for another one ----

export async function showSearches(main, { viewer, signal, go }) {
  const catalogue = await fetchCatalogue(signal);
  const list = h('div');
  const columns = [
    ['Search', (search) => noted(link(address('searches', search.id), search.strategy.name), methodOf(search))],
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
      h('section', {}, bar(heading('Searches')), list)),
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
      const control = (label, value) => input({ type: 'number', step: 'any', value, 'aria-label': `${words(name)} ${label}` });
      const [least, greatest, step] = [control('from', round(low)), control('to', round(high)), control('step', round((high - low) / 8))];
      const wanted = input({ type: 'checkbox', 'aria-label': `Search ${words(name)}` });
      wanted.checked = index < 2;
      const value = ({ value: text }) => (text === '' ? undefined : Number(text));
      readers.push(() => wanted.checked && { name, min: value(least), max: value(greatest), step: value(step) });
      return { label: [wanted, ` ${words(name)}`], least, greatest, step };
    });
    const columns = [
      ['Parameter', ({ label }) => label], ['From', ({ least }) => least], ['To', ({ greatest }) => greatest], ['Step', ({ step }) => step],
    ];
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
    const given = {
      ...rest, parameters: fixed, ranges: chosen, method: method.value, objective: objective.value, minTrades: Number(minTrades.value),
      trials: method.value === 'GRID' ? undefined : Number(trials.value),
    };
    const { optimization } = await mutate(RUN_SEARCH, { input: given });
    go('searches', optimization.id);
  }
  return form({ class: 'card', id: 'search' }, submit, h('h2', {}, 'Search parameters'), spec.element, h('h2', {}, 'Ranges'), ranges,
    row(
      field('Method', method, { path: 'method' }), trialsField, field('Objective', objective, { path: 'objective' }),
      field('Least trades', minTrades, { path: 'minTrades' })),
    submitButton('Search'));
}

// ---- one ----

export async function showSearch(main, { id, signal, go, reload }) {
  const search = (await query(SEARCH_RESULT, { id }, signal)).optimization;
  if (!search) return main.replaceChildren(h('p', {}, 'There is no such search.'));
  const progress = progressBar('Progress of the search');
  const tell = ({ status, progress: share, trialsDone }) =>
    progress.show(share, `${words(status)} · ${trialsDone.toLocaleString('en')} of ${search.trialsTotal.toLocaleString('en')} trials`);
  tell(search);
  const cancel = button('Cancel', () => mutate(CANCEL_SEARCH, { id }));
  const about = [search.market.symbol, interval(search.interval), `${day(search.start)} – ${day(search.end)}`, methodOf(search)];
  main.replaceChildren(
    bar(heading(`Search: ${search.strategy.name}`, about.join(' · ')), isGoing(search) && cancel),
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
    card('Best trials', trialTable(search, parameters, go)),
  );
}

function overfitting({ significance }) {
  if (!significance) return '';
  const { probabilisticSharpeRatio: single, deflatedSharpeRatio: deflated } = significance;
  const chance = `That the best one's Sharpe ratio is above zero has a probability of ${percent(single, 1)}`;
  return quiet(`${chance}; of ${percent(deflated, 1)} after taking into account how many were tried.`);
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
    if (across.value === down.value) return frame.replaceChildren(quiet('Choose two parameters.'));
    const { heatmap } = (await query(HEAT_MAP, { id: search.id, x: across.value, y: down.value }, signal)).optimization;
    const values = heatmap[measure.value];
    const paint = scale(values.flat().filter((value) => value !== null));
    const short = (value) => (typeof value === 'number' ? Number(value.toPrecision(4)) : String(value));
    const columns = [
      [`${words(down.value)} ↓ ${words(across.value)} →`, (line) => h('strong', {}, short(heatmap.yValues[line]))],
      ...heatmap.xValues.map((x, column) => [
        short(x),
        (line) => {
          const value = values[line][column];
          if (value === null) return '';
          const cell = heat(...paint(value), number(value));
          const [best, mean] = [heatmap.best, heatmap.mean].map((all) => number(all[line][column], 3));
          cell.title = `best ${best}, mean ${mean}, ${heatmap.trials[line][column]} trials`;
          return cell;
        },
        { number: true },
      ]),
    ];
    frame.replaceChildren(table(`Heat map of ${objectiveOf(search)}`, columns, heatmap.yValues.map((_, line) => line)));
  }
  for (const control of [across, down, measure]) control.addEventListener('change', () => load().catch(complain));
  load().catch(complain);
  const controls = bar(h('h2', {}, `Heat map of ${objectiveOf(search)}`), across, down, measure);
  return h('section', { class: 'card' }, controls, frame);
}

/** Kind and depth of colour for values: green above and red below zero where there are both, else the deeper the better. */
function scale(values) {
  const low = values.reduce((a, b) => Math.min(a, b), Infinity);
  const high = values.reduce((a, b) => Math.max(a, b), -Infinity);
  if (low < 0 && high > 0) return (value) => [value < 0 ? 'loss' : 'gain', Math.abs(value) / Math.max(-low, high)];
  const share = (value) => (high === low ? 0.5 : (value - low) / (high - low));
  return high <= 0 ? (value) => ['loss', 1 - share(value)] : (value) => ['gain', share(value)];
}
