// Searches over parameters: what to try, how it goes, and the objective as a heat map.

import { datesOf, followRun, isGoing, marketOf } from './backtests.js';
import { mutate, queryOne, subscribe } from './client.js';
import * as documents from './documents.js';
import {
  address, bar, button, card, cell, choice, complain, day, decimal, field, fillPages, form, h, heading, heat, input,
  latest, link, listPage, noted, number, percent, quiet, row, signed, submitButton, table, words,
} from './dom.js';
import { fetchCatalogue, specFields } from './specform.js';

const OBJECTIVES = [
  ['SHARPE_RATIO', 'Sharpe ratio'], ['SORTINO_RATIO', 'Sortino ratio'], ['CALMAR_RATIO', 'Calmar ratio'],
  ['TOTAL_RETURN', 'return'], ['CAGR', 'return a year'], ['PROFIT_FACTOR', 'profit factor'],
  ['EXPECTANCY', 'expectancy'], ['SQN', 'SQN'],
];
const objectiveOf = (search) => new Map(OBJECTIVES).get(search.objective);
const METHODS = [['GRID', 'grid: all of them'], ['RANDOM', 'random'], ['TPE', 'TPE: learns as it goes']];
const methodOf = (search) => `${words(search.method)}, ${objectiveOf(search)}`;
const trialsOf = ({ trialsDone, trialsTotal }) =>
  `${trialsDone.toLocaleString('en')} of ${trialsTotal.toLocaleString('en')}`;

export async function showSearches(main, { viewer, signal, go }) {
  const catalogue = await fetchCatalogue(signal);
  const list = h('div');
  const columns = [
    ['Search', (search) => noted(link(address('searches', search.id), search.strategy.name), methodOf(search))],
    ['Market', marketOf],
    ['Trials', trialsOf, { number: true, minor: true }],
    ['State', (search) => words(search.status)],
    ['Made', (search) => day(search.createdAt), { minor: true }],
  ];
  const fetchPage = (after) => queryOne(documents.SEARCHES, { after }, signal);
  await fillPages(list, fetchPage, (rows) => table('Searches', columns, rows, 'No search yet: start one.'));
  const making = viewer.role !== 'VIEWER' && { title: 'Search parameters', form: searchForm(catalogue, signal, go) };
  main.replaceChildren(listPage('Searches', [], list, making));
}

const isNumber = ({ type }) => type === 'INT' || type === 'FLOAT';

function searchForm({ strategies, markets }, signal, go) {
  const frame = h('div');
  let ranges = [];

  /** A row for each number of the strategy: whether to search it, and where; eight steps around its default. */
  function offer({ parameters }) {
    ranges = parameters.filter(isNumber).map(({ name, type, min, max, default: usual }, index) => {
      const [low, high] = [Math.max(min ?? -Infinity, usual / 2), Math.min(max ?? Infinity, usual * 2)];
      const round = (value) => (type === 'INT' ? Math.max(1, Math.round(value)) : Number(value.toPrecision(2)));
      const wanted = input({ type: 'checkbox', 'aria-label': `Search ${words(name)}`, checked: index < 2 });
      const ends = { min: low, max: high, step: (high - low) / 8 };
      const controls = Object.entries(ends).map(([end, value]) => [end, decimal({ value: round(value) })]);
      return { name, wanted, controls };
    });
    const end = (title, index) => [title, ({ name, controls }) => cell(`${words(name)} ${title}`, controls[index][1])];
    const label = ['Parameter', ({ name, wanted }) => [wanted, ` ${words(name)}`]];
    frame.replaceChildren(table('Ranges', [label, ...['From', 'To', 'Step'].map(end)], ranges));
  }

  /** The ranges that are wanted; the server calls each by its place among them. */
  function readRanges() {
    document.querySelectorAll('[data-path^="ranges."]').forEach((control) => delete control.dataset.path);
    return ranges.filter(({ wanted }) => wanted.checked).map(({ name, controls }, index) => {
      controls.forEach(([end, control]) => (control.dataset.path = `ranges.${index}.${end}`));
      const given = controls.filter(([, { value }]) => value !== '').map(([end, { value }]) => [end, Number(value)]);
      return { name, ...Object.fromEntries(given) };
    });
  }

  const method = choice(METHODS, 'GRID', { name: 'method' });
  const trials = decimal({ min: 1, value: 200, name: 'trials' });
  const trialsField = field('Trials', trials);
  trialsField.hidden = true;
  method.addEventListener('change', () => (trialsField.hidden = method.value === 'GRID'));
  const searchable = strategies.filter(({ parameters }) => parameters.some(isNumber));
  const spec = specFields({ strategies: searchable, markets }, signal, {}, { onStrategy: offer });

  async function submit({ objective, minTrades }) {
    const chosen = readRanges();
    const { parameters, ...rest } = spec.read();
    const isFixed = ([name]) => !chosen.some((range) => range.name === name);
    const { optimization } = await mutate(documents.RUN_SEARCH, { input: {
      ...rest, parameters: Object.fromEntries(Object.entries(parameters).filter(isFixed)), ranges: chosen,
      method: method.value, objective, minTrades: Number(minTrades),
      trials: method.value === 'GRID' ? undefined : Number(trials.value),
    } });
    go('searches', optimization.id);
  }
  return form({ id: 'search' }, submit, spec.element, h('fieldset', {}, h('legend', {}, 'Ranges'), frame),
    row(field('Method', method), trialsField,
      field('Objective', choice(OBJECTIVES, 'SHARPE_RATIO', { name: 'objective' })),
      field('Least trades', decimal({ min: 0, value: 10, name: 'minTrades' }))),
    submitButton('Search'));
}

export async function showSearch(main, { id, signal, go, reload }) {
  const search = await queryOne(documents.SEARCH_RESULT, { id }, signal);
  const cancel = button('Cancel', () => mutate(documents.CANCEL_SEARCH, { id }));
  const about = [marketOf(search), datesOf(search), methodOf(search)].join(' · ');
  main.replaceChildren(bar(heading(`Search: ${search.strategy.name}`, about), isGoing(search) && cancel));
  if (search.status !== 'COMPLETED') {
    const tell = ({ status, trialsDone }) => [words(status), `${trialsOf({ ...search, trialsDone })} trials`];
    return followRun(main, search, subscribe(documents.SEARCH_PROGRESS, { id }, signal), tell, reload);
  }
  const parameters = search.ranges.map(({ name }) => name);
  main.append(
    overfitting(search),
    parameters.length > 1 ? heatMap(search, parameters, signal) : '',
    card('Best trials', trialTable(search, parameters, go)));
}

function overfitting({ significance }) {
  if (!significance) return '';
  const { probabilisticSharpeRatio: single, deflatedSharpeRatio: deflated } = significance;
  const chance = `That the best one's Sharpe ratio is above zero has a probability of ${percent(single, 1)}`;
  return quiet(`${chance}; of ${percent(deflated, 1)} after taking into account how many were tried.`);
}

function trialTable(search, parameters, go) {
  const promote = (trial) => async () => {
    const given = { optimizationId: search.id, number: trial.number };
    const { backtest } = await mutate(documents.PROMOTE_TRIAL, { input: given });
    go('backtests', backtest.id);
  };
  const columns = [
    ...parameters.map((name) => [words(name), (trial) => String(trial.parameters[name]), { number: true }]),
    [objectiveOf(search), (trial) => number(trial.objective, 3), { number: true }],
    ['Return', ({ metrics: of }) => (of ? signed(of.totalReturn, percent(of.totalReturn)) : '–'),
      { number: true, minor: true }],
    ['Drawdown', ({ metrics: of }) => percent(of?.maxDrawdown ?? null), { number: true, minor: true }],
    ['Trades', ({ metrics: of }) => of?.trades ?? '–', { number: true, minor: true }],
    ['', (trial) => button('Run', promote(trial))],
  ];
  return table('Best trials', columns, search.trials.nodes);
}

function heatMap(search, parameters, signal) {
  const named = parameters.map((name) => [name, words(name)]);
  const across = choice(named, parameters[0], { 'aria-label': 'Across' });
  const down = choice(named, parameters[1], { 'aria-label': 'Down' });
  const measure = choice([['best', 'best of a cell'], ['mean', 'mean of a cell']], 'best', { 'aria-label': 'Measure' });
  const frame = h('div', { id: 'heatmap' });

  const load = latest(signal, async (still) => {
    if (across.value === down.value) return frame.replaceChildren(quiet('Choose two parameters.'));
    const { heatmap } = await queryOne(documents.HEAT_MAP, { id: search.id, x: across.value, y: down.value }, still);
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
  });
  for (const control of [across, down, measure]) control.addEventListener('change', () => load().catch(complain));
  load().catch(complain);
  const controls = bar(h('h2', {}, `Heat map of ${objectiveOf(search)}`), across, down, measure);
  return h('section', { class: 'card' }, controls, frame);
}

/** Kind and depth of colour for values: green above and red below zero where both are, else the deeper the better. */
function scale(values) {
  const low = values.reduce((a, b) => Math.min(a, b), Infinity);
  const high = values.reduce((a, b) => Math.max(a, b), -Infinity);
  if (low < 0 && high > 0) return (value) => [value < 0 ? 'loss' : 'gain', Math.abs(value) / Math.max(-low, high)];
  const share = (value) => (high === low ? 0.5 : (value - low) / (high - low));
  return high <= 0 ? (value) => ['loss', 1 - share(value)] : (value) => ['gain', share(value)];
}
