// What to run: strategy, market, interval, parameters and execution, for backtests, searches and bots alike.

import { query, queryAll } from './client.js';
import { MARKETS, SERIES, STRATEGIES } from './documents.js';
import { choice, complain, day, field, h, input, interval, quiet, row, words } from './dom.js';

/** What there is to choose from: strategies and markets. */
export async function fetchCatalogue(signal) {
  const [strategies, markets] = await Promise.all([STRATEGIES, MARKETS].map((document) => queryAll(document, signal)));
  return { strategies, markets: markets.filter(({ intervals }) => intervals.length > 0) };
}

const SOURCES = ['open', 'high', 'low', 'close', 'volume', 'hl2', 'hlc3', 'ohlc4'];
const SIZINGS = { equityFraction: '% of equity', cash: 'quote currency', quantity: 'units', riskFraction: '% of equity at risk' };
// Fractions of the API, percent for people: name, label, percent or plain number, what it is if left empty.
const EXECUTION = [
  ['takerFee', 'Taker fee, %', true, '0.1'],
  ['makerFee', 'Maker fee, %', true, '0.1'],
  ['slippage', 'Slippage, %', true, '0'],
  ['stopLoss', 'Stop loss, %', true],
  ['takeProfit', 'Take profit, %', true],
  ['trailingStop', 'Trailing stop, %', true],
  ['leverage', 'Leverage', false, '1'],
  ['maxDailyLoss', 'Daily loss limit, %', true],
  ['dailyTarget', 'Daily target, %', true],
  ['maxDailyTrades', 'Trades a day', false],
  ['cooldownBars', 'Cooldown, bars', false],
];

const toPercent = (fraction) => (fraction === null || fraction === undefined ? '' : Number((fraction * 100).toPrecision(12)));
const fromPercent = (text) => Number((Number(text) / 100).toPrecision(12));

/** The moment that a date stands for: its midnight in UTC, or what it was given as if nobody has changed it. */
export function moment({ value }, given = undefined) {
  if (value === '') return undefined;
  return given?.startsWith(value) ? given : `${value}T00:00:00Z`;
}

/** A control for a parameter of a strategy, and how to read it. */
export function parameterControl({ type, min, max, step, choices }, value) {
  switch (type) {
    case 'BOOL': {
      const control = input({ type: 'checkbox' });
      control.checked = value;
      return [control, () => control.checked];
    }
    case 'CHOICE':
    case 'SOURCE': {
      const options = choices ?? SOURCES;
      const control = choice(options.map((option, index) => [index, String(option)]), options.indexOf(value));
      return [control, () => options[control.value]];
    }
    default: {
      const control = input({ type: 'number', inputmode: 'decimal', min, max, step: step ?? (type === 'INT' ? 1 : 'any'), value });
      return [control, () => (control.value === '' ? undefined : Number(control.value))];
    }
  }
}

/**
 * The fields of a run. `given` is what to begin with. `read()` returns the input that runBacktest, runOptimization and
 * createBot have in common; `onStrategy` is told the strategy whenever another one is chosen.
 */
export function specFields({ strategies, markets }, given = {}, { range = true, onStrategy = () => {} } = {}) {
  const nameOf = (market) => `${market.exchange}:${market.symbol}`;
  const strategyChoice = choice(strategies.map(({ id, name }) => [id, name]), given.strategyId, { name: 'strategy' });
  const offered = markets.map((market) => [nameOf(market), `${market.symbol} · ${market.exchange}`]);
  const marketChoice = choice(offered, given.market, { name: 'market' });
  const intervalChoice = choice([], undefined, { name: 'interval' });
  const about = quiet();
  const available = quiet();
  const parameters = h('fieldset', {}, h('legend', {}, 'Parameters'));
  const start = input({ type: 'date', name: 'start', value: given.start?.slice(0, 10) });
  const end = input({ type: 'date', name: 'end', value: given.end?.slice(0, 10) });
  const capital = input({ inputmode: 'decimal', name: 'capital', value: given.initialCapital ?? '10000' });
  let readers = [];

  const strategy = () => strategies.find(({ id }) => id === strategyChoice.value);
  const market = () => markets.find((each) => nameOf(each) === marketChoice.value);

  function strategyChosen(values = {}) {
    const { description, parameters: declared, defaultParameters } = strategy();
    about.textContent = description;
    readers = [];
    parameters.hidden = declared.length === 0;
    const controls = declared.map((parameter) => {
      const { name } = parameter;
      const [control, read] = parameterControl(parameter, values[name] ?? defaultParameters[name] ?? parameter.default);
      control.name = name;
      readers.push([name, read]);
      return field(words(name), control, { path: `parameters.${name}`, hint: parameter.description });
    });
    parameters.replaceChildren(parameters.firstChild, row(controls));
    onStrategy(strategy());
  }

  function marketChosen(wanted = intervalChoice.value) {
    const { intervals } = market();
    intervalChoice.replaceChildren(...intervals.map((each) => h('option', { value: each }, interval(each))));
    intervalChoice.value = intervals.includes(wanted) ? wanted : intervals.includes('H1') ? 'H1' : intervals[0];
    intervalChosen().catch(complain);
  }

  async function intervalChosen() {
    available.textContent = '';
    const { symbol, exchange } = market();
    const wanted = intervalChoice.value;
    const found = (await query(SERIES, { symbol, exchange, interval: wanted })).market?.priceSeries;
    if (!found || wanted !== intervalChoice.value) return;
    available.textContent = `${found.count.toLocaleString('en')} bars, ${day(found.start)} to ${day(found.end)}`;
    element.dataset.start = found.start ?? '';
    element.dataset.end = found.end ?? '';
  }

  const execution = executionFields(given.execution);
  const element = h(
    'div',
    { class: 'spec' },
    field('Strategy', strategyChoice, { path: 'strategyId' }),
    about,
    row(field('Market', marketChoice, { path: 'market' }), field('Interval', intervalChoice, { path: 'interval' })),
    available,
    row(
      range && field('From', start, { path: 'start' }), range && field('To', end, { path: 'end' }),
      field('Capital', capital, { path: 'initialCapital' }),
    ),
    parameters,
    h('details', {}, h('summary', {}, 'Execution: fills, costs, stops, guards'), execution.element),
  );
  strategyChoice.addEventListener('change', () => strategyChosen());
  marketChoice.addEventListener('change', () => marketChosen());
  intervalChoice.addEventListener('change', () => intervalChosen().catch(complain));
  if (strategies.length > 0) strategyChosen(given.parameters);
  if (markets.length > 0) marketChosen(given.interval);

  function read() {
    const spec = {
      strategyId: strategyChoice.value,
      market: marketChoice.value,
      interval: intervalChoice.value,
      initialCapital: capital.value.trim() || undefined,
      parameters: Object.fromEntries(readers.map(([name, value]) => [name, value()]).filter(([, value]) => value !== undefined)),
      execution: execution.read(),
    };
    return range ? { ...spec, start: moment(start, given.start), end: moment(end, given.end) } : spec;
  }
  return { element, read };
}

function executionFields(given = {}) {
  const fill = choice([['NEXT_OPEN', 'next open'], ['CLOSE', 'close']], given.fill);
  const direction = choice([['LONG', 'long'], ['SHORT', 'short'], ['BOTH', 'long and short']], given.direction, { name: 'direction' });
  const [sizing = 'equityFraction', amount = 1] = Object.entries(given.sizing ?? {}).find(([, value]) => value !== null) ?? [];
  const isFraction = (kind) => kind.endsWith('Fraction');
  const size = choice(Object.entries(SIZINGS), sizing);
  const sizeAmount = input({ inputmode: 'decimal', value: isFraction(sizing) ? toPercent(amount) : amount });
  const controls = EXECUTION.map(([name, label, isPercent, usual]) => {
    const value = isPercent ? toPercent(given[name]) : given[name];
    const control = input({ type: 'number', inputmode: 'decimal', step: 'any', name, placeholder: usual, value });
    return { name, label, isPercent, control };
  });
  const element = row(
    field('Fills at', fill, { path: 'execution.fill' }),
    field('Direction', direction, { path: 'execution.direction' }),
    field('Size in', size),
    field('Size', sizeAmount, { path: 'execution.sizing' }),
    controls.map(({ name, label, control }) => field(label, control, { path: `execution.${name}` })),
  );

  function read() {
    const amountOf = isFraction(size.value) ? fromPercent(sizeAmount.value) : sizeAmount.value;
    const result = { fill: fill.value, direction: direction.value, sizing: { [size.value]: amountOf } };
    for (const { name, isPercent, control } of controls) {
      if (control.value !== '') result[name] = isPercent ? fromPercent(control.value) : Number(control.value);
    }
    return result;
  }
  return { element, read };
}
