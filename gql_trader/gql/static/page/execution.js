// How signals become fills: every field of ExecutionInput, in groups. Fractions of the API are percent for people.

import { choice, decimal, field, h, input, more, row } from './dom.js';

const scaled = (value, factor) => Number((Number(value) * factor).toPrecision(12));

// A kind of field: what it looks like, how a value of the API is shown in it, and how it is read.
const same = (value) => value;
const number = (min, max, usual) => ({
  usual, attributes: { min, max, placeholder: usual }, make: decimal, show: same, read: Number,
});
const count = (given) => decimal({ ...given, step: 1, 'data-whole': true });
const percent = (min, max, usual) => ({
  usual, attributes: { min, max, placeholder: usual, 'data-percent': true }, make: decimal,
  show: (fraction) => scaled(fraction, 100), read: (text) => scaled(text, 0.01),
});
const options = (...given) => ({
  usual: given[0][0], make: ({ value, ...attributes }) => choice(given, value, attributes), show: same, read: same,
});
const zone = { attributes: { list: 'zones' }, make: input, show: same, read: (text) => text.trim() };
const STEP = /^\s*(\d+)\s*:\s*\d+(\.\d+)?\s*$/;
const EXAMPLE = '0: 4, 30: 2, 60: 0';
const checkTargets = ({ target: { value }, target }) => {
  const ages = value === '' ? [] : value.split(',').map((step) => Number(STEP.exec(step)?.[1]));
  const twice = ages.find((age, index) => ages.indexOf(age) < index);
  const isUnread = ages.some(Number.isNaN);
  const problem = twice === undefined ? '' : `There is more than one target for ${twice} minutes.`;
  target.setCustomValidity(isUnread ? `Write minutes: %, with commas between, such as ${EXAMPLE}.` : problem);
};
const targetsByAge = {
  attributes: { 'data-percent': true, placeholder: EXAMPLE, oninput: checkTargets }, make: input,
  show: (table) => Object.entries(table).map(([minutes, target]) => `${minutes}: ${scaled(target, 100)}`).join(', '),
  read: (text) => Object.fromEntries(text.split(',').map((step) => {
    const [minutes, target] = step.split(':');
    return [Number(minutes), scaled(target, 0.01)];
  })),
};
const [LEAST, MOST] = [0.0001, 99.9999];

// Name, label, kind, and what it does where the label does not say it. Empty means none, or what is shown in grey.
const GROUPS = {
  'Orders and costs': [
    ['fill', 'Fills at', options(['NEXT_OPEN', 'next open'], ['CLOSE', 'close'])],
    ['direction', 'Direction', options(['LONG', 'long'], ['SHORT', 'short'], ['BOTH', 'long and short'])],
    ['takerFee', 'Taker fee, %', percent(0, 10, '0.1'), 'At the market: signals and stops.'],
    ['makerFee', 'Maker fee, %', percent(0, 10, '0.1'), 'At a limit: targets.'],
    ['slippage', 'Slippage, %', percent(0, 10, '0'), 'Paid away at the market.'],
  ],
  'Stops and targets': [
    ['stopLoss', 'Stop loss, %', percent(LEAST, MOST), 'From the entry price.'],
    ['takeProfit', 'Take profit, %', percent(LEAST, 9999), 'From the entry price.'],
    ['trailingStop', 'Trailing stop, %', percent(LEAST, MOST), 'From the best price since entry.'],
    ['trailingActivation', 'Trails from, %', percent(LEAST, 9999), 'The gain from which it does; empty: at once.'],
    ['minimalRoi', 'Targets by age', targetsByAge, 'Minutes: %, … The longer it is held, the less will do.'],
  ],
  Guards: [
    ['maxDailyLoss', 'Daily loss limit, %', percent(LEAST, MOST), 'Closes, and waits for the next day.'],
    ['dailyTarget', 'Daily target, %', percent(LEAST, 9999), 'The same after a gain.'],
    ['maxDailyTrades', 'Trades a day', { ...number(1), make: count }],
    ['cooldownBars', 'Cooldown, bars', { ...number(0, 1e6, '0'), make: count }, 'After an exit.'],
    ['maxDrawdown', 'Drawdown limit, %', percent(LEAST, MOST), 'From the peak: ends all. Empty: your preference.'],
    ['timezone', 'Time zone of days', zone, 'Empty: UTC; for bots, your preference.'],
  ],
  'Leverage and funding': [
    ['leverage', 'Leverage', number(1, 125, '1')],
    ['maintenanceMargin', 'Maintenance margin, %', percent(0, MOST, '0.5'), 'Of the notional, at liquidation.'],
    ['fundingRatePerDay', 'Funding a day, %', percent(0, 10, '0'), 'Of the notional, on either side.'],
  ],
};
const SIZINGS = [
  ['equityFraction', '% of equity', percent(LEAST, 100)], ['cash', 'quote currency', { ...number(0), read: same }],
  ['quantity', 'units', { ...number(0), read: same }], ['riskFraction', '% of equity at risk', percent(LEAST, 100)],
];

/** The fields; `given` is an Execution to begin with. `read()` returns an ExecutionInput. */
export function executionFields(given = {}) {
  const controls = [];
  const isSet = (value) => value !== null && value !== undefined;
  const made = ([name, label, kind, hint]) => {
    const value = isSet(given[name]) ? kind.show(given[name]) : undefined;
    const control = kind.make({ ...kind.attributes, name: `execution.${name}`, value });
    controls.push([name, control, kind]);
    return field(label, control, { hint });
  };
  const [[sizing, amount]] = Object.entries(given.sizing ?? { equityFraction: 1 }).filter(([, value]) => isSet(value));
  const kindOf = (wanted) => SIZINGS.find(([name]) => name === wanted)[2];
  const measure = choice(SIZINGS, sizing, { name: 'measure' });
  const size = decimal({ name: 'execution.sizing', value: kindOf(sizing).show(amount), required: true });
  const limit = () => ['min', 'max'].forEach((end) => (size[end] = kindOf(measure.value).attributes[end] ?? ''));
  measure.addEventListener('change', limit);
  limit();
  const sizes = [field('Size in', measure), field('Size', size)];
  // What is not as usual is in sight.
  const isUnusual = ([name, , { show, usual = '' }]) => isSet(given[name]) && String(show(given[name])) !== usual;
  const groups = Object.entries(GROUPS).map(([title, described], index) =>
    more(title, described.some(isUnusual), row(index === 0 && sizes, described.map(made))));

  function read() {
    const filled = controls.filter(([, { value }]) => value !== '');
    return {
      ...Object.fromEntries(filled.map(([name, { value }, kind]) => [name, kind.read(value)])),
      sizing: { [measure.value]: kindOf(measure.value).read(size.value) },
    };
  }
  const zones = Intl.supportedValuesOf('timeZone').map((name) => h('option', { value: name }));
  return { element: h('div', {}, groups, h('datalist', { id: 'zones' }, zones)), read };
}
