// Running backtests, following them, what came of one, and several side by side.

import { mutate, notFound, queryOne, subscribe } from './client.js';
import { drawComparison, drawEquity, drawPrices, lineColour } from './charts.js';
import * as documents from './documents.js';
import {
  address, bar, button, card, carefulButton, choice, complain, day, figures, fillPages, form, h, heading, heat, input,
  interval, latest, link, listPage, money, noted, number, percent, price, quantity, quiet, signed, submitButton,
  table, time, words,
} from './dom.js';
import { fetchCatalogue, specFields } from './specform.js';

const ORDERS = [
  ['CREATED_AT', 'newest'], ['SHARPE_RATIO', 'Sharpe ratio'], ['TOTAL_RETURN', 'return'],
  ['PROFIT_FACTOR', 'profit factor'],
];

const days = (value) => (value === null ? '–' : `${number(value, 1)} d`);
const hours = (value) => (value === null ? '–' : `${number(value, 1)} h`);
const count = (value) => number(value, 0);

// Name, title, how to write it, and which is better: 1 the higher, -1 the lower, 0 neither; what matters most first.
const METRICS = [
  ['totalReturn', 'Return', percent, 1], ['buyAndHoldReturn', 'Buy and hold', percent, 0],
  ['finalEquity', 'Final equity', money, 1], ['sharpeRatio', 'Sharpe ratio', number, 1],
  ['maxDrawdown', 'Deepest drawdown', percent, -1], ['trades', 'Trades', count, 0], ['winRate', 'Won', percent, 1],
  ['profitFactor', 'Profit factor', number, 1],
  ['cagr', 'Return a year', percent, 1], ['sortinoRatio', 'Sortino ratio', number, 1],
  ['calmarRatio', 'Calmar ratio', number, 1], ['omegaRatio', 'Omega ratio', number, 1],
  ['annualVolatility', 'Volatility a year', percent, -1], ['maxDrawdownDurationDays', 'Longest drawdown', days, -1],
  ['ulcerIndex', 'Ulcer index', percent, -1], ['valueAtRisk95', 'Value at risk, 95\u00a0%', percent, 0],
  ['expectedShortfall95', 'Expected shortfall, 95\u00a0%', percent, 0], ['expectancy', 'Expectancy', number, 1],
  ['payoffRatio', 'Payoff ratio', number, 1], ['sqn', 'SQN', number, 1], ['kelly', 'Kelly fraction', percent, 0],
  ['avgTradeReturn', 'Mean trade', percent, 1], ['bestTrade', 'Best trade', percent, 1],
  ['worstTrade', 'Worst trade', percent, 1], ['avgTradeDurationHours', 'Mean duration', hours, 0],
  ['maxConsecutiveWins', 'Wins in a row', count, 0], ['maxConsecutiveLosses', 'Losses in a row', count, -1],
  ['exposure', 'Time in the market', percent, 0], ['turnover', 'Turnover', number, 0], ['feesPaid', 'Fees', money, -1],
  ['fundingPaid', 'Funding', money, -1], ['alpha', 'Alpha', percent, 1], ['beta', 'Beta', number, 0],
];
const FIGURES = METRICS.slice(0, 8);

const titleOf = (run) => run.label ?? run.strategy.name;
export const marketOf = (run) => `${run.market.symbol} · ${interval(run.interval)}`;
export const datesOf = (run) => `${day(run.start)} – ${day(run.end)}`;
const aboutOf = (run) => [marketOf(run), parametersOf(run)].filter(Boolean).join(' · ');
const parametersOf = (run) => Object.entries(run.parameters).map(([name, value]) => `${name} ${value}`).join(', ');

// What the next form begins with.
let draft;

/** Go to the form for another backtest, which begins with this. */
export function begin(given, go) {
  draft = given;
  go('backtests');
}

export async function showBacktests(main, { viewer, signal, go }) {
  const catalogue = await fetchCatalogue(signal);
  const chosen = new Set();
  const compare = h('button', { type: 'button', disabled: true }, 'Tick two to compare');
  compare.addEventListener('click', () => go('compare', [...chosen].join(',')));
  const order = choice(ORDERS, 'CREATED_AT', { 'aria-label': 'Order by' });
  const list = h('div');
  order.addEventListener('change', () => load().catch(complain));

  function tick(run) {
    const label = `Compare ${titleOf(run)} of ${time(run.createdAt)}`;
    const state = { checked: chosen.has(run.id), disabled: !run.metrics };
    const box = input({ type: 'checkbox', 'aria-label': label, ...state });
    box.addEventListener('change', () => {
      chosen[box.checked ? 'add' : 'delete'](run.id);
      compare.disabled = chosen.size < 2;
      compare.textContent = ['Tick two to compare', 'Tick another one'][chosen.size] ?? `Compare ${chosen.size}`;
    });
    return box;
  }

  const result = (run, cell) => (run.metrics ? cell(run.metrics) : h('span', { class: 'quiet' }, words(run.status)));
  const columns = [
    ['', tick],
    ['Run', (run) => noted(link(address('backtests', run.id), titleOf(run)), aboutOf(run))],
    ['Dates', datesOf, { minor: true }],
    ['Return', (run) => result(run, ({ totalReturn }) => signed(totalReturn, percent(totalReturn))), { number: true }],
    ['Sharpe', (run) => result(run, ({ sharpeRatio }) => number(sharpeRatio)), { number: true }],
    ['Drawdown', (run) => result(run, ({ maxDrawdown }) => percent(maxDrawdown)), { number: true, minor: true }],
    ['Trades', (run) => result(run, ({ trades }) => trades), { number: true, minor: true }],
  ];
  const load = latest(signal, (still) => {
    const orderBy = [{ field: order.value, direction: 'DESC' }];
    const fetchPage = (after) => queryOne(documents.BACKTESTS, { orderBy, after }, still);
    return fillPages(list, fetchPage, (rows) => table('Backtests', columns, rows, 'No backtest yet: run one.'));
  });

  await load();
  if (signal.aborted) return;
  const isDrafted = draft !== undefined;
  const spec = specFields(catalogue, signal, draft);
  draft = undefined;
  const submit = async () => {
    const { backtest } = await mutate(documents.RUN_BACKTEST, { input: spec.read() });
    go('backtests', backtest.id);
  };
  const making = viewer.role !== 'VIEWER' &&
    { title: 'Run a backtest', form: form({ id: 'run' }, submit, spec.element, submitButton('Run')) };
  main.replaceChildren(listPage('Backtests', [order, compare], list, making, isDrafted || undefined));
}

export const isGoing = ({ status }) => status === 'QUEUED' || status === 'RUNNING';

export async function showBacktest(main, { id, signal, go, reload }) {
  const run = await queryOne(documents.BACKTEST_RESULT, { id }, signal);
  const remove = () => mutate(documents.DELETE_BACKTEST, { id }).then(() => go('backtests'));
  const market = `${run.market.exchange}:${run.market.symbol}`;
  const again = () => begin({ ...run, strategyId: run.strategy.id, market }, go);
  // Links to files are good for some minutes: each is asked for when it is wanted.
  const file = (text, name) =>
    button(text, async () => location.assign((await queryOne(documents.BACKTEST_FILES, { id }, signal))[name]));
  const head = bar(
    heading(titleOf(run), `${marketOf(run)} · ${datesOf(run)} · ${run.bars.toLocaleString('en')} bars`),
    button('Change and run again', again),
    run.status === 'COMPLETED' && [
      file('Report', 'reportUrl'), file('Daily CSV', 'dailyCsvUrl'), file('Ledger CSV', 'ledgerCsvUrl'),
    ],
    isGoing(run)
      ? button('Cancel', () => mutate(documents.CANCEL_BACKTEST, { id }))
      : carefulButton('Delete', 'Delete this backtest?', 'Its result cannot be brought back.', remove));
  const facts = quiet(parametersOf(run));
  if (run.status !== 'COMPLETED') {
    main.replaceChildren(head, facts);
    const tell = ({ status, progress, barTime, equity }) =>
      [words(status), percent(progress, 0), barTime && time(barTime), barTime && `equity ${money(equity)}`];
    return followRun(main, run, subscribe(documents.BACKTEST_PROGRESS, { id }, signal), tell, reload);
  }

  const { metrics } = run;
  const charts = h('figure', { class: 'chart tall' }, quiet('A worker computes the indicators…'));
  const equity = h('figure', { class: 'chart' });
  main.replaceChildren(
    head, facts,
    figures(FIGURES.map(([name, title, write]) =>
      [name === 'finalEquity' ? `${title}, ${run.market.quote.symbol}` : title, write(metrics[name]), name])),
    card('Prices and trades', charts),
    card('Equity and drawdown', equity),
    h('div', { class: 'halves' },
      card('Metrics', metricsTable([run])),
      card('Months', months(run.monthlyReturns), h('h2', {}, 'Ledger'), ledger(run, signal))));
  drawEquity(equity, run.equity, `Equity and drawdown of ${titleOf(run)}`, signal);
  try {
    const { plot } = await queryOne(documents.BACKTEST_PLOT, { id }, signal);
    charts.replaceChildren();
    drawPrices(charts, plot, `Candles, indicators and trades of ${titleOf(run)}`, signal);
  } catch (error) {
    complain(error, (text) => charts.replaceChildren(h('p', { class: 'problem', role: 'alert' }, text)));
  }
}

/** Show how far a backtest or search is, as its events tell, and its result when there is one. */
export async function followRun(main, run, events, tell, reload) {
  const bar = h('progress', { max: 1, 'aria-label': 'Progress' });
  const text = h('span', { class: 'quiet' });
  const show = (now) => {
    bar.value = now.progress;
    text.textContent = tell(now).filter(Boolean).join(' · ');
  };
  show(run);
  main.append(h('p', { class: 'progress' }, bar, text), h('p', { class: 'problem', role: 'alert' }, run.error ?? ''));
  if (!isGoing(run)) return;
  for await (const event of events) {
    show(event);
    if (!isGoing(event)) return reload();
  }
}

const swatch = (index) => h('span', { class: 'swatch', style: { background: lineColour(index) } });

function metricsTable(runs) {
  const best = ([name, , , better]) => {
    const known = runs.map(({ metrics }) => metrics[name]).filter((value) => value !== null).map(Number);
    if (!better || runs.length < 2 || new Set(known).size < 2) return null;
    return better > 0 ? Math.max(...known) : Math.min(...known);
  };
  const columns = [
    ['Metric', ([, title]) => title],
    ...runs.map((run, index) => [
      runs.length === 1 ? 'Value' : [swatch(index), titleOf(run)],
      (metric) => {
        const [name, , write] = metric;
        const value = run.metrics[name];
        const text = write(value === null ? null : Number(value));
        return value !== null && best(metric) === Number(value) ? h('strong', {}, text) : text;
      },
      { number: true },
    ]),
  ];
  return table('Metrics', columns, METRICS);
}

/** Returns by month: the deeper the colour, the more. */
function months(returns) {
  const years = Map.groupBy(returns, ({ year }) => year);
  const cell = (found) => {
    if (!found || found.return === null) return '';
    const depth = Math.min(1, Math.abs(found.return) * 8);
    return heat(found.return < 0 ? 'loss' : 'gain', depth, percent(found.return, 1));
  };
  const columns = [
    ['Year', ([year]) => year],
    ...['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'].map((name, index) => [
      name, ([, found]) => cell(found.find(({ month }) => month === index + 1)), { number: true },
    ]),
  ];
  return table('Returns by month', columns, [...years]);
}

/** Trades of a backtest or a bot; those that have come while somebody looks are marked. */
export function tradeTable(caption, trades) {
  const profit = (trade) => noted(signed(trade.profit, money(trade.profit)), percent(trade.profitFraction));
  const columns = [
    ['#', (trade) => h('span', { class: trade.live ? 'fresh' : null }, trade.number), { number: true }],
    ['Side', (trade) => words(trade.side)],
    ['Profit', (trade) => (trade.profit === null ? 'open' : profit(trade)), { number: true }],
    ['Entry', (trade) => noted(price(trade.entryPrice), time(trade.entryTime)), { number: true }],
    ['Exit', (trade) => noted(price(trade.exitPrice), time(trade.exitTime)), { number: true, minor: true }],
    ['Quantity', (trade) => quantity(trade.quantity), { number: true, minor: true }],
    ['Left by', (trade) => (trade.exitReason ? words(trade.exitReason) : '–'), { minor: true }],
  ];
  return table(caption, columns, trades, 'No trade yet.');
}

function ledger(run, signal) {
  const frame = h('div', { id: 'ledger' });
  const fetchPage = async (after) =>
    after ? (await queryOne(documents.LEDGER_PAGE, { id: run.id, after }, signal)).ledger : run.ledger;
  const show = (trades, { totalCount }) =>
    h('div', {}, tradeTable('Ledger', trades), quiet(`${trades.length} of ${totalCount}`));
  fillPages(frame, fetchPage, show);
  return frame;
}

export async function showComparison(main, { id, signal }) {
  const nodes = await queryOne(documents.COMPARISON, { ids: (id ?? '').split(',') }, signal);
  const runs = nodes.filter((run) => run?.metrics);
  if (runs.length === 0) throw notFound();
  const frame = h('figure', { class: 'chart' });
  const names = runs.map((run, index) =>
    h('li', {}, swatch(index), noted(link(address('backtests', run.id), titleOf(run)), aboutOf(run))));
  main.replaceChildren(
    heading(`Comparing ${runs.length} backtests`), h('ul', { class: 'names' }, names),
    card('Growth since the start', frame),
    card('Metrics; the best in bold', metricsTable(runs)));
  drawComparison(frame, runs.map((run) => run.equity), 'Growth of each run', signal);
}
