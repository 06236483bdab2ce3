// What to run: strategy, market, interval, parameters and execution, for backtests, searches and bots alike.

import { query, queryAll } from './client.js';
import { MARKETS, SERIES, STRATEGIES } from './documents.js';
import { choice, complain, day, decimal, field, h, input, interval, latest, quiet, row, words } from './dom.js';
import { executionFields } from './execution.js';

/** What there is to choose from: strategies and markets. */
export async function fetchCatalogue(signal) {
  const [strategies, markets] = await Promise.all([STRATEGIES, MARKETS].map((document) => queryAll(document, signal)));
  return { strategies, markets: markets.filter(({ intervals }) => intervals.length > 0) };
}

const SOURCES = ['open', 'high', 'low', 'close', 'volume', 'hl2', 'hlc3', 'ohlc4'];

/** The moment that a date stands for: its midnight in UTC, or what it was given as if nobody has changed it. */
export function moment({ value }, given = undefined) {
  if (value === '') return undefined;
  return given?.startsWith(value) ? given : `${value}T00:00:00Z`;
}

/** A control for a parameter of a strategy, and how to read it. */
export function parameterControl({ type, min, max, step, choices }, value) {
  if (type === 'BOOL') {
    const control = input({ type: 'checkbox', checked: value });
    return [control, () => control.checked];
  }
  if (type === 'CHOICE' || type === 'SOURCE') {
    const options = choices ?? SOURCES;
    const control = choice(options.map((option, index) => [index, String(option)]), options.indexOf(value));
    return [control, () => options[control.value]];
  }
  const control = decimal({ min, max, step: step ?? (type === 'INT' ? 1 : 'any'), value });
  return [control, () => (control.value === '' ? undefined : Number(control.value))];
}

/** The fields of a run. `given` is what to begin with. `read()` returns the input that runBacktest, runOptimization and
 * createBot have in common; `onStrategy` is told the strategy whenever another one is chosen. */
export function specFields({ strategies, markets }, signal, given = {}, { range = true, onStrategy } = {}) {
  const nameOf = (market) => `${market.exchange}:${market.symbol}`;
  const strategyChoice = choice(strategies.map(({ id, name }) => [id, name]), given.strategyId, { name: 'strategyId' });
  const offered = markets.map((market) => [nameOf(market), `${market.symbol} · ${market.exchange}`]);
  const marketChoice = choice(offered, given.market, { name: 'market' });
  const intervalChoice = choice([], undefined, { name: 'interval' });
  const [about, available] = [quiet(), quiet()];
  const parameters = h('fieldset', {}, h('legend', {}, 'Parameters'));
  const start = input({ type: 'date', name: 'start', value: given.start?.slice(0, 10) });
  const end = input({ type: 'date', name: 'end', value: given.end?.slice(0, 10) });
  const capital = decimal({ min: 0, name: 'initialCapital', value: given.initialCapital ?? '10000' });
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
      const value = values[name] ?? defaultParameters[name] ?? parameter.default;
      const [control, read] = parameterControl(parameter, value);
      control.name = `parameters.${name}`;
      readers.push([name, read]);
      return field(words(name), control, { hint: parameter.description });
    });
    parameters.replaceChildren(parameters.firstChild, row(controls));
    onStrategy?.(strategy());
  }

  function marketChosen(wanted = intervalChoice.value) {
    const { intervals } = market();
    intervalChoice.replaceChildren(...intervals.map((each) => h('option', { value: each }, interval(each))));
    intervalChoice.value = intervals.includes(wanted) ? wanted : intervals.includes('H1') ? 'H1' : intervals[0];
    intervalChosen().catch(complain);
  }

  const intervalChosen = latest(signal, async (still) => {
    available.textContent = '';
    const { symbol, exchange } = market();
    const found = await query(SERIES, { symbol, exchange, interval: intervalChoice.value }, still);
    const { count, start, end } = found.market?.priceSeries ?? {};
    element.dataset.start = start ?? '';
    if (count) available.textContent = `${count.toLocaleString('en')} bars, ${day(start)} to ${day(end)}`;
  });

  const execution = executionFields(given.execution);
  const element = h('div', {},
    field('Strategy', strategyChoice), about,
    row(field('Market', marketChoice), field('Interval', intervalChoice)), available,
    row(range && [field('From', start), field('To', end)], field('Capital', capital)),
    parameters, execution.element);
  strategyChoice.addEventListener('change', () => strategyChosen());
  marketChoice.addEventListener('change', () => marketChosen());
  intervalChoice.addEventListener('change', () => intervalChosen().catch(complain));
  if (strategies.length > 0) strategyChosen(given.parameters);
  if (markets.length > 0) marketChosen(given.interval);

  function read() {
    const values = readers.map(([name, value]) => [name, value()]).filter(([, value]) => value !== undefined);
    const spec = {
      strategyId: strategyChoice.value, market: marketChoice.value, interval: intervalChoice.value,
      initialCapital: capital.value || undefined, parameters: Object.fromEntries(values), execution: execution.read(),
    };
    return range ? { ...spec, start: moment(start, given.start), end: moment(end, given.end) } : spec;
  }
  return { element, read };
}
